// What a control plane does to the world. The shell (`native/io`) implements it on sockets, a test in memory.
// No call may re-enter the control plane: outcomes come back later, as inputs.
#pragma once

#include <cstdint>

#include "events.h"

namespace skein::core {

// A data lane whose handshake is complete. `(dial, dialler)` orders the sockets of one lane.
struct LaneHandOver {
  PeerIdentity peer;
  Lane lane = Lane::kOrdinary;
  uint32_t dial = 0;
  Uid dialler = 0;
};

class Effects {
 public:
  virtual ~Effects() = default;

  // Begins to connect; answered by OnConnected or OnConnectFailed, unless destroyed before.
  virtual void Dial(ConnectionId id, const Endpoint& to) = 0;
  // Queues head and body, in order; returns how many bytes were ever queued on this connection.
  virtual uint64_t Write(ConnectionId id, Bytes head, Bytes body) = 0;
  // How many of the bytes ever queued the kernel has taken.
  virtual uint64_t WrittenBytes(ConnectionId id) const = 0;
  // Ends our side once the queue is written; reading goes on.
  virtual void Shutdown(ConnectionId id) = 0;
  // What Destroy does to this connection is to be a reset: nothing was agreed on it, and nobody may be there to
  // end the other side.
  virtual void Reset(ConnectionId id) = 0;
  // Closes at once; the id is never heard of again.
  virtual void Destroy(ConnectionId id) = 0;
  // The socket leaves the control plane: the id is never heard of again, and Destroy is not called for it.
  // What was queued by Write goes out first. `unread` are bytes read past the handshake, valid during the
  // call.
  virtual void HandOver(ConnectionId id, const LaneHandOver& lane, Bytes unread) = 0;

  // False when a message did not fit into the bounded inbox and was not taken. Other events always fit.
  virtual bool Emit(const Event& event) = 0;
  // True while the inbox is at its bound: nothing that feeds it may be started.
  virtual bool InboxFull() const = 0;

  // Pings the JavaScript loop if it is time to, and returns the age of its oldest unanswered ping.
  virtual uint32_t LoopAgeMs(uint64_t now_us) = 0;
};

}  // namespace skein::core
