// One control link to a node under test, made by hand on skein's own codecs. Arrivals carry the kernel's time
// stamps, so that what is measured is the node and the wire, not when this process was scheduled.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "frame.h"

namespace probe {

struct Arrival {
  skein::core::FrameKind kind;
  uint32_t sequence;
  uint64_t at_ns;  // CLOCK_REALTIME, of the segment that completed the read
};

uint64_t RealtimeNs();
// A new incarnation.
skein::core::Uid NewUid();

class Link {
 public:
  // Dials and completes the handshake as this incarnation of `cluster`; ends the process with a reason when
  // it cannot.
  Link(const std::string& address, const std::string& cluster, skein::core::Uid uid,
       skein::core::Lane lane = skein::core::Lane::kControl);
  Link(const Link&) = delete;
  ~Link();

  int fd() const { return fd_; }

  // Asks for beats at this interval.
  void Watch(uint32_t interval_ms);
  // Sends a beat that asks for an echo; returns when it was written.
  uint64_t Beat(uint32_t sequence, uint32_t interval_ms);
  // Begins the stream of a data lane, has one request answered by `topic` and acknowledges that, as a peer
  // does that then idles.
  void UseLane(skein::core::Lane lane, const std::string& topic);
  // Reads once, without waiting, and appends what has arrived whole. False at the end of the stream.
  bool Read(std::vector<Arrival>* arrivals);

 private:
  void Write(const uint8_t* bytes, size_t size);

  int fd_;
  skein::core::FrameReader reader_;
};

// Holds idle links, and lanes beside them, for a node whose memory is measured; until stdin ends.
int RunIdle(const std::string& address, const std::string& cluster);

[[noreturn]] void Fail(const std::string& what);

}  // namespace probe
