/** The sending half of a lane: positions, short writes, what is kept and what is sent again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRandom, randomInteger } from '../../../src/sim/random.js'
import { Outbox, type UnackedFrame } from '../../../src/transport/data/outbox.js'
import { SegmentPool } from '../../../src/transport/data/segments.js'
import type { LaneSocket } from '../../../src/transport/lane-socket.js'
import { DATA_LIMITS } from '../../../src/transport/limits.js'
import {
  BODY_AT,
  CORRELATION_AT,
  DATA_LENGTH_BYTES,
  DATA_OVERHEAD_BYTES,
  DataKind,
  encodeAck,
  FLAGS_AT,
  KIND_AT,
  LANE_AT,
  Lane,
  SEQUENCE_AT,
  TOPIC_AT,
} from '../../../src/wire/data-frame.js'

/** Takes what it is told to, and keeps it. */
class Taker implements LaneSocket {
  hasUnwritten = false
  taken: Uint8Array = new Uint8Array(0)
  takes: (count: number) => number = (count) => count

  write(bytes: Uint8Array, from: number, to: number): number {
    const count = Math.min(this.takes(to - from), to - from)
    const next = new Uint8Array(this.taken.length + count)
    next.set(this.taken)
    next.set(bytes.subarray(from, from + count), this.taken.length)
    this.taken = next
    return count
  }

  attach(): void {}
  setReading(): void {}
  shutdown(): void {}
  destroy(): void {}
}

interface Frame {
  readonly kind: number
  readonly flags: number
  readonly lane: number
  readonly topic: number
  readonly correlation: number
  readonly sequence: number
  readonly body: Uint8Array
  /** Where it ends in what was parsed. */
  readonly endsAt: number
}

/** Whole frames of `bytes`; what is left of the last one is not. */
function parse(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const frames: Frame[] = []
  for (let at = 0; at + DATA_LENGTH_BYTES <= bytes.length; ) {
    const endsAt = at + DATA_LENGTH_BYTES + view.getUint32(at, true)
    if (endsAt > bytes.length) break
    frames.push({
      kind: bytes[at + KIND_AT]!,
      flags: bytes[at + FLAGS_AT]!,
      lane: bytes[at + LANE_AT]!,
      topic: view.getUint32(at + TOPIC_AT, true),
      correlation: view.getUint32(at + CORRELATION_AT, true),
      sequence: view.getUint32(at + SEQUENCE_AT, true),
      body: bytes.slice(at + BODY_AT, endsAt),
      endsAt,
    })
    at = endsAt
  }
  return frames
}

const makeOutbox = (pool = new SegmentPool()) => new Outbox(Lane.large, pool, 1)

function body(size: number, seed = 0): Uint8Array {
  return new Uint8Array(size).map((_, index) => index * 7 + seed)
}

function append(outbox: Outbox, correlation: number, size: number): void {
  outbox.append(DataKind.message, 3, 5, correlation, body(size, correlation), 0, size)
}

