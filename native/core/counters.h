// Counters of one transport. Written by the control thread (and, for refused sends, by the JavaScript
// thread), read by JavaScript at any time: hence relaxed atomics, which cost what plain additions cost.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "events.h"

namespace skein::core {

// Name in `counters()` and field here.
#define SKEIN_COUNTERS(X)                                                                  \
  X(framesIn, kFramesIn)                                                                   \
  X(framesOut, kFramesOut)                                                                 \
  X(bytesIn, kBytesIn)                                                                     \
  X(bytesOut, kBytesOut)                                                                   \
  X(beatsIn, kBeatsIn)                                                                     \
  X(beatsOut, kBeatsOut)                                                                   \
  X(beatsSkipped, kBeatsSkipped)                                                           \
  X(echoesIn, kEchoesIn)                                                                   \
  X(echoesOut, kEchoesOut)                                                                 \
  X(echoesSkipped, kEchoesSkipped)                                                         \
  X(dials, kDials)                                                                         \
  X(dialsFailed, kDialsFailed)                                                             \
  X(dialsAbandoned, kDialsAbandoned)                                                       \
  X(accepts, kAccepts)                                                                     \
  X(acceptsFailed, kAcceptsFailed) /* closed for want of a descriptor */                   \
  X(handshakesCompleted, kHandshakesCompleted)                                             \
  X(linksUp, kLinksUp)                                                                     \
  X(linksDown, kLinksDown)                                                                 \
  X(lanesOpened, kLanesOpened)                                                             \
  X(laneDialsFailed, kLaneDialsFailed)                                                     \
  X(superseded, kSuperseded)                                                               \
  X(refusedOut, kRefusedOut)                                                               \
  X(refusedIn, kRefusedIn)                                                                 \
  X(messagesIn, kMessagesIn)                                                               \
  X(messagesOut, kMessagesOut)                                                             \
  X(messagesDropped, kMessagesDropped) /* came on a connection that is no link any more */ \
  X(messagesLost, kMessagesLost)       /* accepted by send, then the link fell */          \
  X(sendNoLink, kSendNoLink)                                                               \
  X(sendOutboxFull, kSendOutboxFull)                                                       \
  X(inboxFull, kInboxFull)         /* links closed because JavaScript did not drain */     \
  X(eventsDropped, kEventsDropped) /* informational events while the inbox was full */     \
  X(wantedRefused, kWantedRefused) /* no address to dial, or too many wanted */            \
  X(selfPauses, kSelfPauses)                                                               \
  X(selfPausedMs, kSelfPausedMs)                                                           \
  X(quarantinedFramesDropped, kQuarantinedFramesDropped)                                   \
  X(quarantinedForgotten, kQuarantinedForgotten)                                           \
  X(wakeups, kWakeups) /* of the JavaScript loop, coalesced */

enum class Counter : uint8_t {
#define X(name, field) field,
  SKEIN_COUNTERS(X)
#undef X
      kCount,
};

class Counters {
 public:
  void Add(Counter counter, uint64_t by = 1) { Raise(&values_[static_cast<size_t>(counter)], by); }
  void Add(BadInputReason reason) { Raise(&bad_input_[static_cast<size_t>(reason)], 1); }
  uint64_t Get(Counter counter) const { return Read(values_[static_cast<size_t>(counter)]); }
  uint64_t Get(BadInputReason reason) const { return Read(bad_input_[static_cast<size_t>(reason)]); }

 private:
  static void Raise(std::atomic<uint64_t>* value, uint64_t by) {
    value->fetch_add(by, std::memory_order_relaxed);
  }
  static uint64_t Read(const std::atomic<uint64_t>& value) { return value.load(std::memory_order_relaxed); }

  std::array<std::atomic<uint64_t>, static_cast<size_t>(Counter::kCount)> values_{};
  std::array<std::atomic<uint64_t>, kBadInputReasons> bad_input_{};
};

}  // namespace skein::core
