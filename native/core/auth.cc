// Comparison of secrets.
#include "auth.h"

namespace skein::core {

bool EqualInConstantTime(Bytes a, Bytes b) {
  if (a.size() != b.size()) return false;
  // Volatile, so that the compiler cannot leave the loop at the first difference.
  volatile uint8_t difference = 0;
  for (size_t at = 0; at < a.size(); ++at) difference = static_cast<uint8_t>(difference | (a[at] ^ b[at]));
  return difference == 0;
}

}  // namespace skein::core