describe('an outbox', () => {
  it('writes frames as the peer reads them', () => {
    const outbox = makeOutbox()
    const bytes = body(100)
    outbox.append(DataKind.request, 6, 0xffff_fffe, 0xffff_ffff, bytes, 10, 13)
    outbox.append(DataKind.message, 0, 7, 9, bytes, 20, 90)
    const at = outbox.reserve(DataKind.chunk, 1, 2, 3, 4)
    outbox.segmentBytes().set([1, 2, 3, 4], at)
    const socket = new Taker()
    expect(outbox.flush(socket, true)).toBe(true)
    expect(parse(socket.taken)).toMatchObject([
      { kind: DataKind.request, flags: 6, lane: Lane.large, topic: 0xffff_fffe, correlation: 0xffff_ffff },
      { kind: DataKind.message, flags: 0, lane: Lane.large, topic: 7, correlation: 9, sequence: 2 },
      {
        kind: DataKind.chunk,
        flags: 1,
        topic: 2,
        correlation: 3,
        sequence: 3,
        body: Uint8Array.of(1, 2, 3, 4),
      },
    ])
    expect(parse(socket.taken)[0]!.body).toEqual(bytes.slice(10, 13))
    expect(parse(socket.taken)[1]!.body).toEqual(bytes.slice(20, 90))
  })

  it.each([0, 1, 15, 16, 17, DATA_LIMITS.frameBodyBytesMax])('keeps a body of %i bytes', (size) => {
    const outbox = makeOutbox()
    append(outbox, 1, size)
    const socket = new Taker()
    outbox.flush(socket, true)
    expect(Buffer.compare(parse(socket.taken)[0]!.body, body(size, 1))).toBe(0)
    expect(outbox.endPosition).toBe(size + DATA_OVERHEAD_BYTES)
  })

  it('counts what is queued, written and acknowledged', () => {
    const outbox = makeOutbox()
    const socket = new Taker()
    for (let index = 0; index < 3; index += 1) append(outbox, index, 10)
    const size = 10 + DATA_OVERHEAD_BYTES
    expect([outbox.unsentBytes, outbox.unackedBytes, outbox.unackedFrames]).toEqual([3 * size, 3 * size, 3])
    expect([outbox.isFresh, outbox.hasWork, outbox.hasAcknowledged]).toEqual([true, true, false])
    socket.takes = () => size + 1
    expect(outbox.flush(socket, true)).toBe(false)
    expect([outbox.unsentBytes, outbox.unackedBytes, outbox.isFresh]).toEqual([2 * size - 1, 3 * size, false])
    expect(outbox.acknowledge(size, 1, true)).toBe(true)
    expect([outbox.unackedBytes, outbox.unackedFrames, outbox.ackedPosition]).toEqual([2 * size, 2, size])
    expect(outbox.hasAcknowledged).toBe(true)
  })

  it('keeps the stream back until it may go, but not what goes aside', () => {
    const outbox = makeOutbox()
    const socket = new Taker()
    append(outbox, 1, 10)
    outbox.setAside(encodeAck(Lane.large, { received: 1, frames: 1 }))
    expect(outbox.flush(socket, false)).toBe(true)
    expect(parse(socket.taken).map(({ kind }) => kind)).toEqual([DataKind.ack])
    outbox.flush(socket, true)
    expect(parse(socket.taken).map(({ kind }) => kind)).toEqual([DataKind.ack, DataKind.message])
  })

  it('sends the newest of the acks that wait, and never half of one and half of another', () => {
    const outbox = makeOutbox()
    const socket = new Taker()
    const ack = (received: number) => encodeAck(Lane.large, { received, frames: received })
    outbox.setAside(ack(1))
    outbox.setAside(ack(2))
    socket.takes = () => 5
    outbox.flush(socket, true)
    outbox.setAside(ack(3))
    socket.takes = (count) => count
    outbox.flush(socket, true)
    const frames = parse(socket.taken)
    expect(frames.map(({ body }) => body[0])).toEqual([2])
    expect(frames[0]!.endsAt).toBe(socket.taken.length)
  })

  it('sends at most so much beyond what is acknowledged', () => {
    const outbox = makeOutbox()
    const socket = new Taker()
    const { unackedBytesMax, frameBodyBytesMax } = DATA_LIMITS
    const count = Math.ceil((1.5 * unackedBytesMax) / frameBodyBytesMax)
    for (let index = 0; index < count; index += 1) append(outbox, index, frameBodyBytesMax)
    let taken = 0
    socket.write = (_, from, to) => {
      taken += to - from
      return to - from
    }
    expect(outbox.flush(socket, true)).toBe(false)
    expect(taken).toBeGreaterThanOrEqual(unackedBytesMax)
    expect(taken).toBeLessThan(unackedBytesMax + DATA_LIMITS.segmentBytes.at(-1)!)
    const frame = frameBodyBytesMax + DATA_OVERHEAD_BYTES
    outbox.acknowledge(10 * frame, 10, true)
    outbox.flush(socket, true)
    expect(taken).toBeGreaterThanOrEqual(unackedBytesMax + 10 * frame)
  })
})

