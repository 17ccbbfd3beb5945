// A file descriptor, who closes it, and what its calls answer.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace skein::io {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    // Not repeated after EINTR: Linux has closed it by then, and the number may be somebody else's.
    if (fd_ >= 0) close(fd_);
  }

  bool IsOpen() const { return fd_ >= 0; }
  int Get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// Of a call on a descriptor that never blocks: nothing to take, or no room, for now.
inline bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace skein::io
