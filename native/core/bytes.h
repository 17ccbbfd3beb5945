// Little-endian loads and stores on unaligned bytes; the wire and this host agree on the order.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace skein::core {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian and so are its readers");

using Bytes = std::span<const uint8_t>;

template <typename T>
T Load(const uint8_t* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
void Store(uint8_t* to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(to, &value, sizeof(T));
}

}  // namespace skein::core