describe('acknowledgements that cannot be', () => {
  function sent() {
    const outbox = makeOutbox()
    const socket = new Taker()
    for (let index = 0; index < 4; index += 1) append(outbox, index, 0)
    socket.takes = () => 3 * DATA_OVERHEAD_BYTES
    outbox.flush(socket, true)
    outbox.acknowledge(DATA_OVERHEAD_BYTES, 1, true)
    return outbox
  }
  const size = DATA_OVERHEAD_BYTES

  it.each([
    ['less than before', size - 1, 1],
    ['more than was sent', 3 * size + 1, 3],
    ['fewer frames than before', size, 0],
    ['more frames than there are', size, 5],
    ['what no double holds', 2 ** 64, 1],
  ])('%s', (_, received, frames) => {
    const outbox = sent()
    expect(outbox.acknowledge(received, frames, true)).toBe(false)
    expect(outbox.ackedPosition).toBe(size)
    expect(outbox.restart(received, frames)).toBe(false)
  })

  it('do not stand in the way of those that can', () => {
    const outbox = sent()
    expect(outbox.acknowledge(3 * size + 1, 3, true)).toBe(false)
    expect(outbox.acknowledge(3 * size, 3, true)).toBe(true)
    expect(outbox.unackedFrames).toBe(1)
  })

  it('of half a frame lead at worst to frames that are wrong, within what was queued', () => {
    for (let cut = DATA_OVERHEAD_BYTES; cut < 3 * size; cut += 1) {
      const outbox = makeOutbox()
      const socket = new Taker()
      for (let index = 0; index < 50; index += 1) append(outbox, index, 1)
      socket.takes = () => 40 * (size + 1)
      outbox.flush(socket, true)
      expect(outbox.acknowledge(cut, 1, true)).toBe(true)
      outbox.setAside(encodeAck(Lane.large, { received: 0, frames: 0 }))
      socket.takes = (count) => count
      outbox.flush(socket, true)
      expect(outbox.unsentBytes).toBe(0)
      outbox.unsend()
      expect(outbox.restart(cut, 1)).toBe(true)
      socket.takes = () => 7
      outbox.flush(socket, true)
      outbox.setAside(encodeAck(Lane.large, { received: 0, frames: 0 }))
      socket.takes = (count) => count
      outbox.flush(socket, true)
      expect(outbox.unsentBytes).toBe(0)
      outbox.abandon(2, ({ from, to }) => {
        expect(from).toBeLessThanOrEqual(to)
        expect(to).toBeLessThanOrEqual(50 * (size + 1))
      })
    }
  })
})

describe('an outbox that is abandoned', () => {
  it('gives back every frame that was not acknowledged, once, and says which were sent', () => {
    const outbox = makeOutbox()
    const socket = new Taker()
    const sizes = [0, 5, 2000, 60_000, 0, 1, 65_536, 300]
    for (const [index, bytes] of sizes.entries()) append(outbox, index, bytes)
    const ends = sizes.map((_, index) =>
      sizes.slice(0, index + 1).reduce((sum, bytes) => sum + bytes + DATA_OVERHEAD_BYTES, 0),
    )
    let room = ends[4]! + 1
    socket.takes = (count) => {
      const taken = Math.min(count, room)
      room -= taken
      return taken
    }
    outbox.flush(socket, true)
    outbox.acknowledge(ends[1]!, 2, true)
    const given: (Omit<UnackedFrame, 'bytes' | 'from' | 'to'> & { body: Uint8Array })[] = []
    outbox.abandon(9, ({ bytes, from, to, ...frame }) =>
      given.push({ ...frame, body: bytes.slice(from, to) }),
    )
    expect(given.map(({ correlation, sent }) => [correlation, sent])).toEqual([
      [2, true],
      [3, true],
      [4, true],
      [5, true],
      [6, false],
      [7, false],
    ])
    expect(given).toMatchObject(Array(6).fill({ kind: DataKind.message, flags: 3, topic: 5 }))
    expect(
      given.every(
        ({ body: b, correlation }) => Buffer.compare(b, body(sizes[correlation]!, correlation)) === 0,
      ),
    ).toBe(true)
    expect([outbox.epoch, outbox.endPosition, outbox.unackedBytes, outbox.frames]).toEqual([9, 0, 0, 0])
    expect([outbox.isFresh, outbox.hasAcknowledged, outbox.hasWork]).toEqual([true, false, false])
    append(outbox, 1, 1)
    const next = new Taker()
    outbox.flush(next, true)
    expect(parse(next.taken)).toMatchObject([{ sequence: 1, correlation: 1 }])
  })
})

