// The raw server: one epoll loop, one read and one write per readable connection.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <unordered_map>

#include "frames.h"

namespace bench {
namespace {

class Server {
 public:
  explicit Server(bool counting) : counting_(counting), epoll_(epoll_create1(0)) {
    uint16_t port = 0;
    listener_ = Listen(&port);
    Watch(epoll_, listener_, EPOLLIN, false);
    Watch(epoll_, STDIN_FILENO, EPOLLIN, false);
    printf("{\"ready\":\"127.0.0.1:%u\"}\n", port);
    fflush(stdout);
  }

  // Until "stop", or until the coordinator is gone.
  void Run() {
    epoll_event events[256];
    for (;;) {
      const int count = epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == STDIN_FILENO) {
          const std::string line = ReadLine();
          if (line != "usage") return;
          PrintUsage();
        } else if (fd == listener_) {
          Accept();
        } else {
          Serve(fd);
        }
      }
    }
  }

 private:
  void Accept() {
    for (int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK); fd >= 0;
         fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connections_.emplace(fd, std::make_unique<Connection>(fd));
      Watch(epoll_, fd, EPOLLIN, false);
    }
  }

  void Serve(int fd) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;
    Connection& connection = *found->second;
    const auto status = connection.ReadFrames([&](uint32_t correlation, const uint8_t* body, size_t bytes) {
      if (correlation == 0) {
        received_ += 1;
      } else if (counting_) {
        AppendFrame(&connection.out(), correlation, reinterpret_cast<const uint8_t*>(&received_),
                    sizeof received_);
      } else {
        AppendFrame(&connection.out(), correlation, body, bytes);
      }
    });
    if (status == Connection::Status::kClosed) {
      close(fd);
      connections_.erase(found);
      return;
    }
    const bool blocked = !connection.Flush();
    if (blocked != waits_.contains(fd)) {
      Watch(epoll_, fd, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, true);
      if (blocked)
        waits_.emplace(fd, true);
      else
        waits_.erase(fd);
    }
  }

  const bool counting_;
  const int epoll_;
  int listener_ = -1;
  uint64_t received_ = 0;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::unordered_map<int, bool> waits_;  // for room to write
};

}  // namespace

int RunServer(bool counting) {
  Server(counting).Run();
  return 0;
}

}  // namespace bench
