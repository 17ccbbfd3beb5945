// Not through node-addon-api, to which a call is fatal when the environment is being terminated: here it
// fails without an exception then, and the cleanup hook does the rest.
#include "loop_call.h"

namespace skein::binding {

void Surface(napi_env env, napi_status status) {
  bool thrown = false;
  if (status != napi_ok) napi_is_exception_pending(env, &thrown);
  if (!thrown) return;
  napi_value exception = nullptr;
  napi_get_and_clear_last_exception(env, &exception);
  napi_fatal_exception(env, exception);
}

napi_value CallFromLoop(napi_env env, napi_value receiver, napi_value function, size_t count,
                        const napi_value* arguments) {
  napi_value result = nullptr;
  const napi_status status =
      napi_make_callback(env, nullptr, receiver, function, count, arguments, &result);
  Surface(env, status);
  return status == napi_ok ? result : nullptr;
}

}  // namespace skein::binding
