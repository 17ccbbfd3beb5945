// Frames of the raw peer, the same as those of the node:net one: u32 length of what follows, u32 correlation,
// body. Correlation 0 is a message that is only counted. Also what both ends share: buffers, sockets, usage,
// lines on stdout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bench {

inline constexpr size_t kHeadBytes = 8;
// Free space offered to each read; larger frames grow the buffer to their own size.
inline constexpr size_t kReadBytes = 256 * 1024;
inline constexpr uint32_t kFrameBytesMax = 64 * 1024 * 1024;

inline void AppendFrame(std::vector<uint8_t>* to, uint32_t correlation, const uint8_t* body, size_t bytes) {
  const uint32_t head[2] = {static_cast<uint32_t>(bytes + 4), correlation};
  const size_t at = to->size();
  to->resize(at + kHeadBytes + bytes);
  std::memcpy(to->data() + at, head, kHeadBytes);
  if (bytes > 0) std::memcpy(to->data() + at + kHeadBytes, body, bytes);
}

// Bytes of one connection, in and out.
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}

  int fd() const { return fd_; }
  std::vector<uint8_t>& out() { return out_; }

  enum class Status { kOpen, kClosed };

  // Reads once and hands every whole frame to `on_frame(correlation, body, bytes)`.
  template <typename OnFrame>
  Status ReadFrames(const OnFrame& on_frame) {
    if (in_.empty()) in_.swap(spare_);
    if (in_.size() - end_ < kReadBytes) in_.resize(end_ + kReadBytes);
    const long got = Receive(in_.data() + end_, in_.size() - end_);
    if (got == 0) return Status::kClosed;
    if (got < 0) return Status::kOpen;
    end_ += static_cast<size_t>(got);
    size_t at = 0;
    while (end_ - at >= kHeadBytes) {
      uint32_t head[2];
      std::memcpy(head, in_.data() + at, kHeadBytes);
      if (head[0] < 4 || head[0] > kFrameBytesMax) return Status::kClosed;
      const size_t whole = 4 + static_cast<size_t>(head[0]);
      if (end_ - at < whole) {
        if (in_.size() < at + whole) in_.resize(at + whole);
        break;
      }
      on_frame(head[1], in_.data() + at + kHeadBytes, head[0] - 4);
      at += whole;
    }
    if (at > 0 && at < end_) std::memmove(in_.data(), in_.data() + at, end_ - at);
    end_ -= at;
    if (end_ == 0) in_.swap(spare_);
    return Status::kOpen;
  }

  // Writes what the socket takes. True when nothing is left.
  bool Flush();

 private:
  // Bytes read, 0 at the end of the stream or after an error, -1 when there is nothing to read now.
  long Receive(uint8_t* to, size_t bytes);

  // One read buffer for all connections; only what is left of a frame keeps one.
  static inline std::vector<uint8_t> spare_;

  int fd_;
  std::vector<uint8_t> in_;
  size_t end_ = 0;
  std::vector<uint8_t> out_;
  size_t written_ = 0;
};

// An address as the coordinator hands it over, "127.0.0.1:4711"; ends the process when it is none of this
// machine.
int ConnectTo(const std::string& address);
// Listens on a free port of 127.0.0.1.
int Listen(uint16_t* port);
void SetNonBlocking(int fd);
void Watch(int epoll, int fd, uint32_t events, bool known);

uint64_t NowNs();
uint64_t CpuUs();
uint64_t RssBytes();
// `{"cpuUs": ..., "rssBytes": ...}`
void PrintUsage();
// One line of stdin without its end; empty at the end of the stream.
std::string ReadLine();
[[noreturn]] void Fail(const char* what);

int RunServer(bool counting);
int RunClient(const std::string& address, const std::string& kind, size_t bytes, uint32_t window,
              double warm_seconds, double seconds);
int RunIdle(const std::string& address, uint32_t connections);
int RunDead(uint32_t refusing, uint32_t blackholed, uint32_t silent);

}  // namespace bench
