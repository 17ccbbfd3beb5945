// probe ADDRESS CLUSTER WATCH_MS ECHO_MS: watches a node's beats, and sends it beats that ask for echoes; 0
// for neither. probe ADDRESS CLUSTER idle: see idle.cc. A line "phase" on stdin prints, as one line of JSON,
// what was measured since the last one; its end ends the probe.
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "link.h"

namespace {

using probe::Arrival;
using skein::core::FrameKind;

double Milliseconds(uint64_t from_ns, uint64_t to_ns) {
  return static_cast<double>(static_cast<int64_t>(to_ns - from_ns)) / 1e6;
}

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

void PrintDistribution(const char* name, const std::vector<double>& values) {
  printf("\"%s\":{\"count\":%zu,\"p50Ms\":%.4f,\"p99Ms\":%.4f,\"maxMs\":%.4f}", name, values.size(),
         Percentile(values, 0.5), Percentile(values, 0.99), Percentile(values, 1));
}

class Probe {
 public:
  Probe(const std::string& address, const std::string& cluster, uint32_t watch_ms, uint32_t echo_ms)
      : link_(address, cluster, probe::NewUid()), watch_ms_(watch_ms), echo_ms_(echo_ms) {
    if (watch_ms_ > 0) link_.Watch(watch_ms_);
    next_beat_ns_ = probe::RealtimeNs();
    printf("{\"ready\":true}\n");
    fflush(stdout);
  }

  void Run() {
    for (;;) {
      pollfd waited[] = {{link_.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
      timespec patience = UntilNextBeat();
      ppoll(waited, 2, echo_ms_ > 0 ? &patience : nullptr, nullptr);
      if (waited[0].revents != 0) Take();
      if (waited[1].revents != 0 && !Command()) return;
      if (echo_ms_ > 0 && probe::RealtimeNs() >= next_beat_ns_) Ask();
    }
  }

 private:
  timespec UntilNextBeat() const {
    const uint64_t now_ns = probe::RealtimeNs();
    const uint64_t wait_ns = next_beat_ns_ > now_ns ? next_beat_ns_ - now_ns : 0;
    return {static_cast<time_t>(wait_ns / 1000000000u), static_cast<long>(wait_ns % 1000000000u)};
  }

  void Ask() {
    const uint32_t sequence = ++sequence_;
    asked_[sequence] = link_.Beat(sequence, echo_ms_);
    next_beat_ns_ += uint64_t{echo_ms_} * 1000000u;
  }

  void Take() {
    std::vector<Arrival> arrivals;
    if (!link_.Read(&arrivals)) probe::Fail("the node has closed the link");
    for (const Arrival& arrival : arrivals) {
      if (arrival.kind == FrameKind::kEcho) TakeEcho(arrival);
      if (arrival.kind == FrameKind::kHeartbeat) TakeBeat(arrival);
    }
  }

  // A node that has read several beats answers the newest: that one reply is the reply to all of them.
  void TakeEcho(const Arrival& echo) {
    const auto end = asked_.upper_bound(echo.sequence);
    for (auto asked = asked_.begin(); asked != end; ++asked)
      echoes_ms_.push_back(Milliseconds(asked->second, echo.at_ns));
    asked_.erase(asked_.begin(), end);
  }

  void TakeBeat(const Arrival& beat) {
    if (last_beat_ns_ != 0) {
      const double interval_ms = Milliseconds(last_beat_ns_, beat.at_ns);
      intervals_ms_.push_back(interval_ms);
      deviations_ms_.push_back(std::abs(interval_ms - watch_ms_));
    }
    last_beat_ns_ = beat.at_ns;
  }

  // A reply that is overdue counts with its lateness so far, or silence would look like the best of answers.
  size_t CountUnanswered() {
    size_t count = 0;
    const uint64_t now_ns = probe::RealtimeNs();
    for (const auto& [sequence, at_ns] : asked_) {
      const double age_ms = Milliseconds(at_ns, now_ns);
      if (age_ms < 2 * echo_ms_) break;
      echoes_ms_.push_back(age_ms);
      ++count;
    }
    return count;
  }

  // False at the end of stdin.
  bool Command() {
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0) return false;
    printf("{");
    const size_t unanswered = CountUnanswered();
    PrintDistribution("echoes", echoes_ms_);
    printf(",\"unanswered\":%zu,", unanswered);
    PrintDistribution("intervals", intervals_ms_);
    printf(",");
    PrintDistribution("deviations", deviations_ms_);
    printf("}\n");
    fflush(stdout);
    echoes_ms_.clear();
    intervals_ms_.clear();
    deviations_ms_.clear();
    return true;
  }

  probe::Link link_;
  const uint32_t watch_ms_;
  const uint32_t echo_ms_;
  uint32_t sequence_ = 0;
  uint64_t next_beat_ns_ = 0;
  uint64_t last_beat_ns_ = 0;
  std::map<uint32_t, uint64_t> asked_;  // when, by sequence
  std::vector<double> echoes_ms_;
  std::vector<double> intervals_ms_;
  std::vector<double> deviations_ms_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count == 4 && std::string(arguments[3]) == "idle") return probe::RunIdle(arguments[1], arguments[2]);
  if (count != 5) {
    fprintf(stderr, "probe: ADDRESS CLUSTER WATCH_MS ECHO_MS\n");
    return 2;
  }
  // Where it is allowed, ahead of the load that it observes.
  const sched_param first{1};
  sched_setscheduler(0, SCHED_FIFO, &first);
  Probe(arguments[1], arguments[2], static_cast<uint32_t>(atoi(arguments[3])),
        static_cast<uint32_t>(atoi(arguments[4])))
      .Run();
  return 0;
}
