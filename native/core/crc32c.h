// CRC32C (Castagnoli), initial and final value all ones: the checksum of control frames.
#pragma once

#include "bytes.h"

namespace skein::core {

// CRC of `bytes`; `previous` continues the CRC of what came before, so that
// Crc32c(b, Crc32c(a)) is the CRC of a followed by b.
uint32_t Crc32c(Bytes bytes, uint32_t previous = 0);

// The fallback, exported so that a test holds it equal to the hardware's answer.
uint32_t Crc32cByTable(Bytes bytes, uint32_t previous = 0);

}  // namespace skein::core
