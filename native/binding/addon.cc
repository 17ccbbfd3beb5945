// The addon's exports. Context-aware: everything per environment hangs off EnvState.
#include "core_bindings.h"
#include "env_state.h"
#include "napi_headers.h"
#include "transport_wrap.h"

namespace {

// Of event records, codes and arguments; changes together with `ADDON_LAYOUT` in
// src/transport/native/addon.ts.
constexpr int kLayout = 2;

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  skein::binding::EnvState* state = skein::binding::EnvState::Create(env);
  if (state == nullptr) return exports;
  exports.Set("NativeTransport", skein::binding::TransportWrap::Define(env));
  exports.Set("lanes", state->Lanes()->Define());
  exports.Set("layout", Napi::Number::New(env, kLayout));
  Napi::Object core = Napi::Object::New(env);
  skein::binding::DefineCore(env, core);
  exports.Set("core", core);
  return exports;
}

}  // namespace

NODE_API_MODULE(skein, Init)
