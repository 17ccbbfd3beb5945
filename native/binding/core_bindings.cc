// Thin wrappers; every rule is in native/core.
#include "core_bindings.h"

#include "../core/backoff.h"
#include "../core/crc32c.h"
#include "../core/frame.h"
#include "../core/hello.h"
#include "../core/limits.h"
#include "../core/phi_accrual.h"
#include "values.h"

namespace skein::binding {
namespace {

class PhiWrap final : public Napi::ObjectWrap<PhiWrap> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PhiAccrual",
                       {
                           InstanceMethod<&PhiWrap::Heartbeat>("heartbeat"),
                           InstanceMethod<&PhiWrap::Phi>("phi"),
                           InstanceMethod<&PhiWrap::SuspectAfterMs>("suspectAfterMs"),
                       });
  }

  explicit PhiWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<PhiWrap>(info), detector_(OptionsOf(info[0].As<Napi::Object>())) {}

 private:
  static core::PhiOptions OptionsOf(const Napi::Object& object) {
    core::PhiOptions options;
    options.threshold = NumberOf(object, "phiThreshold");
    options.interval_ms = NumberOf(object, "intervalMs");
    options.acceptable_pause_ms = NumberOf(object, "acceptablePauseMs");
    options.min_std_deviation_ms = NumberOf(object, "minStdDeviationMs");
    options.window_size = CountOf(object, "windowSize");
    return options;
  }

  void Heartbeat(const Napi::CallbackInfo& info) {
    const bool learn = !info[1].IsBoolean() || info[1].As<Napi::Boolean>().Value();
    detector_.Heartbeat(info[0].As<Napi::Number>().DoubleValue(), learn);
  }
  Napi::Value Phi(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), detector_.Phi(info[0].As<Napi::Number>().DoubleValue()));
  }
  Napi::Value SuspectAfterMs(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), detector_.SuspectAfterMs());
  }

  core::PhiAccrual detector_;
};

class BackoffWrap final : public Napi::ObjectWrap<BackoffWrap> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Backoff",
                       {
                           InstanceMethod<&BackoffWrap::NextMs>("nextMs"),
                           InstanceMethod<&BackoffWrap::Reset>("reset"),
                       });
  }

  // (minMs, seed: 16 hex digits)
  explicit BackoffWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<BackoffWrap>(info),
        backoff_(uint64_t{info[0].As<Napi::Number>().Uint32Value()} * 1000),
        random_(UidOf(info[1])) {}

 private:
  Napi::Value NextMs(const Napi::CallbackInfo& info) {
    const uint64_t cap_us = uint64_t{info[0].As<Napi::Number>().Uint32Value()} * 1000;
    return Napi::Number::New(info.Env(), static_cast<double>(backoff_.NextUs(cap_us, &random_)) / 1000);
  }
  void Reset(const Napi::CallbackInfo&) { backoff_.Reset(); }

  core::Backoff backoff_;
  core::Random random_;
};

Napi::Value Crc32c(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), core::Crc32c(BytesOf(info[0])));
}

Napi::Value Crc32cByTable(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), core::Crc32cByTable(BytesOf(info[0])));
}

// (kind, flags, sequence, body) -> whole frame
Napi::Value EncodeFrame(const Napi::CallbackInfo& info) {
  const core::Bytes body = BytesOf(info[3]);
  const auto kind = static_cast<core::FrameKind>(info[0].As<Napi::Number>().Uint32Value());
  const auto flags = static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value());
  const core::FrameHead head = core::EncodeHead(kind, flags, info[2].As<Napi::Number>().Uint32Value(), body);
  std::vector<uint8_t> frame(head.begin(), head.end());
  frame.insert(frame.end(), body.begin(), body.end());
  return BytesToValue(info.Env(), frame);
}

// ({ sentUs, loopAgeMs, intervalMs }, sequence, echoWanted) -> whole frame
Napi::Value EncodeHeartbeatFrame(const Napi::CallbackInfo& info) {
  const auto beat = info[0].As<Napi::Object>();
  const core::HeartbeatBody body{static_cast<uint64_t>(NumberOf(beat, "sentUs")), CountOf(beat, "loopAgeMs"),
                                 CountOf(beat, "intervalMs")};
  const uint8_t flags = info[2].As<Napi::Boolean>().Value() ? core::kFlagEchoWanted : 0;
  const uint32_t sequence = info[1].As<Napi::Number>().Uint32Value();
  return BytesToValue(info.Env(), core::EncodeFrame(core::FrameKind::kHeartbeat, flags, sequence, body));
}

