// The raw client: the same three ways of driving a connection as the JavaScript one, without promises.
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "frames.h"

namespace bench {
namespace {

// Samples kept per run; at 10 us a round trip that is 40 s.
constexpr size_t kSamplesMax = 4'000'000;
// Messages of one write, one way: as many as the JavaScript driver sends in one turn.
constexpr size_t kBurstBytes = 256 * 1024;

struct Outcome {
  uint64_t messages = 0;
  uint64_t elapsed_ns = 0;
};

class Client {
 public:
  Client(const std::string& address, size_t bytes)
      : connection_(ConnectTo(address)), epoll_(epoll_create1(0)), body_(bytes, 0x5a) {
    Watch(epoll_, connection_.fd(), EPOLLIN, false);
    samples_.reserve(kSamplesMax);
  }

  Outcome RoundTrips(double seconds) {
    samples_.clear();
    const uint64_t started = NowNs();
    const uint64_t end = started + ToNs(seconds);
    Outcome outcome;
    for (uint64_t before = started; before < end; before = NowNs()) {
      Request(1);
      Flush();
      AwaitAnswers(1);
      if (samples_.size() < kSamplesMax) samples_.push_back(static_cast<uint32_t>(NowNs() - before));
      outcome.messages += 1;
    }
    outcome.elapsed_ns = NowNs() - started;
    return outcome;
  }

  Outcome Window(uint32_t window, double seconds) {
    const uint64_t started = NowNs();
    const uint64_t end = started + ToNs(seconds);
    Outcome outcome;
    Request(window);
    Flush();
    uint32_t in_flight = window;
    for (uint64_t now = started; now < end; now = NowNs()) {
      const uint32_t answered = AwaitAnswers(1);
      outcome.messages += answered;
      Request(answered);
      Flush();
    }
    outcome.elapsed_ns = NowNs() - started;
    while (in_flight > 0) in_flight -= std::min(in_flight, AwaitAnswers(1));
    return outcome;
  }

  Outcome OneWay(double seconds) {
    const uint64_t before = Counted();
    const uint64_t started = NowNs();
    const uint64_t end = started + ToNs(seconds);
    const size_t burst = std::max<size_t>(1, kBurstBytes / (kHeadBytes + body_.size()));
    std::vector<uint8_t> frames;
    for (size_t i = 0; i < burst; ++i) AppendFrame(&frames, 0, body_.data(), body_.size());
    uint64_t sent = 0;
    while (NowNs() < end) {
      connection_.out().insert(connection_.out().end(), frames.begin(), frames.end());
      Flush();
      sent += burst;
    }
    const uint64_t received = Counted() - before;
    if (received != sent) Fail("the receiver did not count every message");
    return {received, NowNs() - started};
  }

  std::vector<uint32_t>& samples() { return samples_; }

 private:
  static uint64_t ToNs(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }

  void Request(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
      AppendFrame(&connection_.out(), ++correlation_ | 1, body_.data(), body_.size());
  }

  // Writes everything. Answers are read meanwhile: neither end may stand with both directions full.
  void Flush() {
    if (connection_.Flush()) return;
    Watch(epoll_, connection_.fd(), EPOLLIN | EPOLLOUT, true);
    do {
      epoll_event event;
      epoll_wait(epoll_, &event, 1, -1);
      if ((event.events & EPOLLIN) != 0) Read();
    } while (!connection_.Flush());
    Watch(epoll_, connection_.fd(), EPOLLIN, true);
  }

  void Read() {
    const auto status = connection_.ReadFrames([this](uint32_t, const uint8_t* body, size_t bytes) {
      answers_ += 1;
      if (bytes == sizeof counted_) std::memcpy(&counted_, body, bytes);
    });
    if (status == Connection::Status::kClosed) Fail("the server has closed the connection");
  }

  // Waits for at least so many answers and takes all that are there.
  uint32_t AwaitAnswers(uint32_t at_least) {
    while (answers_ < at_least) {
      epoll_event event;
      epoll_wait(epoll_, &event, 1, -1);
      Read();
    }
    return std::exchange(answers_, 0);
  }

  // What the server has counted; it answers in order, hence after everything that was sent before.
  uint64_t Counted() {
    Request(1);
    Flush();
    AwaitAnswers(1);
    return counted_;
  }

  Connection connection_;
  const int epoll_;
  const std::vector<uint8_t> body_;
  uint32_t correlation_ = 0;
  uint32_t answers_ = 0;
  uint64_t counted_ = 0;
  std::vector<uint32_t> samples_;
};

double PercentileUs(std::vector<uint32_t>* samples, double share) {
  const size_t last = samples->size() - 1;
  const auto at =
      samples->begin() + static_cast<ptrdiff_t>(std::min(
                             last, static_cast<size_t>(share * static_cast<double>(samples->size()))));
  std::nth_element(samples->begin(), at, samples->end());
  return *at / 1000.0;
}

}  // namespace

int RunClient(const std::string& address, const std::string& kind, size_t bytes, uint32_t window,
              double warm_seconds, double seconds) {
  Client client(address, bytes);
  const auto run = [&](double duration) {
    if (kind == "rtt") return client.RoundTrips(duration);
    if (kind == "window") return client.Window(window, duration);
    return client.OneWay(duration);
  };
  run(warm_seconds);
  printf("{\"warm\":true}\n");
  fflush(stdout);
  if (ReadLine() != "go") return 0;
  const uint64_t cpu_before = CpuUs();
  const Outcome outcome = run(seconds);
  const uint64_t cpu_us = CpuUs() - cpu_before;
  printf("{\"messages\":%llu,\"seconds\":%.6f,\"cpuUs\":%llu",
         static_cast<unsigned long long>(outcome.messages), static_cast<double>(outcome.elapsed_ns) / 1e9,
         static_cast<unsigned long long>(cpu_us));
  if (kind == "rtt") {
    printf(",\"p50Us\":%.2f,\"p99Us\":%.2f,\"p999Us\":%.2f", PercentileUs(&client.samples(), 0.5),
           PercentileUs(&client.samples(), 0.99), PercentileUs(&client.samples(), 0.999));
  }
  printf("}\n");
  fflush(stdout);
  ReadLine();
  return 0;
}

int RunIdle(const std::string& address, uint32_t connections) {
  // "open N" on stdin opens N more and answers when the server has taken them: each has had one answer.
  std::vector<int> open;
  for (std::string line = ReadLine(); line.starts_with("open "); line = ReadLine()) {
    const uint32_t more = std::min<uint32_t>(static_cast<uint32_t>(atoi(line.c_str() + 5)), connections);
    for (uint32_t i = 0; i < more; ++i) {
      const int fd = ConnectTo(address);
      std::vector<uint8_t> frame;
      AppendFrame(&frame, 1, nullptr, 0);
      if (write(fd, frame.data(), frame.size()) != static_cast<ssize_t>(frame.size())) Fail("write");
      open.push_back(fd);
    }
    for (size_t i = open.size() - more; i < open.size(); ++i) {
      const int epoll = epoll_create1(0);
      uint8_t answer[kHeadBytes];
      Watch(epoll, open[i], EPOLLIN, false);
      epoll_event event;
      epoll_wait(epoll, &event, 1, -1);
      if (read(open[i], answer, sizeof answer) <= 0) Fail("read");
      close(epoll);
    }
    printf("{\"opened\":%zu,\"rssBytes\":%llu}\n", open.size(), static_cast<unsigned long long>(RssBytes()));
    fflush(stdout);
  }
  return 0;
}

}  // namespace bench
