/** Frames of a data lane without a socket: into the outbox and out of it, and out of what has arrived to a handler. */
import { bench, describe } from 'vitest'
import { Lane } from '../../src/transport/data/lane.js'
import { Outbox } from '../../src/transport/data/outbox.js'
import { SegmentPool } from '../../src/transport/data/segments.js'
import type { LaneSocket } from '../../src/transport/lane-socket.js'
import { DataKind, encodeResume, Lane as LaneNumber } from '../../src/wire/data-frame.js'

const FRAMES = 1000

/** Takes everything, as a socket with room does, and keeps it when asked. */
function sinkSocket(kept?: Uint8Array[]): LaneSocket {
  return {
    hasUnwritten: false,
    attach() {},
    write: (bytes, from, to) => {
      kept?.push(bytes.slice(from, to))
      return to - from
    },
    setReading() {},
    shutdown() {},
    destroy() {},
  }
}

const noOne = {
  topicOf: (name: string) => name,
  onBatchBegin() {},
  onBatch() {},
  onWork() {},
  onOwesAck() {},
  onGreeted() {},
  onAcknowledged() {},
  onRoom() {},
  onPeerReset() {},
  onForgotten() {},
  onSocketEnd(_lane: unknown, how: string) {
    throw new Error(`the lane ended: ${how}`)
  },
}

/** What a peer's lane puts on the wire for so many messages of one topic, resume included. */
function stream(body: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [
    encodeResume(LaneNumber.ordinary, { epoch: 1, seenEpoch: 0, received: 0, frames: 0 }),
  ]
  const outbox = new Outbox(LaneNumber.ordinary, new SegmentPool(), 1)
  const name = new TextEncoder().encode('topic')
  outbox.append(DataKind.topic, 0, 1, 0, name, 0, name.length)
  for (let i = 0; i < FRAMES; i += 1) outbox.append(DataKind.message, 0, 1, 0, body, 0, body.length)
  outbox.flush(sinkSocket(kept), true)
  return Buffer.concat(kept)
}

for (const size of [100, 1024]) {
  const body = new Uint8Array(size).fill(0x5a)
  describe(`${FRAMES} messages of ${size} B`, () => {
    const pool = new SegmentPool()
    const outbox = new Outbox(LaneNumber.ordinary, pool, 1)
    const socket = sinkSocket()
    bench('encode into the outbox, flush, acknowledge', () => {
      for (let i = 0; i < FRAMES; i += 1) outbox.append(DataKind.message, 0, 1, 0, body, 0, body.length)
      outbox.flush(socket, true)
      outbox.acknowledge(outbox.endPosition, outbox.frames, true)
    })

    const bytes = stream(body)
    let seen = 0
    const receiver = {
      onFrame(
        _lane: unknown,
        _kind: number,
        _flags: number,
        _topic: unknown,
        _correlation: number,
        _bytes: Uint8Array,
        from: number,
        to: number,
      ) {
        seen += to - from
      },
    }
    bench('read in place, frame by frame', () => {
      seen = 0
      const lane = new Lane<string>('ordinary', noOne, receiver, pool, 1)
      lane.adopt(socket, 1, '0000000000000001')
      lane.onData(bytes, 0, bytes.length)
      if (seen !== FRAMES * size) throw new Error(`${seen} bytes of ${FRAMES * size} were seen`)
    })
  })
}