// (stream, lengthMax) -> { frames: [{ kind, flags, lane, correlation, sequence, crcMatches, body }], status }
Napi::Value ReadFrames(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array frames = Napi::Array::New(env);
  const char* const names[] = {"frame", "needMore", "tooLarge", "tooShort"};
  core::FrameReader reader;
  reader.Feed(BytesOf(info[0]));
  core::FrameView view{};
  core::FrameReader::Status status;
  const uint32_t length_max = info[1].As<Napi::Number>().Uint32Value();
  while ((status = reader.Next(length_max, &view)) == core::FrameReader::Status::kFrame) {
    Napi::Object frame = Napi::Object::New(env);
    frame.Set("kind", Napi::Number::New(env, static_cast<double>(view.header.kind)));
    frame.Set("flags", Napi::Number::New(env, view.header.flags));
    frame.Set("lane", Napi::Number::New(env, static_cast<double>(view.header.lane)));
    frame.Set("correlation", Napi::Number::New(env, view.header.correlation));
    frame.Set("sequence", Napi::Number::New(env, view.header.sequence));
    frame.Set("crcMatches", Napi::Boolean::New(env, view.CrcMatches()));
    frame.Set("body", BytesToValue(env, view.Body()));
    frames.Set(frames.Length(), frame);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("frames", frames);
  result.Set("status", names[static_cast<size_t>(status)]);
  return result;
}

Napi::Value EncodeHelloBody(const Napi::CallbackInfo& info) {
  const auto object = info[0].As<Napi::Object>();
  const auto endpoint = [&object](const char* name) {
    const auto address = object.Get(name).As<Napi::Object>();
    return EndpointOf(address.Get("host"), address.Get("port"));
  };
  core::Hello hello;
  hello.version_min = static_cast<uint16_t>(CountOf(object, "versionMin"));
  hello.version_max = static_cast<uint16_t>(CountOf(object, "versionMax"));
  hello.uid = UidOf(object.Get("uid"));
  hello.dial = CountOf(object, "dial");
  hello.cluster = TextOf(object, "cluster");
  hello.node_id = TextOf(object, "nodeId");
  hello.bind = endpoint("bind");
  hello.advertised = endpoint("advertised");
  hello.dialed = endpoint("dialed");
  return BytesToValue(info.Env(), core::EncodeHelloBody(hello));
}

// The same shape as the TypeScript codec's; undefined when malformed.
Napi::Value DecodeHelloBody(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<core::Hello> hello = core::DecodeHelloBody(BytesOf(info[0]));
  if (!hello.has_value()) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("versionMin", Napi::Number::New(env, hello->version_min));
  object.Set("versionMax", Napi::Number::New(env, hello->version_max));
  object.Set("uid", UidToValue(env, hello->uid));
  object.Set("dial", Napi::Number::New(env, hello->dial));
  object.Set("cluster", hello->cluster);
  object.Set("nodeId", hello->node_id);
  object.Set("bind", EndpointToValue(env, hello->bind));
  object.Set("advertised", EndpointToValue(env, hello->advertised));
  object.Set("dialed", EndpointToValue(env, hello->dialed));
  return object;
}

Napi::Object Limits(Napi::Env env) {
  namespace limits = core::limits;
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, uint32_t value) { object.Set(name, Napi::Number::New(env, value)); };
  set("controlFrameBytesMax", limits::kControlFrameBytesMax);
  set("helloFrameBytesMax", limits::kHelloFrameBytesMax);
  set("clusterNameBytesMax", limits::kClusterNameBytesMax);
  set("nodeIdBytesMax", limits::kNodeIdBytesMax);
  set("hostBytesMax", limits::kHostBytesMax);
  set("controlOutboxBytesMax", limits::kControlOutboxBytesMax);
  set("pendingHandshakesMax", limits::kPendingHandshakesMax);
  set("handshakeTimeoutMs", limits::kHandshakeTimeoutMs);
  set("quarantinedMax", limits::kQuarantinedMax);
  set("wantedPeersMax", limits::kWantedPeersMax);
  set("selfPauseMs", limits::kSelfPauseMs);
  set("drainTimeoutMs", limits::kDrainTimeoutMs);
  set("secretsMax", limits::kSecretsMax);
  set("secretBytesMin", limits::kSecretBytesMin);
  set("secretBytesMax", limits::kSecretBytesMax);
  set("nonceBytes", limits::kNonceBytes);
  set("proofBytes", limits::kProofBytes);
  set("tickMs", limits::kTickMs);
  set("beatIntervalMinMs", limits::kBeatIntervalMinMs);
  set("backoffFloorMs", limits::kBackoffFloorMs);
  set("supersededRetriesMax", limits::kSupersededRetriesMax);
  set("laneDialsMax", limits::kLaneDialsMax);
  set("pairsMax", limits::kPairsMax);
  set("inboxBytesMax", limits::kInboxBytesMax);
  set("laneReceiveBytes", limits::kLaneReceiveBytes);
  set("handOversMax", limits::kHandOversMax);
  set("laneUserTimeoutMs", limits::kLaneUserTimeoutMs);
  set("protocolVersionMin", limits::kProtocolVersionMin);
  set("protocolVersionMax", limits::kProtocolVersionMax);
  return object;
}

}  // namespace

void DefineCore(Napi::Env env, Napi::Object core) {
  core.Set("PhiAccrual", PhiWrap::Define(env));
  core.Set("Backoff", BackoffWrap::Define(env));
  core.Set("crc32c", Napi::Function::New<Crc32c>(env));
  core.Set("crc32cByTable", Napi::Function::New<Crc32cByTable>(env));
  core.Set("encodeFrame", Napi::Function::New<EncodeFrame>(env));
  core.Set("encodeHeartbeatFrame", Napi::Function::New<EncodeHeartbeatFrame>(env));
  core.Set("readFrames", Napi::Function::New<ReadFrames>(env));
  core.Set("encodeHelloBody", Napi::Function::New<EncodeHelloBody>(env));
  core.Set("decodeHelloBody", Napi::Function::New<DecodeHelloBody>(env));
  core.Set("limits", Limits(env));
}

}  // namespace skein::binding
