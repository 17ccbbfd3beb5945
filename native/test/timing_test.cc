// Detector, back-off, deadlines and pauses: everything that time is an argument of.
#include <algorithm>
#include <cmath>

#include "../core/backoff.h"
#include "../core/deadline_table.h"
#include "../core/limits.h"
#include "../core/pause_meter.h"
#include "../core/phi_accrual.h"
#include "check.h"

namespace skein::core {
namespace {

TEST("phi: zero before the first beat, rises with silence, crosses where it says") {
  PhiAccrual phi({.threshold = 8, .interval_ms = 1000, .acceptable_pause_ms = 2000});
  CHECK(phi.Phi(1e9) == 0);
  phi.Heartbeat(10'000);
  double last = 0;
  for (double silence = 0; silence < 60'000; silence += 10) {
    const double now = phi.Phi(10'000 + silence);
    CHECK(std::isfinite(now) && now >= last);
    last = now;
  }
  const double crossing = phi.SuspectAfterMs();
  CHECK(std::abs(phi.Phi(10'000 + crossing) - 8) < 1e-6);
  CHECK(std::isfinite(phi.Phi(1e12)));
}

TEST("phi: the window forgets, and an interval that is not learnt changes nothing but the last arrival") {
  PhiAccrual steady(
      {.interval_ms = 100, .acceptable_pause_ms = 0, .min_std_deviation_ms = 10, .window_size = 10});
  double now = 0;
  for (int beat = 0; beat < 1000; ++beat) steady.Heartbeat(now += 100);
  const double before = steady.SuspectAfterMs();
  steady.Heartbeat(now += 60'000, false);
  CHECK(steady.SuspectAfterMs() == before);
  CHECK(steady.SilentMs(now + 5) == 5);
  for (int beat = 0; beat < 20; ++beat) steady.Heartbeat(now += 300);
  CHECK(steady.SuspectAfterMs() > before + 190);
}

TEST("back-off: doubles to the cap of the draw, floored, reset starts over") {
  Random random(42);
  Backoff backoff(100'000);
  uint64_t bound = 100'000;
  for (int draw = 0; draw < 12; ++draw) {
    const uint64_t delay = backoff.NextUs(10'000'000, &random);
    CHECK(delay >= limits::kBackoffFloorMs * 1000 && delay <= std::min<uint64_t>(bound, 10'000'000));
    bound *= 2;
  }
  CHECK(backoff.NextUs(50'000, &random) <= 50'000);
  backoff.Reset();
  CHECK(backoff.NextUs(10'000'000, &random) <= 100'000);
}

TEST("back-off: jitter is full, not a nudge around the bound") {
  Random random(7);
  uint64_t low = UINT64_MAX;
  uint64_t high = 0;
  for (int draw = 0; draw < 1000; ++draw) {
    Backoff backoff(1'000'000);
    const uint64_t delay = backoff.NextUs(1'000'000, &random);
    low = std::min(low, delay);
    high = std::max(high, delay);
  }
  CHECK(low < 50'000 && high > 950'000);
}

TEST("deadline table: moves, clears, and fires equal times in key order") {
  DeadlineTable<int> table;
  CHECK(table.Next() == kNever && !table.PopDue(kNever - 1).has_value());
  table.Set(3, 50);
  table.Set(1, 50);
  table.Set(2, 10);
  table.Set(2, 60);
  table.Set(4, 5);
  table.Clear(4);
  CHECK(table.Next() == 50 && table.At(2) == 60 && table.At(4) == kNever);
  CHECK(!table.PopDue(49).has_value());
  CHECK(table.PopDue(60) == 1);
  CHECK(table.PopDue(60) == 3);
  CHECK(table.PopDue(60) == 2);
  CHECK(table.Next() == kNever);
}

TEST("pause meter: only a gap above the bound is a pause, and a tick of it is not charged off") {
  PauseMeter meter;
  CHECK(meter.Tick(1'000'000) == 0);
  CHECK(meter.Tick(1'500'000) == 0);
  CHECK(meter.Tick(2'000'001) == 500'001);
  CHECK(meter.Tick(2'000'002) == 0);
  CHECK(PauseMeter::ExcessUs(500'001) == 400'001);
  CHECK(PauseMeter::ExcessUs(50) == 0);
}

}  // namespace
}  // namespace skein::core