describe('memory of outboxes', () => {
  it('grows with what waits, and is given back when all is acknowledged', () => {
    const pool = new SegmentPool()
    const outbox = makeOutbox(pool)
    append(outbox, 1, 10)
    const small = outbox.segmentBytes()
    expect(small.length).toBe(DATA_LIMITS.segmentBytes[0])
    for (let index = 0; index < 40; index += 1) append(outbox, index, 1000)
    expect(outbox.segmentBytes().length).toBe(DATA_LIMITS.segmentBytes[3])
    const socket = new Taker()
    outbox.flush(socket, true)
    outbox.acknowledge(outbox.endPosition, outbox.frames, true)
    // The next one to ask gets that same memory.
    expect(pool.take(0, 1).bytes).toBe(small)
  })

  it('is used again only when what lay there is acknowledged', () => {
    const pool = new SegmentPool()
    const one = makeOutbox(pool)
    const socket = new Taker()
    append(one, 1, 900)
    const first = one.segmentBytes()
    append(one, 2, 900)
    one.flush(socket, true)
    const other = makeOutbox(pool)
    append(other, 3, 900)
    expect(other.segmentBytes()).not.toBe(first)
    one.acknowledge(920, 1, true)
    const third = makeOutbox(pool)
    append(third, 4, 900)
    expect(third.segmentBytes()).toBe(first)
  })

  it('is not kept beyond a bound', () => {
    const pool = new SegmentPool()
    const size = DATA_LIMITS.segmentBytes.length - 1
    const most = DATA_LIMITS.segmentPoolBytesMax / DATA_LIMITS.segmentBytes[size]!
    const segments = Array.from({ length: most + 3 }, () => pool.take(size, 1))
    for (const segment of segments) pool.give(segment)
    const again = new Set(Array.from({ length: most + 3 }, () => pool.take(size, 1)))
    expect(segments.filter((segment) => again.has(segment)).length).toBe(most)
  })

  it('is of the smallest size that holds a frame', () => {
    const pool = new SegmentPool()
    for (const [index, bytes] of DATA_LIMITS.segmentBytes.entries()) {
      expect(pool.take(0, bytes).size).toBe(index)
      expect(pool.take(index, 1).bytes.length).toBe(bytes)
    }
  })
})

/** What may happen to an outbox; numbers are shares of what is possible then. */
const act = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), share: fc.nat(1000) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('flush' as const), share: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ack' as const), share: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('aside' as const), share: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), share: fc.nat(1000) }) },
)

/** The peer, and the one socket between: frames are taken whole, what is behind them is lost with the socket. */
class Model {
  readonly outbox = makeOutbox()
  socket = new Taker()
  appended = 0
  /** Frames of the stream that the peer has taken, over all sockets. */
  readonly taken: Frame[] = []
  private receivedBytes = 0
  private receivedFrames = 0
  private asides = 0
  private parsed = 0

  flush(share: number): void {
    let room = share === 1000 ? Number.POSITIVE_INFINITY : share
    this.socket.takes = (count) => {
      const taken = Math.min(count, room)
      room -= taken
      return taken
    }
    this.outbox.flush(this.socket, true)
  }

