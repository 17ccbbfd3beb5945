/** The ring in which the control thread hands events over: records of messages, as C++ lays them out, to JavaScript. */
import { bench, describe } from 'vitest'
import { NATIVE_LIMITS } from '../../src/transport/limits.js'
import { EventCode } from '../../src/transport/native/event-codes.js'
import { EventDecoder } from '../../src/transport/native/event-decoder.js'

const HEAD_BYTES = 32

/** Records back to back from the start of `ring`; returns where the last one ends and how many there are. */
function fill(ring: ArrayBuffer, messageBytes: number): { end: number; records: number } {
  const view = new DataView(ring)
  const recordBytes = (HEAD_BYTES + messageBytes + 7) & ~7
  let at = 0
  for (; at + recordBytes < ring.byteLength; at += recordBytes) {
    view.setUint32(at, recordBytes, true)
    view.setUint8(at + 4, EventCode.message)
    view.setUint32(at + 8, 7, true)
    view.setUint32(at + 16, 1, true)
    view.setUint32(at + 20, messageBytes, true)
    view.setUint32(at + 28, messageBytes, true)
  }
  return { end: at, records: at / recordBytes }
}

for (const messageBytes of [40, 1024]) {
  const ring = new ArrayBuffer(NATIVE_LIMITS.ringBytes)
  const { end, records } = fill(ring, messageBytes)
  const decoder = new EventDecoder(ring)
  describe(`a full ring of ${records} messages of ${messageBytes} B`, () => {
    let seen = 0
    bench('decode, with a copy of each', () => {
      seen = 0
      decoder.decode(0, end, (event) => {
        if (event.type === 'message') seen += event.bytes.length
      })
      if (seen !== records * messageBytes) throw new Error(`${seen} bytes were seen`)
    })
  })
}
