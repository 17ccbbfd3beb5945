#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>

#include "hello.h"
#include "limits.h"

namespace probe {

using skein::core::FrameKind;
using skein::core::FrameReader;
using skein::core::FrameView;

namespace {

int Dial(const std::string& host, uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &to.sin_addr) != 1 || (ntohl(to.sin_addr.s_addr) >> 24) != 127)
    Fail(host + " is no loopback address");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) Fail("cannot connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  return fd;
}

// Of `frame.fbs`; the headers of control and data frames are of one size, and hold their kind in one place.
enum class DataKind : uint8_t { kResume = 1, kAck = 2, kTopic = 3, kRequest = 5, kResponse = 6 };

std::string Words(std::initializer_list<uint32_t> words) {
  return std::string(reinterpret_cast<const char*>(words.begin()), words.size() * sizeof(uint32_t));
}

void AppendDataFrame(std::vector<uint8_t>* to, skein::core::Lane lane, DataKind kind, uint32_t topic,
                     uint32_t correlation, uint32_t sequence, const std::string& body) {
  uint8_t head[skein::core::kOverheadBytes] = {};
  skein::core::Store(head, static_cast<uint32_t>(skein::core::kHeaderBytes + body.size()));
  skein::core::Store(head + 4, topic);
  head[8] = static_cast<uint8_t>(kind);
  head[10] = static_cast<uint8_t>(lane);
  skein::core::Store(head + 12, correlation);
  skein::core::Store(head + 16, sequence);
  to->insert(to->end(), head, head + sizeof head);
  to->insert(to->end(), body.begin(), body.end());
}

std::vector<uint8_t> HelloFrame(const std::string& host, uint16_t port, const std::string& cluster,
                                skein::core::Uid uid, skein::core::Lane lane) {
  skein::core::Hello hello;
  hello.version_min = skein::core::limits::kProtocolVersionMin;
  hello.version_max = skein::core::limits::kProtocolVersionMax;
  hello.uid = uid;
  hello.lane = lane;
  hello.dial = 1;
  hello.cluster = cluster;
  hello.node_id = "probe";
  // Nothing listens there, and nothing dials it: the probe is never wanted.
  hello.bind = hello.advertised = {"127.0.0.1", 1};
  hello.dialed = {host, port};
  const std::vector<uint8_t> body = skein::core::EncodeHelloBody(hello);
  const auto head = skein::core::EncodeHead(FrameKind::kHello, 0, 0, body);
  std::vector<uint8_t> frame(head.begin(), head.end());
  frame.insert(frame.end(), body.begin(), body.end());
  return frame;
}

}  // namespace

void Fail(const std::string& what) {
  fprintf(stderr, "probe: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

uint64_t RealtimeNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

skein::core::Uid NewUid() {
  static uint64_t last = 0;
  last = std::max(last + 1, RealtimeNs());
  return last;
}

Link::~Link() { close(fd_); }

Link::Link(const std::string& address, const std::string& cluster, skein::core::Uid uid,
           skein::core::Lane lane) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) Fail("\"" + address + "\" is no address");
  const std::string host = address.substr(0, colon);
  const uint16_t port = static_cast<uint16_t>(atoi(address.c_str() + colon + 1));
  fd_ = Dial(host, port);
  const std::vector<uint8_t> hello = HelloFrame(host, port, cluster, uid, lane);
  Write(hello.data(), hello.size());
  std::vector<Arrival> arrivals;
  timeval patience{5, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  uint8_t first;
  while (arrivals.empty()) {
    if (recv(fd_, &first, 1, MSG_PEEK) != 1 || !Read(&arrivals)) Fail("no answer to the hello");
  }
  if (arrivals[0].kind != FrameKind::kHelloAck) Fail("the hello was refused");
  const auto ready = skein::core::EncodeHead(FrameKind::kReady, 0, 0, {});
  Write(ready.data(), ready.size());
}

void Link::Watch(uint32_t interval_ms) {
  const auto frame = skein::core::EncodeFrame(FrameKind::kWatch, 0, 0, skein::core::WatchBody{interval_ms});
  Write(frame.data(), frame.size());
}

uint64_t Link::Beat(uint32_t sequence, uint32_t interval_ms) {
  const uint64_t now_ns = RealtimeNs();
  const skein::core::HeartbeatBody body{now_ns / 1000, 0, interval_ms};
  const auto frame =
      skein::core::EncodeFrame(FrameKind::kHeartbeat, skein::core::kFlagEchoWanted, sequence, body);
  Write(frame.data(), frame.size());
  return now_ns;
}

void Link::UseLane(skein::core::Lane lane, const std::string& topic) {
  const std::string body(8, 'x');
  std::vector<uint8_t> frames;
  // Epoch 1 of ours, none of theirs seen, nothing received.
  AppendDataFrame(&frames, lane, DataKind::kResume, 0, 0, 0, Words({1, 0, 0, 0, 0, 0}));
  AppendDataFrame(&frames, lane, DataKind::kTopic, 1, 0, 1, topic);
  AppendDataFrame(&frames, lane, DataKind::kRequest, 1, 1, 2, body);
  Write(frames.data(), frames.size());
  std::vector<Arrival> arrivals;
  const auto answered = [&] {
    return std::any_of(arrivals.begin(), arrivals.end(), [](const Arrival& arrival) {
      return arrival.kind == static_cast<FrameKind>(DataKind::kResponse);
    });
  };
  uint8_t first;
  while (!answered()) {
    if (recv(fd_, &first, 1, MSG_PEEK) != 1 || !Read(&arrivals)) Fail("no answer on the lane");
  }
  std::vector<uint8_t> ack;
  const uint32_t received = static_cast<uint32_t>(skein::core::kOverheadBytes + body.size());
  AppendDataFrame(&ack, lane, DataKind::kAck, 0, 0, 0, Words({received, 0, 1, 0}));
  Write(ack.data(), ack.size());
}

bool Link::Read(std::vector<Arrival>* arrivals) {
  static uint8_t bytes[64 * 1024];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  iovec to{bytes, sizeof bytes};
  msghdr message{};
  message.msg_iov = &to;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(fd_, &message, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  uint64_t at_ns = RealtimeNs();
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp;
    memcpy(&stamp, CMSG_DATA(head), sizeof stamp);
    at_ns = static_cast<uint64_t>(stamp.tv_sec) * 1000000000u + static_cast<uint64_t>(stamp.tv_nsec);
  }
  reader_.Feed({bytes, static_cast<size_t>(got)});
  FrameView frame;
  FrameReader::Status status;
  while ((status = reader_.Next(skein::core::limits::kControlFrameBytesMax, &frame)) ==
         FrameReader::Status::kFrame)
    arrivals->push_back({frame.header.kind, frame.header.sequence, at_ns});
  return status == FrameReader::Status::kNeedMore;
}

void Link::Write(const uint8_t* bytes, size_t size) {
  // Small frames on a socket of its own; one that does not take them is broken.
  if (send(fd_, bytes, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) Fail("cannot write");
}

}  // namespace probe
