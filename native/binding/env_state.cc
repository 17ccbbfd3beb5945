// Wake-ups from the control thread, and the end of an environment with transports still open.
#include "env_state.h"

#include <algorithm>

#include "transport_wrap.h"

namespace skein::binding {

// Freed by the cleanup hook, not by a finalizer: libuv still needs the handle when finalizers run.
void KeepForCleanupHook(Napi::Env, EnvState*) {}

EnvState* EnvState::Create(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  auto* state = new EnvState(env);
  const auto on_turn = [](void* data) { static_cast<EnvState*>(data)->OnTurn(); };
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || state->loop_.Open(loop, on_turn, state) != 0) {
    delete state;
    Napi::Error::New(env, "no event loop").ThrowAsJavaScriptException();
    return nullptr;
  }
  const auto on_cleanup = [](napi_async_cleanup_hook_handle hook, void* data) {
    static_cast<EnvState*>(data)->OnCleanup(hook);
  };
  // Asynchronous, because a libuv handle is closed only after one more turn of the loop.
  napi_add_async_cleanup_hook(env, on_cleanup, state, &state->hook_);
  env.SetInstanceData<EnvState, &KeepForCleanupHook>(state);
  state->AbandonAtExit();
  return state;
}

void EnvState::Add(TransportWrap* transport) {
  open_.push_back(transport);
  loop_.Hold();
}

void EnvState::Remove(TransportWrap* transport) {
  if (std::erase(open_, transport) != 0) loop_.Unhold();
}

// Node runs no cleanup hook when JavaScript calls process.exit: the process would take libuv's thread pool and
// OpenSSL down under a control thread that still runs.
void EnvState::AbandonAtExit() {
  const Napi::Env env(env_);
  const Napi::Value process = env.Global().Get("process");
  const Napi::Value once = process.IsObject() ? process.As<Napi::Object>().Get("once") : env.Undefined();
  if (!once.IsFunction()) return;
  const auto on_exit = [](const Napi::CallbackInfo& info) { Of(info.Env())->AbandonAll(); };
  once.As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), Napi::Function::New(env, on_exit)});
}

void EnvState::AbandonAll() {
  while (!open_.empty()) open_.back()->Abandon();
}

void EnvState::OnTurn() {
  // A sink may close transports, so the list is copied; one that is gone by then has no wake to take.
  const std::vector<TransportWrap*> woken = open_;
  for (TransportWrap* transport : woken) {
    if (std::ranges::find(open_, transport) != open_.end()) transport->OnWake();
  }
}

void EnvState::OnCleanup(napi_async_cleanup_hook_handle hook) {
  hook_ = hook;
  // From here on nothing wakes this loop.
  AbandonAll();
  const auto on_lanes_closed = [](void* data) {
    static_cast<EnvState*>(data)->loop_.Close(
        [](void* of_loop) {
          auto* state = static_cast<EnvState*>(of_loop);
          napi_remove_async_cleanup_hook(state->hook_);
          delete state;
        },
        data);
  };
  lanes_.Close(on_lanes_closed, this);
}

}  // namespace skein::binding
