// One JavaScript loop, seen from the control thread: something to wake, and something whose age can be asked.
// A ping is an async wake-up that the loop answers by turning; an idle loop is young because it answers.
#pragma once

#include <uv.h>

#include <atomic>
#include <cstdint>

namespace skein::io {

class JsLoop {
 public:
  // Runs on the JavaScript thread at every wake-up, after the ping was answered.
  using OnTurn = void (*)(void* data);

  // On the JavaScript thread. The handle does not keep the loop alive until Hold is called.
  int Open(uv_loop_t* loop, OnTurn on_turn, void* data);
  // On the JavaScript thread, after every transport of this loop was detached from the control thread.
  void Close(void (*on_closed)(void* data), void* data);
  // Counted: while held, an otherwise idle process stays alive.
  void Hold();
  void Unhold();

  // --- from any thread
  void Wake() { uv_async_send(&async_); }

  // --- control thread. Pings if the last one is answered and old enough; the age of the unanswered one in
  // milliseconds. `now_us` leaves out our own pauses, which age nobody.
  uint32_t PingAndAge(uint64_t now_us);

 private:
  uv_async_t async_{};
  OnTurn on_turn_ = nullptr;
  void* data_ = nullptr;
  void (*on_closed_)(void* data) = nullptr;
  void* closed_data_ = nullptr;
  uint32_t holds_ = 0;
  std::atomic<bool> answered_{true};
  // The control threads' alone; transports of one loop share one control thread.
  uint64_t pinged_us_ = 0;
};

}  // namespace skein::io
