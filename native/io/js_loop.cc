// The async handle on a JavaScript loop.
#include "js_loop.h"

#include "../core/limits.h"

namespace skein::io {

int JsLoop::Open(uv_loop_t* loop, OnTurn on_turn, void* data) {
  on_turn_ = on_turn;
  data_ = data;
  const int status = uv_async_init(loop, &async_, [](uv_async_t* async) {
    auto* self = static_cast<JsLoop*>(async->data);
    self->answered_.store(true, std::memory_order_release);
    self->on_turn_(self->data_);
  });
  async_.data = this;
  if (status == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
  return status;
}

void JsLoop::Close(void (*on_closed)(void* data), void* data) {
  on_closed_ = on_closed;
  closed_data_ = data;
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), [](uv_handle_t* handle) {
    auto* self = static_cast<JsLoop*>(handle->data);
    self->on_closed_(self->closed_data_);
  });
}

void JsLoop::Hold() {
  if (holds_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&async_));
}

void JsLoop::Unhold() {
  if (--holds_ == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
}

uint32_t JsLoop::PingAndAge(uint64_t now_us) {
  if (!answered_.load(std::memory_order_acquire)) {
    return now_us > pinged_us_ ? static_cast<uint32_t>((now_us - pinged_us_) / 1000) : 0;
  }
  if (pinged_us_ == 0 || now_us - pinged_us_ >= uint64_t{core::limits::kLoopPingMinMs} * 1000) {
    pinged_us_ = now_us;
    answered_.store(false, std::memory_order_release);
    uv_async_send(&async_);
  }
  return 0;
}

}  // namespace skein::io
