// Arguments in, host calls, plain values out. Nothing here runs per message except Send, Available and
// Consume.
#include "transport_wrap.h"

#include <bit>
#include <utility>

#include "../core/limits.h"
#include "env_state.h"
#include "loop_call.h"
#include "values.h"

namespace skein::binding {
namespace {

core::HeartbeatOptions HeartbeatOf(const Napi::Object& object) {
  core::HeartbeatOptions heartbeat;
  heartbeat.interval_ms = CountOf(object, "intervalMs");
  heartbeat.echo_every = CountOf(object, "echoEvery");
  heartbeat.phi_threshold = NumberOf(object, "phiThreshold");
  heartbeat.acceptable_pause_ms = CountOf(object, "acceptablePauseMs");
  heartbeat.min_std_deviation_ms = CountOf(object, "minStdDeviationMs");
  heartbeat.window_size = CountOf(object, "windowSize");
  heartbeat.stalled_after_ms = CountOf(object, "stalledAfterMs");
  return heartbeat;
}

core::DialOptions DialOf(const Napi::Object& object) {
  core::DialOptions dial;
  dial.connect_timeout_ms = CountOf(object, "connectTimeoutMs");
  dial.backoff_min_ms = CountOf(object, "backoffMinMs");
  dial.backoff_max_ms = CountOf(object, "backoffMaxMs");
  dial.backoff_watched_max_ms = CountOf(object, "backoffWatchedMaxMs");
  dial.confirm_gone_ms = CountOf(object, "confirmGoneMs");
  return dial;
}

std::vector<std::vector<uint8_t>> SecretsOf(const Napi::Value& value) {
  std::vector<std::vector<uint8_t>> secrets;
  if (!value.IsArray()) return secrets;
  const auto array = value.As<Napi::Array>();
  for (uint32_t at = 0; at < array.Length(); ++at) {
    const core::Bytes secret = BytesOf(array.Get(at));
    secrets.emplace_back(secret.begin(), secret.end());
  }
  return secrets;
}

io::NodeOptions OptionsOf(const Napi::Object& object) {
  io::NodeOptions options;
  options.plane.cluster = TextOf(object, "cluster");
  options.plane.node_id = TextOf(object, "nodeId");
  options.plane.uid = UidOf(object.Get("uid"));
  options.plane.bind = EndpointOf(object.Get("host"), object.Get("port"));
  if (object.Get("advertisedHost").IsString()) {
    options.advertise = EndpointOf(object.Get("advertisedHost"), object.Get("advertisedPort"));
  }
  options.plane.heartbeat = HeartbeatOf(object.Get("heartbeat").As<Napi::Object>());
  options.plane.dial = DialOf(object.Get("dial").As<Napi::Object>());
  options.plane.random_seed = UidOf(object.Get("randomSeed"));
  options.plane.secrets = SecretsOf(object.Get("secrets"));
  return options;
}

bool IsRingSize(size_t bytes) {
  return std::has_single_bit(bytes) && bytes >= core::limits::kRingBytesMin &&
         bytes <= core::limits::kRingBytesMax;
}

}  // namespace

Napi::Function TransportWrap::Define(Napi::Env env) {
  return DefineClass(env, "NativeTransport",
                     {
                         InstanceMethod<&TransportWrap::Start>("start"),
                         InstanceMethod<&TransportWrap::Connect>("connect"),
                         InstanceMethod<&TransportWrap::Disconnect>("disconnect"),
                         InstanceMethod<&TransportWrap::Send>("send"),
                         InstanceMethod<&TransportWrap::Watch>("watch"),
                         InstanceMethod<&TransportWrap::Unwatch>("unwatch"),
                         InstanceMethod<&TransportWrap::Probe>("probe"),
                         InstanceMethod<&TransportWrap::Quarantine>("quarantine"),
                         InstanceMethod<&TransportWrap::OpenLane>("openLane"),
                         InstanceMethod<&TransportWrap::AdoptLane>("adoptLane"),
                         InstanceMethod<&TransportWrap::Close>("close"),
                         InstanceMethod<&TransportWrap::Dispose>("dispose"),
                         InstanceMethod<&TransportWrap::Available>("available"),
                         InstanceMethod<&TransportWrap::Consume>("consume"),
                         InstanceMethod<&TransportWrap::Rewake>("rewake"),
                         InstanceMethod<&TransportWrap::Peers>("peers"),
                         InstanceMethod<&TransportWrap::Counters>("counters"),
                     });
}

TransportWrap::TransportWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TransportWrap>(info) {
  if (info[0].IsObject()) {
    options_ = OptionsOf(info[0].As<Napi::Object>());
  } else {
    Napi::TypeError::New(info.Env(), "NativeTransport(options)").ThrowAsJavaScriptException();
  }
}

TransportWrap::~TransportWrap() = default;

Napi::Value TransportWrap::Start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool typed = info[0].IsArrayBuffer() && info[1].IsFunction();
  if (!typed || !IsRingSize(info[0].As<Napi::ArrayBuffer>().ByteLength())) {
    Napi::TypeError::New(env, "start(ring, onWake)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  io::ControlThread* thread = host_ == nullptr ? io::ControlThread::Acquire() : nullptr;
  if (thread == nullptr) return Napi::Boolean::New(env, false);
  Napi::ArrayBuffer ring = info[0].As<Napi::ArrayBuffer>();
  ring_ = Napi::Reference<Napi::ArrayBuffer>::New(ring, 1);
  on_wake_ = Napi::Persistent(info[1].As<Napi::Function>());
  EnvState* state = EnvState::Of(env);
  auto* memory = static_cast<uint8_t*>(ring.Data());
  const auto bytes = static_cast<uint32_t>(ring.ByteLength());
  host_ = std::make_shared<io::NodeHost>(options_, thread, state->Loop(), memory, bytes);
  attached_ = true;
  // Open means reachable, whoever has dropped the object: a thread writes into its ring.
  Ref();
  state->Add(this);
  host_->Start();
  return Napi::Boolean::New(env, true);
}

void TransportWrap::Abandon() {
  if (!attached_) return;
  attached_ = false;
  host_->Abandon();
  io::ControlThread::Release();
  EnvState::Of(Env())->Remove(this);
  ring_.Reset();
  on_wake_.Reset();
  Unref();
}

void TransportWrap::Dispose(const Napi::CallbackInfo&) { Abandon(); }

void TransportWrap::OnWake() {
  if (!attached_ || !host_->TakeWake()) return;
  const napi_env env = Env();
  const Napi::HandleScope scope(env);
  CallFromLoop(env, Value(), on_wake_.Value(), 0, nullptr);
}

void TransportWrap::Connect(const Napi::CallbackInfo& info) {
  if (attached_) host_->Connect(EndpointOf(info[0], info[1]), UidOf(info[2]));
}

void TransportWrap::Disconnect(const Napi::CallbackInfo& info) {
  if (attached_) host_->Disconnect(EndpointOf(info[0], info[1]));
}

Napi::Value TransportWrap::Send(const Napi::CallbackInfo& info) {
  const io::SendResult result =
      attached_ ? host_->Send(UidOf(info[0]), BytesOf(info[1])) : io::SendResult::kNoLink;
  return Napi::Number::New(info.Env(), static_cast<double>(result));
}

void TransportWrap::Watch(const Napi::CallbackInfo& info) {
  if (attached_) host_->Watch(UidOf(info[0]), EndpointOf(info[1], info[2]));
}

void TransportWrap::Unwatch(const Napi::CallbackInfo& info) {
  if (attached_) host_->Unwatch(UidOf(info[0]));
}

void TransportWrap::Probe(const Napi::CallbackInfo& info) {
  if (attached_) host_->Probe(UidOf(info[0]), EndpointOf(info[1], info[2]));
}

void TransportWrap::Quarantine(const Napi::CallbackInfo& info) {
  if (!attached_ || !info[1].IsNumber()) return;
  const auto reason = static_cast<core::QuarantineReason>(info[1].As<Napi::Number>().Uint32Value());
  host_->Quarantine(UidOf(info[0]), reason);
}

void TransportWrap::OpenLane(const Napi::CallbackInfo& info) {
  if (!attached_ || !info[1].IsNumber() || !info[2].IsNumber()) return;
  const auto lane = static_cast<core::Lane>(info[1].As<Napi::Number>().Uint32Value());
  host_->OpenLane(UidOf(info[0]), lane, info[2].As<Napi::Number>().Uint32Value());
}

Napi::Value TransportWrap::AdoptLane(const Napi::CallbackInfo& info) {
  int32_t index = -1;
  if (attached_ && info[0].IsNumber()) {
    const auto id = static_cast<core::ConnectionId>(info[0].As<Napi::Number>().Int64Value());
    io::HandedOver handed = host_->TakeHandOver(id);
    if (handed.socket.IsOpen()) index = EnvState::Of(info.Env())->Lanes()->Table()->Adopt(std::move(handed));
  }
  return Napi::Number::New(info.Env(), index);
}

void TransportWrap::Close(const Napi::CallbackInfo&) {
  if (attached_) host_->Close();
}

Napi::Value TransportWrap::Available(const Napi::CallbackInfo& info) {
  const uint64_t end = attached_ ? host_->Ring().Available() : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(end));
}

Napi::Value TransportWrap::Consume(const Napi::CallbackInfo& info) {
  if (!attached_ || !info[0].IsNumber()) return info[0];
  const auto position = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  return Napi::Number::New(info.Env(), static_cast<double>(host_->Ring().Consume(position)));
}

void TransportWrap::Rewake(const Napi::CallbackInfo&) {
  if (attached_) host_->WakeAgain();
}

Napi::Value TransportWrap::Peers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array array = Napi::Array::New(env);
  if (!attached_) return array;
  uint32_t at = 0;
  for (const io::HostPeer& peer : host_->Peers()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("uid", UidToValue(env, peer.status.uid));
    object.Set("address", EndpointToValue(env, peer.status.address));
    object.Set("linked", Napi::Boolean::New(env, peer.status.link != 0));
    object.Set("watched", Napi::Boolean::New(env, peer.status.watched));
    object.Set("phi", Napi::Number::New(env, peer.status.phi));
    object.Set("silentMs", Napi::Number::New(env, peer.status.silent_ms));
    object.Set("loopAgeMs", Napi::Number::New(env, peer.status.loop_age_ms));
    object.Set("rttMs", Napi::Number::New(env, peer.status.rtt_ms));
    object.Set("outboxBytes", Napi::Number::New(env, static_cast<double>(peer.outbox_bytes)));
    array.Set(at++, object);
  }
  return array;
}

Napi::Value TransportWrap::Counters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  const core::Counters none;
  const core::Counters& counters = host_ == nullptr ? none : host_->Counters();
  const auto set = [&](const char* name, uint64_t value) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
#define X(name, field) set(#name, counters.Get(core::Counter::field));
  SKEIN_COUNTERS(X)
#undef X
  for (uint8_t at = 0; at < core::kBadInputReasons; ++at) {
    const auto reason = static_cast<core::BadInputReason>(at);
    set((std::string("badInput.") + core::NameOf(reason)).c_str(), counters.Get(reason));
  }
  return object;
}

}  // namespace skein::binding
