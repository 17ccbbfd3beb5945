// The lane table of one environment as an object of plain functions: `write` and the callback run per batch
// of messages, where the convenience of node-addon-api costs as much as the work.
#pragma once

#include "../io/lane_table.h"
#include "napi_headers.h"

namespace skein::binding {

class LaneBindings {
 public:
  explicit LaneBindings(napi_env env) : env_(env) {}

  // { start, attach, write, setReading, shutdown, destroy }, as `NativeLanes` in
  // src/transport/native/addon.ts says.
  Napi::Object Define();
  io::LaneTable* Table() { return &table_; }
  // Every lane ends; calls back when libuv holds nothing of this any more, perhaps at once.
  void Close(void (*on_closed)(void* data), void* data);

 private:
  static napi_value Start(napi_env env, napi_callback_info info);
  static napi_value Attach(napi_env env, napi_callback_info info);
  static napi_value Write(napi_env env, napi_callback_info info);
  static napi_value SetReading(napi_env env, napi_callback_info info);
  static napi_value Shutdown(napi_env env, napi_callback_info info);
  static napi_value Destroy(napi_env env, napi_callback_info info);

  uint32_t OnEvent(int32_t index, io::LaneEvent event, uint32_t bytes);

  napi_env env_;
  io::LaneTable table_;
  // From start to Close.
  napi_ref buffer_ = nullptr;
  napi_ref on_event_ = nullptr;
  napi_async_context context_ = nullptr;
};

}  // namespace skein::binding
