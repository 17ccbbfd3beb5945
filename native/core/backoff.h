// Exponential back-off with full jitter, and the seeded generator it draws from.
#pragma once

#include <cstdint>

namespace skein::core {

// SplitMix64: small, fast, and every seed gives a full-period sequence. Not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next();
  // Uniform in [0, 1), 53 bits.
  double NextUnit();

 private:
  uint64_t state_;
};

// Delays uniform in [0, bound], floored; the bound doubles from `min_us` to the cap of each draw.
class Backoff {
 public:
  explicit Backoff(uint64_t min_us) : min_us_(min_us) {}

  // The next delay. `cap_us` may differ between draws (a peer becomes watched); the bound never exceeds it.
  uint64_t NextUs(uint64_t cap_us, Random* random);
  void Reset() { bound_us_ = 0; }

 private:
  uint64_t min_us_;
  uint64_t bound_us_ = 0;
};

}  // namespace skein::core
