// What admission by secrets needs of the world: randomness that nobody can guess, and HMAC-SHA-256. The shell
// brings both, so that the core needs no library and a test can foresee them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bytes.h"
#include "limits.h"

namespace skein::core {

using Nonce = std::array<uint8_t, limits::kNonceBytes>;
using Proof = std::array<uint8_t, limits::kProofBytes>;

class Authenticator {
 public:
  virtual ~Authenticator() = default;

  virtual void RandomBytes(uint8_t* to, size_t count) = 0;
  // HMAC-SHA-256 of the parts, one after another, into 32 bytes at `out32`.
  virtual void Hmac(Bytes key, std::span<const Bytes> parts, uint8_t* out32) const = 0;
};

// In a time that depends on the lengths only: how far a guess was right must not be measurable.
bool EqualInConstantTime(Bytes a, Bytes b);

}  // namespace skein::core
