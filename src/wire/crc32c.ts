/**
 * CRC32C (Castagnoli), as iSCSI and SSE4.2 compute it: reflected polynomial 0x82F63B78, initial and final value
 * all ones. Slicing by eight: eight bytes a step through eight tables.
 */

const POLYNOMIAL = 0x82f63b78
const SLICES = 8

/** Table k maps a byte to its effect on the register k bytes later; all tables in one array, 256 entries each. */
const TABLES = buildTables()

function buildTables(): Uint32Array {
  const tables = new Uint32Array(SLICES * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte
    for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
    tables[byte] = value
  }
  for (let index = 256; index < tables.length; index += 1) {
    const shorter = tables[index - 256]!
    tables[index] = (shorter >>> 8) ^ tables[shorter & 0xff]!
  }
  return tables
}

/** CRC32C of `bytes[start, end)` as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const t = TABLES
  let crc = 0xffffffff
  let at = start
  for (const stop = end - 7; at < stop; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      t[1792 + (low & 0xff)]! ^
      t[1536 + ((low >>> 8) & 0xff)]! ^
      t[1280 + ((low >>> 16) & 0xff)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}
