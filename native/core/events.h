// What a control plane tells the layer above, with the names of `src/transport/transport.ts`. The order of
// every enum is the code that crosses to JavaScript; `src/transport/native/event-codes.ts` lists the same
// order.
#pragma once

#include <cstdint>
#include <string_view>

#include "frame.h"
#include "hello.h"

namespace skein::core {

enum class EventType : uint8_t {
  kNone,
  kLinkUp,
  kLinkDown,
  kMessage,
  kGated,
  kRefused,
  kSuspicion,
  kStalled,
  kIdentityChanged,
  kProbed,
  kQuarantinedBy,
  kPaused,
  kBadInput,
  kStarted,      // listening; `address` is the advertised one
  kStartFailed,  // `text` says why
  kClosed,       // every socket is closed
  kLaneOpened,   // raised by the shell, for `reason` as the lane and `attempts` as the dial number
  kLaneFailed,   // `attempts` is the dial number
};

enum class LinkDownReason : uint8_t {
  kClosedByPeer,
  kResetByPeer,
  kSuperseded,
  kGoodbye,
  kBadInput,
  kQuarantined,
  kDisconnected,
  kOutboxFull,
  kIoError,
};

enum class BadInputReason : uint8_t {
  kFrameTooLarge,
  kFrameTooShort,
  kBadCrc,
  kBadMagic,
  kBadHello,
  kUnknownKind,
  kUnexpectedFrame,
  kTruncatedFrame,
  kHandshakeTimeout,
  kClusterMismatch,
  kVersionUnsupported,
  kQuarantined,
  kSameUid,
  kTooManyConnections,
  kUnauthenticated,
};

inline constexpr uint8_t kBadInputReasons = 15;

// As `transport.ts` and the counters spell it.
const char* NameOf(BadInputReason reason);

enum class GatedReason : uint8_t { kRefused, kTimeout, kUnreachable, kHandshake };

// The reasons of GatedReason, in their order, after one of its own.
enum class LaneFailedReason : uint8_t { kNoLink, kRefused, kTimeout, kUnreachable, kHandshake };

enum class SuspicionCause : uint8_t { kSilence, kGone };

enum class ProbeOutcome : uint8_t { kAlive, kGone, kUnknown };

// One connection of one control plane; never reused.
using ConnectionId = uint64_t;

// What a hello said of the other end.
struct PeerIdentity {
  Uid uid = 0;
  std::string node_id;
  Endpoint address;  // advertised: the one to dial and to name
  Endpoint bind;
};

// One event. Which fields mean something follows from the type; pointers are valid during the call only.
struct Event {
  EventType type = EventType::kNone;
  uint8_t reason = 0;  // code of the type's reason, cause or outcome
  bool on = false;     // suspected, stalled
  Uid uid = 0;
  uint32_t session = 0;
  uint32_t attempts = 0;
  double phi = 0;
  double ms = 0;                // silentMs, loopAgeMs, retryInMs, gapMs
  ConnectionId connection = 0;  // of linkUp; the name under which a laneOpened is handed over
  Lane lane = Lane::kControl;   // of laneFailed
  Uid dialler = 0;              // of laneOpened
  const Endpoint* address = nullptr;
  const PeerIdentity* peer = nullptr;
  std::string_view text = {};  // remote of badInput, message of startFailed
  Bytes bytes = {};            // payload of message
};

}  // namespace skein::core
