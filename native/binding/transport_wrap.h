// The JavaScript object behind a native transport. Owns the host's place on the control thread from `start` to
// `dispose`, and keeps itself and the ring alive meanwhile.
#pragma once

#include "napi_headers.h"

#include <memory>

#include "../io/node_host.h"

namespace skein::binding {

class TransportWrap final : public Napi::ObjectWrap<TransportWrap> {
 public:
  static Napi::Function Define(Napi::Env env);

  // (options, ring: ArrayBuffer, onWake: () => void). The ring's size is a power of two.
  explicit TransportWrap(const Napi::CallbackInfo& info);
  ~TransportWrap() override;

  // The control thread has something for this transport.
  void OnWake();
  // Leaves the control thread at once; no event follows. Idempotent.
  void Abandon();

 private:
  Napi::Value Start(const Napi::CallbackInfo& info);
  void Connect(const Napi::CallbackInfo& info);
  void Disconnect(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  void Watch(const Napi::CallbackInfo& info);
  void Unwatch(const Napi::CallbackInfo& info);
  void Probe(const Napi::CallbackInfo& info);
  void Quarantine(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Dispose(const Napi::CallbackInfo& info);
  // Ring positions, exact as numbers up to 2^53 bytes.
  Napi::Value Available(const Napi::CallbackInfo& info);
  Napi::Value Consume(const Napi::CallbackInfo& info);
  // Another turn for what is left in the ring.
  void Rewake(const Napi::CallbackInfo& info);
  Napi::Value Peers(const Napi::CallbackInfo& info);
  Napi::Value Counters(const Napi::CallbackInfo& info);

  io::NodeOptions options_;
  Napi::Reference<Napi::ArrayBuffer> ring_;
  Napi::FunctionReference on_wake_;
  uint8_t* ring_memory_ = nullptr;
  uint32_t ring_bytes_ = 0;
  // Set from start on; null again after Abandon, except for the counters that outlive it.
  std::shared_ptr<io::NodeHost> host_;
  bool attached_ = false;
};

}  // namespace skein::binding
