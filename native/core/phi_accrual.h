// Phi accrual failure detector (Hayashibara et al.) in the form that Akka made common: arrivals taken as
// normal, the normal tail by its logistic approximation, mean shifted by an acceptable pause, deviation
// floored. Pure: time is an argument, in milliseconds on a monotonic clock of the caller's. The TypeScript
// twin is `src/detectors/phi-akka.ts`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace skein::core {

struct PhiOptions {
  double threshold = 8;
  double interval_ms = 1000;          // expected; only the two bootstrap samples depend on it
  double acceptable_pause_ms = 2000;  // added to the mean
  double min_std_deviation_ms = 100;
  uint32_t window_size = 200;
};

// The last inter-arrival times. O(1) a sample: running sums, rebuilt once a revolution so that rounding
// cannot pile up.
class ArrivalWindow {
 public:
  explicit ArrivalWindow(uint32_t size);

  void Add(double interval_ms);
  double Mean() const { return sum_ / static_cast<double>(count_); }
  // Of the whole population; never NaN, whatever rounding does to the sums.
  double Deviation() const;

 private:
  void RebuildSums();

  std::vector<double> samples_;
  size_t count_ = 0;
  size_t next_ = 0;
  double sum_ = 0;
  double square_sum_ = 0;
};

class PhiAccrual {
 public:
  explicit PhiAccrual(const PhiOptions& options);

  // A beat arrived. With `learn` false the interval that it ends is not learnt: it was an outage or a change
  // of sockets, not the rhythm of the link.
  void Heartbeat(double now_ms, bool learn = true);

  // Suspicion level, 0 before the first beat; finite for any finite silence.
  double Phi(double now_ms) const;

  // Silence after which Phi reaches the threshold.
  double SuspectAfterMs() const;

  double SilentMs(double now_ms) const { return started_ ? now_ms - last_ms_ : 0; }

 private:
  double ShiftedMean() const { return window_.Mean() + options_.acceptable_pause_ms; }
  double FlooredDeviation() const;

  PhiOptions options_;
  ArrivalWindow window_;
  double y_at_threshold_;
  double last_ms_ = 0;
  bool started_ = false;
};

}  // namespace skein::core
