// A call of JavaScript out of a callback of its loop.
#pragma once

#include "napi_headers.h"

namespace skein::binding {

// What `status` has left of an exception surfaces as uncaught: it must not vanish in a callback of ours.
void Surface(napi_env env, napi_status status);

// Ticks and microtasks run after it. Null when it threw, which has surfaced as uncaught then, or when the
// environment is being terminated. Needs a handle scope.
napi_value CallFromLoop(napi_env env, napi_value receiver, napi_value function, size_t count,
                        const napi_value* arguments);

}  // namespace skein::binding
