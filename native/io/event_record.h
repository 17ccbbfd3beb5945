// The layout in which events cross to JavaScript, read by `src/transport/native/event-decoder.ts`.
// A record is a multiple of eight bytes. Messages carry their bytes after a short head, in chunks when they
// are longer than a quarter of the ring; all other events have the long head and five strings after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../core/events.h"

namespace skein::io {

struct MessageRecord {
  uint32_t record_bytes;  // whole record; 0: go on at the start of the ring
  core::EventType type;
  uint8_t reserved[3];
  uint64_t uid;
  uint32_t session;
  uint32_t message_bytes;  // of the whole message
  uint32_t chunk_offset;
  uint32_t chunk_bytes;  // of this record; the bytes follow
};

struct EventRecord {
  uint32_t record_bytes;
  core::EventType type;
  uint8_t reason;
  uint8_t on;
  uint8_t lane;
  uint64_t uid;  // of laneOpened: the dialler
  uint32_t session;
  uint32_t attempts;
  double phi;
  double ms;  // of laneOpened: under which number the socket is handed over
  uint64_t peer_uid;
  uint16_t address_port;
  uint16_t address_host_length;
  uint16_t peer_port;
  uint16_t peer_host_length;
  uint16_t bind_port;
  uint16_t bind_host_length;
  uint16_t node_id_length;
  uint16_t text_length;
};

static_assert(sizeof(MessageRecord) == 32 && offsetof(MessageRecord, uid) == 8);
static_assert(offsetof(MessageRecord, session) == 16 && offsetof(MessageRecord, chunk_bytes) == 28);
static_assert(sizeof(EventRecord) == 64 && offsetof(EventRecord, uid) == 8);
static_assert(offsetof(EventRecord, session) == 16 && offsetof(EventRecord, phi) == 24);
static_assert(offsetof(EventRecord, peer_uid) == 40 && offsetof(EventRecord, address_port) == 48);
static_assert(offsetof(EventRecord, text_length) == 62);

inline uint32_t PaddedTo8(size_t bytes) { return static_cast<uint32_t>((bytes + 7) & ~size_t{7}); }

// A whole record of any event but a message.
std::vector<uint8_t> EncodeEvent(const core::Event& event);

// The head of one chunk of a message.
MessageRecord MessageHead(const core::Event& message, uint32_t chunk_offset, uint32_t chunk_bytes);

}  // namespace skein::io
