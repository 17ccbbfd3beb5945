// Full jitter spreads the dials of many nodes that lost one peer at the same moment.
#include "backoff.h"

#include <algorithm>

#include "limits.h"

namespace skein::core {

uint64_t Random::Next() {
  state_ += 0x9E3779B97F4A7C15;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

double Random::NextUnit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

uint64_t Backoff::NextUs(uint64_t cap_us, Random* random) {
  bound_us_ = std::min(cap_us, bound_us_ == 0 ? min_us_ : bound_us_ * 2);
  const auto drawn = static_cast<uint64_t>(random->NextUnit() * static_cast<double>(bound_us_));
  return std::max<uint64_t>(drawn, uint64_t{limits::kBackoffFloorMs} * 1000);
}

}  // namespace skein::core
