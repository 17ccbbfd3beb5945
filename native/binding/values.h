// Conversions between JavaScript values and the core's types. The TypeScript adapter validates; here a value
// of the wrong type reads as zero or empty.
#pragma once

#include <string>

#include "../core/control_plane.h"
#include "napi_headers.h"

namespace skein::binding {

// 16 lower-case hex digits; anything else is 0, no incarnation.
core::Uid UidOf(const Napi::Value& value);
Napi::String UidToValue(Napi::Env env, core::Uid uid);

// From a host and a port argument.
core::Endpoint EndpointOf(const Napi::Value& host, const Napi::Value& port);
Napi::Object EndpointToValue(Napi::Env env, const core::Endpoint& endpoint);

// View of a Uint8Array; empty for anything else. Valid while the array is reachable.
core::Bytes BytesOf(const Napi::Value& value);
Napi::Uint8Array BytesToValue(Napi::Env env, core::Bytes bytes);

double NumberOf(const Napi::Object& object, const char* name);
uint32_t CountOf(const Napi::Object& object, const char* name);
std::string TextOf(const Napi::Object& object, const char* name);

}  // namespace skein::binding
