// The data lanes of one JavaScript loop: sockets that have left the control plane, polled on the loop that
// Node runs anyway, so that no message crosses a thread. One receive buffer serves all of them; a lane
// keeps only the part of a frame that is incomplete. It knows nothing of frames. All calls and callbacks on
// that loop's thread.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "../core/bytes.h"
#include "descriptor.h"

namespace skein::io {

// Bytes in an allocation of exactly their number.
struct KeptBytes {
  std::unique_ptr<uint8_t[]> bytes;
  uint32_t count = 0;

  void Assign(core::Bytes from);
};

// A socket on its way from the control plane to a lane table, and what was read past its handshake.
struct HandedOver {
  Descriptor socket;
  KeptBytes unread;
};

// The order is the code that crosses to `src/transport/native/lane-sockets.ts`.
enum class LaneEvent : uint8_t { kData, kWritable, kEnded, kReset, kError };

class LaneTable {
 public:
  // Of kData returns how many of the first `bytes` bytes of the receive buffer were taken. It may call
  // anything here, Destroy of its own lane included.
  using OnEvent = uint32_t (*)(void* data, int32_t index, LaneEvent event, uint32_t bytes);

  LaneTable() = default;
  LaneTable(const LaneTable&) = delete;
  LaneTable& operator=(const LaneTable&) = delete;

  // Once. `buffer` outlives the call of Close. A libuv status.
  int Start(uv_loop_t* loop, uint8_t* buffer, uint32_t buffer_bytes, OnEvent on_event, void* data);
  bool IsStarted() const { return loop_ != nullptr; }
  // Closes every lane; calls back when libuv holds no handle of this table, perhaps at once.
  void Close(void (*on_closed)(void* data), void* data);

  // A lane that is not read yet; -1 when it cannot be polled, or before Start, or after Close. The handles do
  // not keep the loop alive.
  int32_t Adopt(HandedOver handed);

  // An index that was destroyed names no lane ever after, for as long as it takes the slot to be used
  // kGenerations times; calls with it do nothing.

  void Attach(int32_t index);
  // How many bytes the kernel took. Fewer: kWritable follows, or the lane's end.
  size_t Write(int32_t index, core::Bytes bytes);
  // What was kept is offered again when reading is resumed.
  void SetReading(int32_t index, bool on);
  void Shutdown(int32_t index);
  void Destroy(int32_t index);

 private:
  struct Lane;

  struct Slot {
    Lane* lane = nullptr;
    uint32_t generation = 0;
  };

  Lane* Find(int32_t index) const;
  int32_t TakeSlot(Lane* lane);
  void OnPoll(Lane* lane, int status, int events);
  void OnIdle();
  void Receive(Lane* lane);
  void Deliver(Lane* lane, uint32_t bytes);
  void End(Lane* lane, LaneEvent how);
  void Defer(Lane* lane);
  void Arm(Lane* lane);
  // Closes the socket and the handle; the lane is freed when libuv has.
  void Discard(Lane* lane);
  void OnHandleClosed();

  uv_loop_t* loop_ = nullptr;
  uint8_t* buffer_ = nullptr;
  uint32_t buffer_bytes_ = 0;
  OnEvent on_event_ = nullptr;
  void* data_ = nullptr;

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  // Lanes whose kept bytes are delivered in the next turn.
  std::vector<int32_t> deferred_;
  uv_idle_t idle_{};

  // Handles that libuv has not closed yet.
  uint32_t handles_ = 0;
  bool closing_ = false;
  void (*on_closed_)(void* data) = nullptr;
  void* closed_data_ = nullptr;
};

}  // namespace skein::io
