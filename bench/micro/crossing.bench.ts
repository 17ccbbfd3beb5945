/** Calls into the addon, and the one that hands a message to the control thread. */
import { bench, describe } from 'vitest'
import { loadAddon } from '../../src/transport/native/load.js'

const CALLS = 1000
const NO_LANE = 0x7fff_ffff
const addon = loadAddon()
const bytes = new Uint8Array(120)

describe(`${CALLS} crossings`, () => {
  bench('numbers: setReading on a lane that is gone', () => {
    for (let i = 0; i < CALLS; i += 1) addon.lanes.setReading(NO_LANE, true)
  })
  bench('bytes: write on a lane that is gone', () => {
    for (let i = 0; i < CALLS; i += 1) addon.lanes.write(NO_LANE, bytes, 0, bytes.length)
  })
  bench('bytes in, number out: CRC32C of 120 B', () => {
    for (let i = 0; i < CALLS; i += 1) addon.core.crc32c(bytes)
  })
  bench('bytes out: a heartbeat frame made by C++', () => {
    const beat = { sentUs: 1, loopAgeMs: 0, intervalMs: 1000 }
    for (let i = 0; i < CALLS; i += 1) addon.core.encodeHeartbeatFrame(beat, i, false)
  })
})
