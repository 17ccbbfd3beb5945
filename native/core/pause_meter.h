// The observer suspects itself first: measures how long this process itself was not scheduled.
#pragma once

#include <cstdint>

#include "limits.h"

namespace skein::core {

// Fed every reading of the timekeeping loop's clock, at least every kTickMs while the process runs.
class PauseMeter {
 public:
  // The pause in microseconds that this reading reveals, 0 if none.
  uint64_t Tick(uint64_t now_us) {
    const uint64_t gap_us = last_us_ == 0 || now_us < last_us_ ? 0 : now_us - last_us_;
    last_us_ = now_us;
    return gap_us > uint64_t{limits::kSelfPauseMs} * 1000 ? gap_us : 0;
  }

  // What of a pause is not charged to anybody: a tick's worth of it would have passed anyway.
  static uint64_t ExcessUs(uint64_t gap_us) {
    constexpr uint64_t kTickUs = uint64_t{limits::kTickMs} * 1000;
    return gap_us > kTickUs ? gap_us - kTickUs : 0;
  }

 private:
  uint64_t last_us_ = 0;
};

}  // namespace skein::core
