// The pure C++ classes, exported to tests with `now` as a parameter: TypeScript compares them with its own.
#pragma once

#include "napi_headers.h"

namespace skein::binding {

// Adds `PhiAccrual`, `Backoff`, `crc32c`, the codecs and `limits` to `core`.
void DefineCore(Napi::Env env, Napi::Object core);

}  // namespace skein::binding
