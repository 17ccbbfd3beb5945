// HMAC in one call: what is proven is a few kilobytes, once per connection.
#include "openssl_auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <vector>

namespace skein::io {

void OpensslAuth::RandomBytes(uint8_t* to, size_t count) {
  // As Node does itself: a nonce that can be foreseen lets strangers in, and there is nobody to tell.
  if (RAND_bytes(to, static_cast<int>(count)) != 1) std::abort();
}

void OpensslAuth::Hmac(core::Bytes key, std::span<const core::Bytes> parts, uint8_t* out32) const {
  std::vector<uint8_t> message;
  for (const core::Bytes part : parts) message.insert(message.end(), part.begin(), part.end());
  unsigned int length = 0;
  const unsigned char* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(),
                                   message.size(), out32, &length);
  // Out of memory: a proof that was not made must not look like one.
  if (made == nullptr) std::abort();
}

}  // namespace skein::io
