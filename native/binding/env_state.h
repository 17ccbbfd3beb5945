// What one JavaScript environment (main thread or worker) owns in the addon: its loop handle, its open
// transports and its data lanes. Ended by an async cleanup hook: transports leave the control thread first,
// then the handles close, then it is freed. Transports leave at the exit of the process, too.
#pragma once

#include <vector>

#include "../io/js_loop.h"
#include "lane_bindings.h"
#include "napi_headers.h"

namespace skein::binding {

class TransportWrap;

class EnvState {
 public:
  // Registers itself with the environment; null with a pending exception when that fails.
  static EnvState* Create(Napi::Env env);
  static EnvState* Of(Napi::Env env) { return env.GetInstanceData<EnvState>(); }

  io::JsLoop* Loop() { return &loop_; }
  LaneBindings* Lanes() { return &lanes_; }
  // A transport that runs on the control thread. Keeps the process alive until it is removed.
  void Add(TransportWrap* transport);
  void Remove(TransportWrap* transport);

 private:
  explicit EnvState(napi_env env) : env_(env), lanes_(env) {}

  void AbandonAtExit();
  // After it no transport is on the control thread, which is gone with the last one of the process.
  void AbandonAll();
  void OnTurn();
  void OnCleanup(napi_async_cleanup_hook_handle hook);

  napi_env env_;
  io::JsLoop loop_;
  LaneBindings lanes_;
  std::vector<TransportWrap*> open_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace skein::binding
