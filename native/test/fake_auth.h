// Admission without a library: a keyed hash that no adversary would be stopped by, and nonces from a seed.
#pragma once

#include "../core/auth.h"
#include "../core/backoff.h"

namespace skein::test {

class FakeAuth final : public core::Authenticator {
 public:
  explicit FakeAuth(uint64_t seed) : random_(seed) {}

  void RandomBytes(uint8_t* to, size_t count) override {
    for (size_t at = 0; at < count; ++at) to[at] = static_cast<uint8_t>(random_.Next());
  }

  void Hmac(core::Bytes key, std::span<const core::Bytes> parts, uint8_t* out32) const override {
    for (uint64_t word = 0; word < 4; ++word) {
      uint64_t hash = Mix(14695981039346656037u + word, key);
      for (const core::Bytes part : parts) hash = Mix(hash, part);
      core::Store(out32 + word * sizeof(hash), core::Random(hash).Next());
    }
  }

 private:
  static uint64_t Mix(uint64_t hash, core::Bytes bytes) {
    for (const uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211u;
    return hash;
  }

  core::Random random_;
};

}  // namespace skein::test