  /** The peer reads a part of what has come. */
  read(share: number): void {
    const frames = parse(this.socket.taken)
    const upTo = Math.ceil((frames.length * share) / 1000)
    for (; this.parsed < upTo; this.parsed += 1) {
      const frame = frames[this.parsed]!
      if (frame.kind === DataKind.ack || frame.kind === DataKind.resume) {
        this.asides += 1
        continue
      }
      const startsAt = this.parsed === 0 ? 0 : frames[this.parsed - 1]!.endsAt
      this.receivedBytes += frame.endsAt - startsAt
      this.receivedFrames += 1
      this.taken.push(frame)
    }
  }

  acknowledge(): void {
    expect(this.outbox.acknowledge(this.receivedBytes, this.receivedFrames, true)).toBe(true)
  }

  aside(): void {
    this.outbox.setAside(encodeAck(Lane.large, { received: 7, frames: 7 }))
  }

  die(): void {
    this.outbox.unsend()
    this.socket = new Taker()
    this.parsed = 0
    this.outbox.greet(encodeAck(Lane.large, { received: 0, frames: 0 }))
    expect(this.outbox.restart(this.receivedBytes, this.receivedFrames)).toBe(true)
  }
}

describe('whatever the socket takes and whenever it dies', () => {
  it('nothing is lost, doubled, moved or mixed', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120 }), fc.nat(), (acts, seed) => {
        const random = createRandom(seed)
        const model = new Model()
        for (const { do: what, share } of acts) {
          if (what === 'append') {
            append(model.outbox, model.appended, randomInteger(random, 0, share < 950 ? 80 : 65_536))
            model.appended += 1
          } else if (what === 'flush') model.flush(share)
          else if (what === 'aside') model.aside()
          else {
            model.read(share)
            if (what === 'ack') model.acknowledge()
            else model.die()
          }
        }
        model.flush(1000)
        model.read(1000)
        model.acknowledge()
        expect(model.outbox.unackedBytes).toBe(0)
        expect(model.taken.map(({ correlation }) => correlation)).toEqual(
          Array.from({ length: model.appended }, (_, index) => index),
        )
        expect(model.taken.map(({ sequence }) => sequence)).toEqual(
          Array.from({ length: model.appended }, (_, index) => index + 1),
        )
        for (const { correlation, body: got } of model.taken)
          expect(Buffer.compare(got, body(got.length, correlation))).toBe(0)
      }),
      { numRuns: 500 },
    )
  })
})

it('frees frames and bytes together only', () => {
  const outbox = makeOutbox()
  const socket = new Taker()
  for (let index = 0; index < 10; index += 1) append(outbox, index, 1)
  outbox.flush(socket, true)
  expect(outbox.acknowledge(0, 10, true)).toBe(false)
  expect(outbox.acknowledge(outbox.endPosition, 9, true)).toBe(false)
  expect(outbox.acknowledge(outbox.endPosition, 10, true)).toBe(true)
})

it('does not use memory again that a socket may still read', () => {
  const pool = new SegmentPool()
  const one = new Outbox(Lane.ordinary, pool, 1)
  one.append(DataKind.message, 0, 1, 0, Uint8Array.of(1, 2, 3), 0, 3)
  const before = one.segmentBytes()
  one.flush(new Taker(), true)
  expect(one.acknowledge(one.endPosition, 1, false)).toBe(true)
  const other = new Outbox(Lane.ordinary, pool, 2)
  other.append(DataKind.message, 0, 1, 0, Uint8Array.of(4, 5, 6), 0, 3)
  expect(other.segmentBytes()).not.toBe(before)
})

it('owes an ack that finds another one half out', () => {
  const outbox = makeOutbox()
  const socket = new Taker()
  const ack = (received: number) => encodeAck(Lane.large, { received, frames: 0 })
  expect(outbox.setAside(ack(1))).toBe(true)
  expect(outbox.setAside(ack(2))).toBe(true)
  socket.takes = () => 10
  outbox.flush(socket, true)
  expect(outbox.setAside(ack(3))).toBe(false)
  socket.takes = (count) => count
  outbox.flush(socket, true)
  expect(outbox.setAside(ack(3))).toBe(true)
})
