// Events on their way to JavaScript: a ring in memory that JavaScript allocated, and a bounded overflow
// behind it. One producer (the control thread), one consumer (the JavaScript thread). While something has
// spilled, the consumer is the only one who writes to the ring, refilling it; so neither ever waits for the
// other's copying.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "../core/bytes.h"
#include "../core/events.h"

namespace skein::io {

class EventRing {
 public:
  // `capacity` is a power of two. The memory must outlive the last call of Put and Consume.
  EventRing(uint8_t* memory, uint32_t capacity);

  // --- control thread. False when a message finds the overflow at its bound; nothing was taken then.
  bool Put(const core::Event& event);
  // True while the overflow is at its bound.
  bool Full() const;

  // --- JavaScript thread. Positions count bytes from the beginning; `position % capacity` is the offset.
  // Refills too: the producer may have spilled just when the reader had emptied the ring.
  uint64_t Available();
  // Everything before `position` was read. Returns the new end, after a refill from the overflow.
  uint64_t Consume(uint64_t position);

 private:
  using Record = std::vector<uint8_t>;

  void PutRecord(core::Bytes head, core::Bytes tail);
  // False when there is no room now.
  bool WriteToRing(core::Bytes head, core::Bytes tail);
  void Refill();

  uint8_t* const memory_;
  const uint32_t capacity_;
  std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> tail_{0};

  // Set by the producer, cleared by the consumer, both under the mutex.
  std::atomic<bool> spilled_{false};
  std::atomic<uint64_t> overflow_bytes_{0};
  std::mutex mutex_;
  std::deque<Record> overflow_;  // guarded by mutex_
  std::deque<Record> refill_;    // the consumer's own
};

}  // namespace skein::io
