// The control thread: one per process, with a libuv loop of its own, shared by the transports of all
// JavaScript threads. Started with the first transport, joined with the last. It keeps time whatever
// JavaScript does, turns at least every kTickMs, and measures its own pauses by how late it is.
#pragma once

#include <uv.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "../core/limits.h"
#include "../core/pause_meter.h"
#include "descriptor.h"

namespace skein::io {

class NodeHost;

class ControlThread {
 public:
  // Counted. Null when the loop or the thread cannot be made. From any JavaScript thread.
  static ControlThread* Acquire();
  // With the last release the thread ends and is joined. One that still waits for a name server is left to
  // end by itself, for libuv's thread pool cannot be interrupted. Never from the control thread itself.
  static void Release();

  // --- from any JavaScript thread
  // Runs `task` on the control thread and returns when it is done.
  void Call(const std::function<void()>& task);
  void Wake() { uv_async_send(&wake_); }

  // --- control thread
  void Attach(std::shared_ptr<NodeHost> host);
  void Detach(const NodeHost* host);
  uv_loop_t* Loop() { return &loop_; }
  uv_buf_t ReceiveBuffer();
  // A descriptor kept for the day when there is no other.
  void EnsureReserve();
  // Gives it up while `run` runs, which may open one and has closed it when it returns.
  void WithReserve(const std::function<void()>& run);
  // The time in microseconds. Every callback of the loop begins here, so that a pause is known before the
  // input that waited for us is looked at.
  uint64_t Now();
  // The same clock without our own pauses.
  uint64_t AwakeUs(uint64_t now_us) const { return now_us - paused_us_; }

 private:
  ControlThread() = default;

  // What the joiner and the thread agree on; outlives both.
  struct Exit;

  bool Start();
  void StopAndJoin();
  void OnWake();
  void OnPrepare();
  void OnTimer();
  void RunTasks();

  uv_loop_t loop_{};
  uv_async_t wake_{};
  uv_timer_t timer_{};
  uv_prepare_t prepare_{};
  uv_thread_t thread_{};
  std::shared_ptr<Exit> exit_;

  std::vector<std::shared_ptr<NodeHost>> hosts_;
  core::PauseMeter pause_meter_;
  uint64_t paused_us_ = 0;
  // Turns of the loop that must still read sockets before deadlines may fire: those in the gap of a pause are
  // not due until the input that waited has been read.
  int turns_before_deadlines_ = 0;
  Descriptor reserve_;
  std::vector<char> receive_buffer_ = std::vector<char>(core::limits::kReceiveBufferBytes);

  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;  // guarded by mutex_
  bool stopping_ = false;
};

}  // namespace skein::io
