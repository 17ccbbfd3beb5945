// Frames of the control lane: `u32 length | FrameHeader | body`, with the fixed layouts of `frame.fbs`.
// Read and written by layout, without a FlatBuffers runtime. Nothing here trusts a length off the wire:
// FrameReader keeps what has arrived, never what was promised.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bytes.h"

namespace skein::core {

// One incarnation; 0 means none.
using Uid = uint64_t;

enum class FrameKind : uint8_t {
  kNone = 0,
  kHello = 1,
  kHelloAck = 2,
  kReady = 3,
  kRefusal = 4,
  kHeartbeat = 5,
  kEcho = 6,
  kWatch = 7,
  kMessage = 8,
  kQuarantined = 9,
  kGoodbye = 10,
};

enum class Lane : uint8_t { kControl = 0, kOrdinary = 1, kLarge = 2 };

inline constexpr uint8_t kFlagEchoWanted = 1;
// Of a hello: a nonce follows the strings, and in an ack the proofs follow the nonce.
inline constexpr uint8_t kHelloFlagProof = 1;

enum class RefusalReason : uint16_t {
  kNone = 0,
  kClusterMismatch = 1,
  kVersionUnsupported = 2,
  kQuarantined = 3,
  kSuperseded = 4,
  kSameUid = 5,
  kMalformed = 6,
  kBusy = 7,
  kShuttingDown = 8,
  kUnauthenticated = 9,
};

enum class QuarantineReason : uint16_t {
  kNone = 0,
  kRemovedAfterDown = 1,
  kReliableDeliveryFailed = 2,
  kDeathWatch = 3,
  kOperator = 4,
};

enum class GoodbyeReason : uint16_t {
  kNone = 0,
  kSuperseded = 1,
  kRemoved = 2,
  kShutdown = 3,
  kUnwanted = 4,
};

struct FrameHeader {
  uint32_t crc;  // of the rest of the header and of the body
  FrameKind kind;
  uint8_t flags;
  Lane lane;
  uint8_t reserved;
  uint32_t correlation;
  uint32_t sequence;
};

struct HeartbeatBody {
  uint64_t sent_us;
  uint32_t loop_age_ms;
  uint32_t interval_ms;
};

struct HelloBody {
  uint32_t magic;
  uint16_t version_min;
  uint16_t version_max;
  Uid uid;
  uint64_t features;
  uint64_t reserved;
  uint32_t dial;
  Lane lane;
  uint8_t flags;
  uint16_t cluster_length;
  uint16_t node_id_length;
  uint16_t bind_host_length;
  uint16_t bind_port;
  uint16_t advertised_host_length;
  uint16_t advertised_port;
  uint16_t dialed_host_length;
  uint16_t dialed_port;
  uint16_t padding;
};

struct RefusalBody {
  Uid uid;
  RefusalReason reason;
  uint16_t version_min;
  uint16_t version_max;
  uint16_t detail;
  uint32_t dial;
  uint32_t reserved;
};

struct WatchBody {
  uint32_t interval_ms;
};

struct QuarantineBody {
  Uid uid;
  QuarantineReason reason;
  uint16_t padding[3];
};

struct GoodbyeBody {
  GoodbyeReason reason;
};

// The layouts of `src/wire/schema/frame.fbs`. A size or an offset that moves is a wire break.
static_assert(sizeof(FrameHeader) == 16 && offsetof(FrameHeader, kind) == 4);
static_assert(offsetof(FrameHeader, flags) == 5 && offsetof(FrameHeader, lane) == 6);
static_assert(offsetof(FrameHeader, correlation) == 8 && offsetof(FrameHeader, sequence) == 12);
static_assert(sizeof(HeartbeatBody) == 16 && offsetof(HeartbeatBody, loop_age_ms) == 8);
static_assert(offsetof(HeartbeatBody, interval_ms) == 12);
static_assert(sizeof(HelloBody) == 56 && offsetof(HelloBody, version_min) == 4);
static_assert(offsetof(HelloBody, uid) == 8 && offsetof(HelloBody, features) == 16);
static_assert(offsetof(HelloBody, dial) == 32 && offsetof(HelloBody, lane) == 36);
static_assert(offsetof(HelloBody, flags) == 37);
static_assert(offsetof(HelloBody, cluster_length) == 38 && offsetof(HelloBody, bind_port) == 44);
static_assert(offsetof(HelloBody, advertised_port) == 48 && offsetof(HelloBody, dialed_port) == 52);
static_assert(sizeof(RefusalBody) == 24 && offsetof(RefusalBody, reason) == 8);
static_assert(offsetof(RefusalBody, detail) == 14 && offsetof(RefusalBody, dial) == 16);
static_assert(sizeof(WatchBody) == 4);
static_assert(sizeof(QuarantineBody) == 16 && offsetof(QuarantineBody, reason) == 8);
static_assert(sizeof(GoodbyeBody) == 2);

inline constexpr uint32_t kLengthBytes = 4;
inline constexpr uint32_t kHeaderBytes = sizeof(FrameHeader);
// Bytes of a frame that are not its body.
inline constexpr uint32_t kOverheadBytes = kLengthBytes + kHeaderBytes;

// "SKN1" read as bytes.
inline constexpr uint32_t kHelloMagic = 0x314E4B53;

using FrameHead = std::array<uint8_t, kOverheadBytes>;

// Length field and header, CRC included, of a frame whose body follows.
FrameHead EncodeHead(FrameKind kind, uint8_t flags, uint32_t sequence, Bytes body);

// A whole frame around a fixed struct.
template <typename Body>
std::array<uint8_t, kOverheadBytes + sizeof(Body)> EncodeFrame(FrameKind kind, uint8_t flags,
                                                               uint32_t sequence, const Body& body) {
  std::array<uint8_t, kOverheadBytes + sizeof(Body)> frame;
  Store(frame.data() + kOverheadBytes, body);
  const FrameHead head =
      EncodeHead(kind, flags, sequence, Bytes(frame.data() + kOverheadBytes, sizeof(Body)));
  std::memcpy(frame.data(), head.data(), head.size());
  return frame;
}

// A frame off the wire: header and body in place. Valid until the reader is fed or asked again.
struct FrameView {
  FrameHeader header;
  Bytes content;  // header and body, as they were checked in

