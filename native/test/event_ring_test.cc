// The ring between two threads: order, wholeness, and that a wake-up after each Put is enough to see
// everything.
#include "../io/event_ring.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "../core/backoff.h"
#include "../core/limits.h"
#include "../io/event_record.h"
#include "check.h"

namespace skein::io {
namespace {

constexpr uint32_t kCapacity = core::limits::kRingBytesMin;

bool PutMessage(EventRing* ring, uint32_t number, size_t size) {
  std::vector<uint8_t> bytes(size, static_cast<uint8_t>(number));
  core::Event event{.type = core::EventType::kMessage};
  event.uid = 1;
  event.session = number;
  event.bytes = bytes;
  return ring->Put(event);
}

// Reads as the decoder in JavaScript does.
class Reader {
 public:
  Reader(EventRing* ring, const std::vector<uint8_t>& memory) : ring_(ring), memory_(memory) {}

  // Everything that is there.
  void Drain() {
    for (uint64_t end = ring_->Available(); position_ < end; end = ring_->Consume(position_)) {
      while (position_ < end) ReadOne();
    }
  }

  uint32_t messages = 0;
  bool in_order = true;

 private:
  void ReadOne() {
    const size_t at = position_ % memory_.size();
    // Alone first: the mark that says to start over may lie in the last eight bytes.
    if (core::Load<uint32_t>(memory_.data() + at) == 0) {
      position_ += memory_.size() - at;
      return;
    }
    const auto head = core::Load<MessageRecord>(memory_.data() + at);
    in_order = in_order && head.session == messages && head.chunk_offset == offset_;
    for (uint32_t byte = 0; byte < head.chunk_bytes; byte += 64) {
      in_order = in_order && memory_[at + sizeof(head) + byte] == static_cast<uint8_t>(messages);
    }
    offset_ += head.chunk_bytes;
    if (offset_ == head.message_bytes) {
      offset_ = 0;
      ++messages;
    }
    position_ += head.record_bytes;
  }

  EventRing* ring_;
  const std::vector<uint8_t>& memory_;
  uint64_t position_ = 0;
  uint32_t offset_ = 0;
};

TEST("event ring: what does not fit waits, and comes out in order") {
  std::vector<uint8_t> memory(kCapacity);
  EventRing ring(memory.data(), kCapacity);
  Reader reader(&ring, memory);
  core::Random random(3);
  uint32_t put = 0;
  for (int round = 0; round < 50; ++round) {
    for (int burst = 0; burst < 40; ++burst) CHECK(PutMessage(&ring, put++, random.Next() % 30'000));
    reader.Drain();
    CHECK(reader.messages == put && reader.in_order);
  }
}

TEST("event ring: the overflow is bounded for messages, and takes what must not be lost") {
  std::vector<uint8_t> memory(kCapacity);
  EventRing ring(memory.data(), kCapacity);
  uint32_t put = 0;
  while (PutMessage(&ring, put, 1024 * 1024)) ++put;
  CHECK(put >= 63 && put <= 64);
  for (int empty = 0; empty < 100'000 && !ring.Full(); ++empty) PutMessage(&ring, put, 0);
  CHECK(ring.Full());
  CHECK(!PutMessage(&ring, put, 1));
  CHECK(!ring.Put({.type = core::EventType::kBadInput}));
  // A peer sets the pace of these: 108 MB of beats with alternating loop ages once queued 192 MB.
  CHECK(!ring.Put({.type = core::EventType::kStalled}));
  CHECK(ring.Put({.type = core::EventType::kLinkDown}));
}

TEST("event ring: a reader that is woken after each Put misses nothing, between two threads") {
  constexpr uint32_t kMessages = 60'000;
  std::vector<uint8_t> memory(kCapacity);
  EventRing ring(memory.data(), kCapacity);
  std::atomic<bool> wake{false};
  std::thread producer([&] {
    core::Random random(11);
    for (uint32_t number = 0; number < kMessages; ++number) {
      while (!PutMessage(&ring, number, random.Next() % 16'000)) std::this_thread::yield();
      wake.store(true, std::memory_order_release);
    }
  });
  Reader reader(&ring, memory);
  using Clock = std::chrono::steady_clock;
  auto last_progress = Clock::now();
  while (reader.messages < kMessages) {
    if (wake.exchange(false, std::memory_order_acq_rel)) {
      reader.Drain();
      last_progress = Clock::now();
    } else if (Clock::now() - last_progress > std::chrono::seconds(10)) {
      break;  // stuck: what waits was not announced
    }
  }
  CHECK(reader.messages == kMessages);
  CHECK(reader.in_order);
  if (reader.messages < kMessages) std::_Exit(1);  // the producer may wait for ever
  producer.join();
}

}  // namespace
}  // namespace skein::io
