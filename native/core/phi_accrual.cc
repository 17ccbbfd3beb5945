// With y = (elapsed - mean) / deviation and s = y (1.5976 + 0.070566 y^2) the tail is e^-s / (1 + e^-s), so
// phi is log10(1 + e^s). Computed as (max(s, 0) + log1p(e^-|s|)) / ln 10 it neither overflows nor loses the
// far tail.
#include "phi_accrual.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace skein::core {
namespace {

constexpr double kLinear = 1.5976;
constexpr double kCubic = 0.070566;
constexpr int kNewtonStepsMax = 64;

double PhiOf(double y) {
  const double s = y * (kLinear + kCubic * y * y);
  return (std::max(s, 0.0) + std::log1p(std::exp(-std::abs(s)))) / std::numbers::ln10;
}

// The y at which phi is reached, by Newton's method on a strictly rising cubic.
double InverseOf(double phi) {
  const double s = phi * std::numbers::ln10 + std::log1p(-std::pow(10, -phi));
  double y = s / kLinear;
  for (int step = 0; step < kNewtonStepsMax; ++step) {
    const double error = y * (kLinear + kCubic * y * y) - s;
    const double next = y - error / (kLinear + 3 * kCubic * y * y);
    if (std::abs(next - y) <= 1e-12 * std::max(1.0, std::abs(y))) return next;
    y = next;
  }
  return y;
}

}  // namespace

ArrivalWindow::ArrivalWindow(uint32_t size) : samples_(std::max<uint32_t>(size, 2)) {}

void ArrivalWindow::Add(double interval_ms) {
  if (count_ == samples_.size()) {
    const double oldest = samples_[next_];
    sum_ -= oldest;
    square_sum_ -= oldest * oldest;
  } else {
    ++count_;
  }
  samples_[next_] = interval_ms;
  sum_ += interval_ms;
  square_sum_ += interval_ms * interval_ms;
  next_ = (next_ + 1) % samples_.size();
  if (next_ == 0) RebuildSums();
}

void ArrivalWindow::RebuildSums() {
  sum_ = 0;
  square_sum_ = 0;
  for (size_t index = 0; index < count_; ++index) {
    sum_ += samples_[index];
    square_sum_ += samples_[index] * samples_[index];
  }
}

double ArrivalWindow::Deviation() const {
  const double mean = Mean();
  return std::sqrt(std::max(0.0, square_sum_ / static_cast<double>(count_) - mean * mean));
}

PhiAccrual::PhiAccrual(const PhiOptions& options)
    : options_(options), window_(options.window_size), y_at_threshold_(InverseOf(options.threshold)) {
  const double spread_ms = options.interval_ms / 4;
  window_.Add(options.interval_ms - spread_ms);
  window_.Add(options.interval_ms + spread_ms);
}

void PhiAccrual::Heartbeat(double now_ms, bool learn) {
  if (learn && started_) window_.Add(now_ms - last_ms_);
  last_ms_ = now_ms;
  started_ = true;
}

double PhiAccrual::FlooredDeviation() const {
  return std::max(window_.Deviation(), options_.min_std_deviation_ms);
}

double PhiAccrual::Phi(double now_ms) const {
  return started_ ? PhiOf((now_ms - last_ms_ - ShiftedMean()) / FlooredDeviation()) : 0;
}

double PhiAccrual::SuspectAfterMs() const {
  return std::max(0.0, ShiftedMean() + y_at_threshold_ * FlooredDeviation());
}

}  // namespace skein::core
