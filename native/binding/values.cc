// Conversions between JavaScript values and the core's types.
#include "values.h"

#include <array>
#include <cstring>

namespace skein::binding {

core::Uid UidOf(const Napi::Value& value) {
  if (!value.IsString()) return 0;
  std::array<char, 18> text{};
  size_t length = 0;
  napi_get_value_string_latin1(value.Env(), value, text.data(), text.size(), &length);
  if (length != 16) return 0;
  core::Uid uid = 0;
  for (size_t at = 0; at < length; ++at) {
    const char c = text[at];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return 0;
    uid = uid << 4 | static_cast<core::Uid>(digit ? c - '0' : c - 'a' + 10);
  }
  return uid;
}

Napi::String UidToValue(Napi::Env env, core::Uid uid) {
  std::array<char, 16> text{};
  for (size_t at = text.size(); at > 0; --at, uid >>= 4) text[at - 1] = "0123456789abcdef"[uid & 0xf];
  return Napi::String::New(env, text.data(), text.size());
}

core::Endpoint EndpointOf(const Napi::Value& host, const Napi::Value& port) {
  core::Endpoint endpoint;
  if (host.IsString()) endpoint.host = host.As<Napi::String>().Utf8Value();
  if (port.IsNumber()) endpoint.port = static_cast<uint16_t>(port.As<Napi::Number>().Uint32Value());
  return endpoint;
}

Napi::Object EndpointToValue(Napi::Env env, const core::Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("host", endpoint.host);
  object.Set("port", Napi::Number::New(env, endpoint.port));
  return object;
}

core::Bytes BytesOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  if (type != napi_uint8_array || data == nullptr) return {};
  return {static_cast<const uint8_t*>(data), length};
}

Napi::Uint8Array BytesToValue(Napi::Env env, core::Bytes bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

double NumberOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
}

uint32_t CountOf(const Napi::Object& object, const char* name) {
  const double value = NumberOf(object, name);
  if (!(value > 0)) return 0;
  return value >= UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(value);
}

std::string TextOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

}  // namespace skein::binding
