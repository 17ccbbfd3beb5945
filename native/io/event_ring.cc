// The ring and its overflow. Records never wrap: one that does not fit before the end starts over at offset
// 0, behind a zero length that tells the reader to do the same.
#include "event_ring.h"

#include <algorithm>
#include <cstring>

#include "../core/limits.h"
#include "event_record.h"

namespace skein::io {
namespace {

// What tells an operator something but changes no state of ours: may be dropped while the inbox is full.
bool IsInformational(core::EventType type) {
  return type == core::EventType::kBadInput || type == core::EventType::kGated ||
         type == core::EventType::kRefused || type == core::EventType::kPaused ||
         type == core::EventType::kStalled;  // an edge that is not taken is raised again by the next beat
}

}  // namespace

EventRing::EventRing(uint8_t* memory, uint32_t capacity) : memory_(memory), capacity_(capacity) {}

bool EventRing::Full() const {
  return overflow_bytes_.load(std::memory_order_relaxed) >= core::limits::kInboxBytesMax;
}

bool EventRing::Put(const core::Event& event) {
  if (event.type != core::EventType::kMessage) {
    if (IsInformational(event.type) && Full()) return false;
    const Record record = EncodeEvent(event);
    PutRecord(record, {});
    return true;
  }
  // All of a message or nothing: half of one would block the assembly for ever.
  const uint64_t spilled_bytes = overflow_bytes_.load(std::memory_order_relaxed);
  // Only messages are bounded here. What else there is follows from links, which are refused while this is
  // full.
  if (spilled_bytes + event.bytes.size() > core::limits::kInboxBytesMax) return false;
  const size_t chunk_max = capacity_ / 4 - sizeof(MessageRecord);
  size_t offset = 0;
  do {
    const size_t chunk = std::min(event.bytes.size() - offset, chunk_max);
    const MessageRecord head =
        MessageHead(event, static_cast<uint32_t>(offset), static_cast<uint32_t>(chunk));
    uint8_t bytes[sizeof(head)];
    core::Store(bytes, head);
    PutRecord(bytes, event.bytes.subspan(offset, chunk));
    offset += chunk;
  } while (offset < event.bytes.size());
  return true;
}

void EventRing::PutRecord(core::Bytes head, core::Bytes tail) {
  // Only this thread sets `spilled_`, so what is read as false stays false here.
  if (!spilled_.load(std::memory_order_acquire) && WriteToRing(head, tail)) return;
  Record record(PaddedTo8(head.size() + tail.size()));
  std::memcpy(record.data(), head.data(), head.size());
  if (!tail.empty()) std::memcpy(record.data() + head.size(), tail.data(), tail.size());
  const std::lock_guard<std::mutex> lock(mutex_);
  overflow_bytes_.fetch_add(record.size(), std::memory_order_relaxed);
  overflow_.push_back(std::move(record));
  spilled_.store(true, std::memory_order_release);
}

bool EventRing::WriteToRing(core::Bytes head, core::Bytes tail) {
  const uint32_t size = PaddedTo8(head.size() + tail.size());
  uint64_t position = head_.load(std::memory_order_relaxed);
  // Positions only ever grow; 2^64 bytes are not reached.
  const uint64_t room = capacity_ - (position - tail_.load(std::memory_order_acquire));
  const auto offset = static_cast<uint32_t>(position & (capacity_ - 1));
  const uint32_t before_end = capacity_ - offset;
  const bool wraps = size > before_end;
  if (room < size + (wraps ? before_end : 0)) return false;
  uint8_t* to = memory_ + offset;
  if (wraps) {
    core::Store(to, uint32_t{0});
    to = memory_;
    position += before_end;
  }
  std::memcpy(to, head.data(), head.size());
  if (!tail.empty()) std::memcpy(to + head.size(), tail.data(), tail.size());
  head_.store(position + size, std::memory_order_release);
  return true;
}

uint64_t EventRing::Consume(uint64_t position) {
  tail_.store(position, std::memory_order_release);
  return Available();
}

uint64_t EventRing::Available() {
  if (spilled_.load(std::memory_order_acquire)) Refill();
  return head_.load(std::memory_order_acquire);
}

void EventRing::Refill() {
  for (;;) {
    while (!refill_.empty()) {
      const Record& record = refill_.front();
      // The ring is full again; the next Consume goes on from here.
      if (!WriteToRing(record, {})) return;
      overflow_bytes_.fetch_sub(record.size(), std::memory_order_relaxed);
      refill_.pop_front();
    }
    // Under the lock: the producer either sees the flag cleared, or has put its record where this loop finds
    // it.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (overflow_.empty()) {
      spilled_.store(false, std::memory_order_release);
      return;
    }
    refill_.swap(overflow_);
  }
}

}  // namespace skein::io