  Bytes Body() const { return content.subspan(kHeaderBytes); }
  bool CrcMatches() const;
  // Reads a fixed struct off the front of the body; a longer body is a later version's. False if too short.
  template <typename T>
  bool Read(T* to) const {
    if (Body().size() < sizeof(T)) return false;
    *to = Load<T>(Body().data());
    return true;
  }
};

// True for a kind that this version has a name for.
bool IsKnownKind(FrameKind kind);

// Cuts a byte stream into frames. Frames that lie whole in the input are not copied.
class FrameReader {
 public:
  enum class Status : uint8_t { kFrame, kNeedMore, kTooLarge, kTooShort };

  // `input` must outlive the calls of Next up to the one that answers kNeedMore.
  void Feed(Bytes input);

  // The next frame, no longer than `length_max` after its length field. kTooLarge and kTooShort are final.
  Status Next(uint32_t length_max, FrameView* frame);

  // What was fed and not yet read, after a frame: no longer ours to keep.
  Bytes TakeRest() { return std::exchange(input_, {}); }

  // True when the stream stands inside a frame.
  bool HasPartial() const { return !partial_.empty() && !partial_delivered_; }

 private:
  Status NextFromPartial(uint32_t length_max, FrameView* frame);
  // Moves input into `partial_` until it holds `size` bytes; false when the input ran out first.
  bool FillPartial(size_t size);
  void ReleasePartial();

  Bytes input_;
  std::vector<uint8_t> partial_;
  bool partial_delivered_ = false;
};

}  // namespace skein::core
