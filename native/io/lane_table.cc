// One uv_poll handle per lane. A lane is out of the loop's poll set whenever nothing is wanted of it, so
// that an end that nobody reads does not spin.
#include "lane_table.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace skein::io {
namespace {

// An index is a slot and how often it was used before, and fits a small integer of JavaScript.
constexpr uint32_t kSlotBits = 18;
constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
constexpr uint32_t kGenerations = 1u << (31 - kSlotBits);

#ifndef MSG_NOSIGNAL
constexpr int MSG_NOSIGNAL = 0;
#endif

LaneEvent EndOf(int error) {
  return error == ECONNRESET || error == EPIPE ? LaneEvent::kReset : LaneEvent::kError;
}

}  // namespace

void KeptBytes::Assign(core::Bytes from) {
  if (from.size() != count) bytes.reset(from.empty() ? nullptr : new uint8_t[from.size()]);
  count = static_cast<uint32_t>(from.size());
  if (count != 0) std::memcpy(bytes.get(), from.data(), count);
}

struct LaneTable::Lane {
  uv_poll_t poll{};
  LaneTable* table = nullptr;
  Descriptor socket;
  KeptBytes kept;
  int32_t index = -1;
  int armed = 0;  // events that libuv polls for
  bool attached = false;
  bool reading = true;
  bool ended = false;          // reported
  bool write_blocked = false;  // kWritable is owed
  bool write_closed = false;   // shut down, or broken
  bool deferred = false;
  // What a failed write found; reported when the read side has come to its end.
  LaneEvent failure = LaneEvent::kEnded;

  bool Receives() const { return attached && reading && !ended; }
  // Nobody hears of room before somebody is attached.
  bool AwaitsRoom() const { return attached && write_blocked; }
};

int LaneTable::Start(uv_loop_t* loop, uint8_t* buffer, uint32_t buffer_bytes, OnEvent on_event, void* data) {
  const int status = uv_idle_init(loop, &idle_);
  if (status != 0) return status;
  ++handles_;
  idle_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
  loop_ = loop;
  buffer_ = buffer;
  buffer_bytes_ = buffer_bytes;
  on_event_ = on_event;
  data_ = data;
  return 0;
}

void LaneTable::Close(void (*on_closed)(void* data), void* data) {
  closing_ = true;
  on_closed_ = on_closed;
  closed_data_ = data;
  for (const Slot& slot : slots_) {
    if (slot.lane != nullptr) Destroy(slot.lane->index);
  }
  if (loop_ == nullptr) return on_closed(data);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_),
           [](uv_handle_t* handle) { static_cast<LaneTable*>(handle->data)->OnHandleClosed(); });
}

void LaneTable::OnHandleClosed() {
  if (--handles_ == 0 && closing_) on_closed_(closed_data_);
}

LaneTable::Lane* LaneTable::Find(int32_t index) const {
  if (index < 0) return nullptr;
  const auto bits = static_cast<uint32_t>(index);
  const uint32_t at = bits & kSlotMask;
  if (at >= slots_.size() || slots_[at].generation != bits >> kSlotBits) return nullptr;
  return slots_[at].lane;
}

