// The JavaScript object behind a native transport. Owns the host's place on the control thread from `start`
// to `dispose`, and keeps itself and the ring alive meanwhile.
#pragma once

#include <memory>

#include "../io/node_host.h"
#include "napi_headers.h"

namespace skein::binding {

class TransportWrap final : public Napi::ObjectWrap<TransportWrap> {
 public:
  static Napi::Function Define(Napi::Env env);

  // (options)
  explicit TransportWrap(const Napi::CallbackInfo& info);
  ~TransportWrap() override;

  // The control thread has something for this transport.
  void OnWake();
  // Leaves the control thread at once; no event follows. Idempotent.
  void Abandon();

 private:
  // (ring: ArrayBuffer, onWake: () => void). The ring's size is a power of two. Both are held only from here
  // to `dispose`: onWake reaches this object again, and a held cycle is never collected.
  Napi::Value Start(const Napi::CallbackInfo& info);
  void Connect(const Napi::CallbackInfo& info);
  void Disconnect(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  void Watch(const Napi::CallbackInfo& info);
  void Unwatch(const Napi::CallbackInfo& info);
  void Probe(const Napi::CallbackInfo& info);
  void Quarantine(const Napi::CallbackInfo& info);
  void OpenLane(const Napi::CallbackInfo& info);
  // (handOver) -> index of a lane of this environment; -1 when its socket is gone.
  Napi::Value AdoptLane(const Napi::CallbackInfo& info);
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
  // Set from start on; after Abandon only its counters are still read.
  std::shared_ptr<io::NodeHost> host_;
  bool attached_ = false;
};

}  // namespace skein::binding
