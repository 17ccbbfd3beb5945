// HMAC in one call: what is proven is a few kilobytes, once per connection.
#include "openssl_auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <mutex>
#include <vector>

namespace skein::io {
namespace {

// A process that exits while the control thread runs takes OpenSSL down under it. Handlers run in reverse
// order, so that this one, registered after OpenSSL's, comes first: it takes the lock for ever, and whoever
// asks after it waits for the end of the process. Never destroyed.
std::mutex& Gate() {
  static std::mutex* const gate = [] {
    auto* made = new std::mutex;
    std::atexit([] { Gate().lock(); });
    return made;
  }();
  return *gate;
}

}  // namespace

// Not on the control thread: OpenSSL may register its own as late as at its first call.
OpensslAuth::OpensslAuth() {
  OPENSSL_init_crypto(0, nullptr);
  Gate();
}

void OpensslAuth::RandomBytes(uint8_t* to, size_t count) {
  const std::lock_guard<std::mutex> lock(Gate());
  // As Node does itself: a nonce that can be foreseen lets strangers in, and there is nobody to tell.
  if (RAND_bytes(to, static_cast<int>(count)) != 1) std::abort();
}

void OpensslAuth::Hmac(core::Bytes key, std::span<const core::Bytes> parts, uint8_t* out32) const {
  std::vector<uint8_t> message;
  for (const core::Bytes part : parts) message.insert(message.end(), part.begin(), part.end());
  unsigned int length = 0;
  const std::lock_guard<std::mutex> lock(Gate());
  const unsigned char* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(),
                                   message.size(), out32, &length);
  // Out of memory: a proof that was not made must not look like one.
  if (made == nullptr) std::abort();
}

}  // namespace skein::io
