// Addresses at which nobody answers, each on a port of its own: some refuse, some never complete a
// connection, and some complete it in the kernel and say nothing, as a stopped process does.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"

namespace bench {
namespace {

struct Bound {
  int fd;
  uint16_t port;
};

// A port that is ours and has no listener: the kernel answers every SYN with a reset.
Bound Bind() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0) Fail("bind");
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) Fail("getsockname");
  return {fd, ntohs(at.sin_port)};
}

void PrintPorts(const char* name, const std::vector<Bound>& sockets) {
  printf("\"%s\":[", name);
  for (size_t i = 0; i < sockets.size(); ++i) printf("%s%u", i > 0 ? "," : "", sockets[i].port);
  printf("]");
}

}  // namespace

int RunDead(uint32_t refusing, uint32_t blackholed, uint32_t silent) {
  std::vector<Bound> refuse, hold, fillers, stopped;
  for (uint32_t i = 0; i < refusing; ++i) refuse.push_back(Bind());
  for (uint32_t i = 0; i < blackholed; ++i) {
    const Bound listener = Bind();
    // A backlog of nothing holds one connection that is never accepted; every later SYN is dropped.
    if (listen(listener.fd, 0) != 0) Fail("listen");
    const Bound filler = Bind();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(listener.port);
    if (connect(filler.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) Fail("connect");
    hold.push_back(listener);
    fillers.push_back(filler);
  }
  for (uint32_t i = 0; i < silent; ++i) {
    const Bound listener = Bind();
    if (listen(listener.fd, 4096) != 0) Fail("listen");
    stopped.push_back(listener);
  }
  printf("{");
  PrintPorts("refusing", refuse);
  printf(",");
  PrintPorts("blackholed", hold);
  printf(",");
  PrintPorts("silent", stopped);
  printf(",");
  PrintPorts("fillers", fillers);
  printf("}\n");
  fflush(stdout);
  ReadLine();
  return 0;
}

}  // namespace bench
