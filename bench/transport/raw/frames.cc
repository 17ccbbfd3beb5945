// Sockets, clocks and lines.
#include "frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace bench {

long Connection::Receive(uint8_t* to, size_t bytes) {
  const ssize_t got = recv(fd_, to, bytes, 0);
  if (got >= 0) return got;
  return errno == EAGAIN || errno == EINTR ? -1 : 0;
}

bool Connection::Flush() {
  while (written_ < out_.size()) {
    const ssize_t sent = send(fd_, out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0)
      return errno != EAGAIN;  // a broken connection takes nothing any more; its end is read as such
    written_ += static_cast<size_t>(sent);
  }
  out_.clear();
  written_ = 0;
  return true;
}

void Fail(const char* what) {
  fprintf(stderr, "raw: %s: %s\n", what, strerror(errno));
  exit(1);
}

void SetNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK); }

void Watch(int epoll, int fd, uint32_t events, bool known) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) Fail("epoll_ctl");
}

int ConnectTo(const std::string& address) {
  const size_t colon = address.find(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  if (colon == std::string::npos || inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1 ||
      (ntohl(to.sin_addr.s_addr) >> 24) != 127) {
    fprintf(stderr, "raw: \"%s\" is no loopback address\n", address.c_str());
    exit(2);
  }
  to.sin_port = htons(static_cast<uint16_t>(atoi(address.c_str() + colon + 1)));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) Fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SetNonBlocking(fd);
  return fd;
}

int Listen(uint16_t* port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(fd, 1024) != 0)
    Fail("listen");
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) Fail("getsockname");
  SetNonBlocking(fd);
  *port = ntohs(at.sin_port);
  return fd;
}

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t CpuUs() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1000000u + static_cast<uint64_t>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

uint64_t RssBytes() {
  unsigned long pages = 0;
  if (FILE* file = fopen("/proc/self/statm", "r")) {
    if (fscanf(file, "%*u %lu", &pages) != 1) pages = 0;
    fclose(file);
  }
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void PrintUsage() {
  printf("{\"cpuUs\":%llu,\"rssBytes\":%llu}\n", static_cast<unsigned long long>(CpuUs()),
         static_cast<unsigned long long>(RssBytes()));
  fflush(stdout);
}

std::string ReadLine() {
  std::string line;
  char next;
  while (read(STDIN_FILENO, &next, 1) == 1 && next != '\n') line.push_back(next);
  return line;
}

}  // namespace bench