int32_t LaneTable::TakeSlot(Lane* lane) {
  if (free_slots_.empty()) {
    // A bound of indices; descriptors run out long before.
    if (slots_.size() > kSlotMask) return -1;
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t at = free_slots_.back();
  free_slots_.pop_back();
  slots_[at].lane = lane;
  return static_cast<int32_t>(slots_[at].generation << kSlotBits | at);
}

int32_t LaneTable::Adopt(HandedOver handed) {
  if (loop_ == nullptr || closing_) return -1;
  auto lane = std::make_unique<Lane>();
  if (uv_poll_init(loop_, &lane->poll, handed.socket.Get()) != 0) return -1;
  Lane* const adopted = lane.release();
  adopted->poll.data = adopted;
  adopted->table = this;
  adopted->socket = std::move(handed.socket);
  adopted->kept = std::move(handed.unread);
  ++handles_;
  uv_unref(reinterpret_cast<uv_handle_t*>(&adopted->poll));
  adopted->index = TakeSlot(adopted);
  if (adopted->index < 0) Discard(adopted);
  return adopted->index;
}

void LaneTable::Attach(int32_t index) {
  Lane* lane = Find(index);
  if (lane == nullptr || lane->attached) return;
  lane->attached = true;
  if (lane->kept.count != 0) Defer(lane);
  Arm(lane);
}

size_t LaneTable::Write(int32_t index, core::Bytes bytes) {
  Lane* lane = Find(index);
  if (lane == nullptr || lane->write_closed || bytes.empty()) return 0;
  ssize_t count;
  do {
    count = send(lane->socket.Get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && !WouldBlock(errno)) {
    lane->write_closed = true;
    lane->write_blocked = false;
    lane->failure = EndOf(errno);
    // The error is taken off the socket by now, so the read side is made to end, whatever it was.
    shutdown(lane->socket.Get(), SHUT_RDWR);
    return 0;
  }
  const size_t taken = count < 0 ? 0 : static_cast<size_t>(count);
  if (taken < bytes.size() && !lane->write_blocked) {
    lane->write_blocked = true;
    Arm(lane);
  }
  return taken;
}

void LaneTable::SetReading(int32_t index, bool on) {
  Lane* lane = Find(index);
  if (lane == nullptr || lane->reading == on) return;
  lane->reading = on;
  // Its owner may have stopped in front of a whole frame, and nothing may come after it. Within a delivery
  // what will be kept is not known yet.
  if (on && lane->attached) Defer(lane);
  Arm(lane);
}

void LaneTable::Shutdown(int32_t index) {
  Lane* lane = Find(index);
  if (lane == nullptr || lane->write_closed) return;
  lane->write_closed = true;
  lane->write_blocked = false;
  // Fails only on a connection that is broken, which the read side reports.
  shutdown(lane->socket.Get(), SHUT_WR);
  Arm(lane);
}

void LaneTable::Destroy(int32_t index) {
  Lane* lane = Find(index);
  if (lane == nullptr) return;
  const uint32_t at = static_cast<uint32_t>(index) & kSlotMask;
  slots_[at].lane = nullptr;
  slots_[at].generation = (slots_[at].generation + 1) % kGenerations;
  free_slots_.push_back(at);
  Discard(lane);
}

void LaneTable::Discard(Lane* lane) {
  uv_close(reinterpret_cast<uv_handle_t*>(&lane->poll), [](uv_handle_t* handle) {
    auto* closed = static_cast<Lane*>(handle->data);
    LaneTable* table = closed->table;
    delete closed;
    table->OnHandleClosed();
  });
  // libuv has let go of the descriptor; the number may be used again at once.
  lane->socket = Descriptor();
  lane->kept.Assign({});
}

// Asks libuv for what is wanted now.
void LaneTable::Arm(Lane* lane) {
  const int events = (lane->Receives() ? UV_READABLE : 0) | (lane->AwaitsRoom() ? UV_WRITABLE : 0);
  // Each change costs two system calls.
  if (events == lane->armed) return;
  lane->armed = events;
  if (events == 0) {
    uv_poll_stop(&lane->poll);
    return;
  }
  uv_poll_start(&lane->poll, events, [](uv_poll_t* poll, int status, int ready) {
    auto* polled = static_cast<Lane*>(poll->data);
    polled->table->OnPoll(polled, status, ready);
  });
}

void LaneTable::OnPoll(Lane* lane, int status, int events) {
  const int32_t index = lane->index;
  if (status < 0) {
    // libuv has stopped a handle with an error on it: reading says which, after the data before it.
    lane->armed = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  if ((events & UV_READABLE) != 0 && lane->Receives()) {
    Receive(lane);
    // Whatever JavaScript did: from here on the lane may be gone.
    if ((lane = Find(index)) == nullptr) return;
  }
  if ((events & UV_WRITABLE) != 0 && lane->AwaitsRoom()) {
    lane->write_blocked = false;
    on_event_(data_, index, LaneEvent::kWritable, 0);
    if ((lane = Find(index)) == nullptr) return;
  }
  Arm(lane);
}

void LaneTable::Receive(Lane* lane) {
  const uint32_t kept = lane->kept.count;
  // Its turn is not there yet, but the socket's end must not come before it.
  if (lane->deferred && kept != 0) return Deliver(lane, kept);
  ssize_t count;
  do {
    count = recv(lane->socket.Get(), buffer_ + kept, buffer_bytes_ - kept, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && WouldBlock(errno)) return;
  if (count < 0) return End(lane, EndOf(errno));
  // FIN, or what a failed write has left of an error.
  if (count == 0) return End(lane, lane->failure);
  Deliver(lane, kept + static_cast<uint32_t>(count));
}

// What is kept goes in front; what was received already lies behind it.
void LaneTable::Deliver(Lane* lane, uint32_t bytes) {
  const int32_t index = lane->index;
  lane->deferred = false;
  if (lane->kept.count != 0) std::memcpy(buffer_, lane->kept.bytes.get(), lane->kept.count);
  const uint32_t taken = std::min(on_event_(data_, index, LaneEvent::kData, bytes), bytes);
  if ((lane = Find(index)) == nullptr) return;
  lane->kept.Assign({buffer_ + taken, bytes - taken});
  // No room for another byte: whoever reads this lane waits for a frame that is too long.
  if (lane->kept.count == buffer_bytes_) End(lane, LaneEvent::kError);
}

void LaneTable::End(Lane* lane, LaneEvent how) {
  lane->ended = true;
  lane->kept.Assign({});
  lane->write_closed = true;
  lane->write_blocked = false;
  const int32_t index = lane->index;
  on_event_(data_, index, how, 0);
}

void LaneTable::Defer(Lane* lane) {
  if (lane->deferred) return;
  lane->deferred = true;
  if (deferred_.empty()) {
    uv_idle_start(&idle_, [](uv_idle_t* idle) { static_cast<LaneTable*>(idle->data)->OnIdle(); });
  }
  deferred_.push_back(lane->index);
}

void LaneTable::OnIdle() {
  // An idle handle keeps the loop from sleeping, so it only runs while something waits.
  uv_idle_stop(&idle_);
  for (const int32_t index : std::exchange(deferred_, {})) {
    Lane* lane = Find(index);
    if (lane == nullptr || !lane->deferred) continue;
    lane->deferred = false;
    if (lane->Receives() && lane->kept.count != 0) Deliver(lane, lane->kept.count);
    if ((lane = Find(index)) != nullptr) Arm(lane);
  }
}

}  // namespace skein::io
