// Arguments in, table calls, numbers out. A value of the wrong type names no lane and no bytes.
#include "lane_bindings.h"

#include <algorithm>
#include <array>
#include <utility>

#include "../core/limits.h"
#include "loop_call.h"

namespace skein::binding {
namespace {

template <size_t count>
struct Arguments {
  std::array<napi_value, count> values{};
  LaneBindings* lanes = nullptr;

  Arguments(napi_env env, napi_callback_info info) {
    size_t given = count;
    void* data = nullptr;
    napi_get_cb_info(env, info, &given, values.data(), nullptr, &data);
    lanes = static_cast<LaneBindings*>(data);
  }
};

int32_t IndexOf(napi_env env, napi_value value) {
  int32_t index = -1;
  napi_get_value_int32(env, value, &index);
  return index;
}

// What `from` and `to` leave of a Uint8Array; nothing for anything else.
core::Bytes RangeOf(napi_env env, napi_value array, napi_value from_value, napi_value to_value) {
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  uint32_t from = 0;
  uint32_t to = 0;
  if (napi_get_typedarray_info(env, array, &type, &length, &data, nullptr, nullptr) != napi_ok) return {};
  napi_get_value_uint32(env, from_value, &from);
  napi_get_value_uint32(env, to_value, &to);
  const size_t end = std::min<size_t>(to, length);
  if (type != napi_uint8_array || data == nullptr || from >= end) return {};
  return {static_cast<const uint8_t*>(data) + from, end - from};
}

}  // namespace

Napi::Object LaneBindings::Define() {
  const Napi::Env env(env_);
  Napi::Object lanes = Napi::Object::New(env);
  const std::pair<const char*, napi_callback> functions[] = {
      {"start", Start},           {"attach", Attach},     {"write", Write},
      {"setReading", SetReading}, {"shutdown", Shutdown}, {"destroy", Destroy}};
  for (const auto& [name, callback] : functions) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, this, &function);
    lanes.Set(name, function);
  }
  return lanes;
}

void LaneBindings::Close(void (*on_closed)(void* data), void* data) {
  napi_delete_reference(env_, std::exchange(on_event_, nullptr));
  napi_delete_reference(env_, std::exchange(buffer_, nullptr));
  if (context_ != nullptr) napi_async_destroy(env_, std::exchange(context_, nullptr));
  table_.Close(on_closed, data);
}

napi_value LaneBindings::Start(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  LaneBindings* lanes = arguments.lanes;
  void* buffer = nullptr;
  size_t bytes = 0;
  napi_valuetype type = napi_undefined;
  uv_loop_t* loop = nullptr;
  napi_get_arraybuffer_info(env, arguments.values[0], &buffer, &bytes);
  napi_typeof(env, arguments.values[1], &type);
  napi_get_uv_event_loop(env, &loop);
  const bool typed = bytes == core::limits::kLaneReceiveBytes && type == napi_function && loop != nullptr;
  const auto on_event = [](void* data, int32_t index, io::LaneEvent event, uint32_t count) {
    return static_cast<LaneBindings*>(data)->OnEvent(index, event, count);
  };
  const auto size = static_cast<uint32_t>(bytes);
  auto* memory = static_cast<uint8_t*>(buffer);
  if (!typed || lanes->table_.IsStarted() || lanes->table_.Start(loop, memory, size, on_event, lanes) != 0) {
    napi_throw_type_error(env, nullptr, "lanes.start(buffer, onEvent), once");
    return nullptr;
  }
  napi_create_reference(env, arguments.values[0], 1, &lanes->buffer_);
  napi_create_reference(env, arguments.values[1], 1, &lanes->on_event_);
  napi_value name = nullptr;
  napi_create_string_latin1(env, "SKEINLANES", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &lanes->context_);
  return nullptr;
}

uint32_t LaneBindings::OnEvent(int32_t index, io::LaneEvent event, uint32_t bytes) {
  napi_handle_scope scope = nullptr;
  napi_value function = nullptr;
  napi_value receiver = nullptr;
  std::array<napi_value, 3> arguments{};
  napi_callback_scope turn = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return 0;
  napi_get_reference_value(env_, on_event_, &function);
  napi_get_global(env_, &receiver);
  napi_create_int32(env_, index, &arguments[0]);
  napi_create_uint32(env_, static_cast<uint32_t>(event), &arguments[1]);
  napi_create_uint32(env_, bytes, &arguments[2]);
  napi_value result = nullptr;
  uint32_t taken = 0;
  if (napi_open_callback_scope(env_, receiver, context_, &turn) == napi_ok) {
    const napi_status status =
        napi_call_function(env_, receiver, function, arguments.size(), arguments.data(), &result);
    // Before the ticks: what was taken stays taken, whatever somebody else throws in one of them.
    if (status == napi_ok) napi_get_value_uint32(env_, result, &taken);
    Surface(env_, status);
    napi_close_callback_scope(env_, turn);
  }
  napi_close_handle_scope(env_, scope);
  return taken;
}

napi_value LaneBindings::Attach(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  arguments.lanes->table_.Attach(IndexOf(env, arguments.values[0]));
  return nullptr;
}

napi_value LaneBindings::Write(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  const auto& [index, bytes, from, to] = arguments.values;
  const size_t taken = arguments.lanes->table_.Write(IndexOf(env, index), RangeOf(env, bytes, from, to));
  napi_value result = nullptr;
  napi_create_uint32(env, static_cast<uint32_t>(taken), &result);
  return result;
}

napi_value LaneBindings::SetReading(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  bool on = false;
  napi_get_value_bool(env, arguments.values[1], &on);
  arguments.lanes->table_.SetReading(IndexOf(env, arguments.values[0]), on);
  return nullptr;
}

napi_value LaneBindings::Shutdown(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  arguments.lanes->table_.Shutdown(IndexOf(env, arguments.values[0]));
  return nullptr;
}

napi_value LaneBindings::Destroy(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  arguments.lanes->table_.Destroy(IndexOf(env, arguments.values[0]));
  return nullptr;
}

}  // namespace skein::binding
