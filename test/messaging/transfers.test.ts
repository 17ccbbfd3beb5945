/** Messages too long for one frame: cut, interleaved, put together, bounded. */
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { DATA_LIMITS } from '../../src/transport/limits.js'
import {
  CHUNK_HEAD_BYTES,
  DataFlag,
  DataKind,
  FailureCode,
  writeChunkHead,
} from '../../src/wire/data-frame.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addPlane, type PlaneNode } from '../transport/data/plane-world.js'
import { addOffice, bytesOf, eventsOf, type OfficeNode, pattern, textOf } from './office-world.js'

const FRAME = DATA_LIMITS.frameBodyBytesMax
const MIB = 1024 * 1024

function pair(options = {}) {
  const world = new LaneWorld()
  return { world, a: addOffice(world, 0, options), b: addOffice(world, 1, options) }
}

/** Keeps whole messages, in the order in which they came. */
function keep(node: OfficeNode, topic = 't') {
  const kept: { bytes: Uint8Array; lane: string }[] = []
  node.office.topics.handle(topic, (bytes, { lane }) => {
    kept.push({ bytes: bytes.slice(), lane })
  })
  return kept
}

const isSame = (one: Uint8Array, other: Uint8Array) => Buffer.compare(one, other) === 0

describe('a large message', () => {
  it.each([
    FRAME + 1,
    FRAME + 1 - CHUNK_HEAD_BYTES,
    2 * FRAME,
    2 * (FRAME - CHUNK_HEAD_BYTES),
    2 * (FRAME - CHUNK_HEAD_BYTES) + 1,
    5 * MIB + 7,
  ])('of %i bytes arrives whole', async (size) => {
    const { world, a, b } = pair()
    const kept = keep(b)
    a.to(b).send('t', pattern(size), { lane: 'large' })
    await world.until(() => kept.length === 1, 'the message')
    expect(kept[0]!.lane).toBe('large')
    expect(isSame(kept[0]!.bytes, pattern(size))).toBe(true)
  })

  it.each([0, 1, 1000])('may be one of %i bytes that asks for the large lane', async (size) => {
    const { world, a, b } = pair()
    const kept = keep(b)
    a.to(b).send('t', pattern(size), { lane: 'large' })
    await world.pass(100)
    expect(kept.map(({ lane, bytes }) => [lane, isSame(bytes, pattern(size))])).toEqual([['large', true]])
  })

  it('takes the large lane from its bound on', async () => {
    const { world, a, b } = pair({ largeMessageBytes: 1000 })
    const kept = keep(b)
    a.to(b).send('t', pattern(1000))
    await world.pass(100)
    a.to(b).send('t', pattern(1001))
    // Nothing that is too long for a frame of the ordinary lane goes there, though it is asked for.
    await world.pass(100)
    a.to(b).send('t', pattern(FRAME + 1), { lane: 'ordinary' })
    await world.pass(100)
    expect(kept.map(({ lane }) => lane)).toEqual(['ordinary', 'large', 'large'])
  })

  it('is copied when it is sent', async () => {
    const { world, a, b } = pair()
    const kept = keep(b)
    const bytes = pattern(2 * MIB)
    a.to(b).send('t', bytes)
    bytes.fill(0)
    await world.until(() => kept.length === 1, 'the message')
    expect(isSame(kept[0]!.bytes, pattern(2 * MIB))).toBe(true)
  })

  it('is the handler’s to keep, poisoned or not: it lies in no receive buffer', async () => {
    const { world, a, b } = pair()
    const kept: Uint8Array[] = []
    b.office.topics.handle('t', (bytes) => {
      kept.push(bytes)
    })
    a.to(b).send('t', pattern(MIB))
    await world.pass(500)
    expect(isSame(kept[0]!, pattern(MIB))).toBe(true)
  })

  it('may be a request, an answer, or both', async () => {
    const { world, a, b } = pair()
    b.office.topics.handle('grow', (bytes) => pattern(bytes.length * 2))
    b.office.topics.handle('size', (bytes) => bytesOf(`${bytes.length}`))
    b.office.topics.handle('give', () => pattern(MIB))
    const big = pattern(MIB)
    expect(isSame(await world.settle(a.to(b).request('grow', big)), pattern(2 * MIB))).toBe(true)
    expect(textOf(await world.settle(a.to(b).request('size', big)))).toBe(`${MIB}`)
    expect(isSame(await world.settle(a.to(b).request('give', new Uint8Array(0))), pattern(MIB))).toBe(true)
  })

  it('does not hold up small ones, and many go forward together', async () => {
    const { world, a, b } = pair()
    const order: string[] = []
    for (const topic of ['huge', 'big', 'small'])
      b.office.topics.handle(topic, () => {
        order.push(topic)
      })
    world.prepare = (socket) => {
      socket.capacityBytes = 64 * 1024
    }
    a.to(b).send('huge', new Uint8Array(20 * MIB))
    a.to(b).send('big', new Uint8Array(MIB))
    a.to(b).send('big', new Uint8Array(MIB))
    await world.pass(3)
    a.to(b).send('small', new Uint8Array(10))
    await world.until(() => order.length === 4, 'all messages')
    expect(order).toEqual(['small', 'big', 'big', 'huge'])
  })

  it('hands little to the lane, however long it is', async () => {
    const { world, a, b } = pair()
    world.prepare = (socket) => {
      socket.takes = () => 0
    }
    for (let index = 0; index < 5; index += 1) a.to(b).send('t', new Uint8Array(10 * MIB))
    await world.pass(100)
    const { unackedBytes } = a.to(b).association.large!.outbox
    expect(unackedBytes).toBeGreaterThan(4 * FRAME)
    expect(unackedBytes).toBeLessThan(10 * FRAME)
    expect(a.to(b).transfers.waitingBytes).toBeGreaterThan(49 * MIB)
  })

  it('arrives though its sockets die', async () => {
    const { world, a, b } = pair()
    const kept = keep(b)
    world.prepare = (socket) => {
      socket.capacityBytes = 5000
    }
    const size = 3 * MIB
    for (let seed = 0; seed < 3; seed += 1) a.to(b).send('t', pattern(size, seed))
    for (let deaths = 0; deaths < 10; deaths += 1) {
      await world.pass(40)
      world.killLanes()
    }
    await world.until(() => kept.length === 3, 'three messages')
    expect(kept.map(({ bytes }, seed) => isSame(bytes, pattern(size, seed)))).toEqual([true, true, true])
    expect(world.lanes.length).toBeGreaterThan(8)
  })
})

describe('large messages at their bounds', () => {
  it('are as long as allowed, and not longer', async () => {
    const { world, a, b } = pair({ messageBytesMax: 100_000 })
    const kept = keep(b)
    a.to(b).send('t', new Uint8Array(100_000))
    const tooLarge = expect.objectContaining({ code: 'ERR_SKEIN_FRAME_TOO_LARGE' })
    expect(() => a.to(b).send('t', new Uint8Array(100_001))).toThrow(tooLarge)
    await expect(a.to(b).request('t', new Uint8Array(100_001))).rejects.toEqual(tooLarge)
    await world.pass(500)
    expect(kept.length).toBe(1)
  })

  it('wait up to a number of bytes; one alone always may', () => {
    const { world, a, b } = pair({ messageBytesMax: MIB, largeOutboxBytesMax: 2 * MIB })
    world.cut(a.node, b.node)
    a.to(b).send('t', new Uint8Array(MIB))
    a.to(b).send('t', new Uint8Array(MIB - 10_000))
    const full = expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL', retryable: true })
    expect(() => a.to(b).send('t', new Uint8Array(10_001))).not.toThrow()
    expect(() => a.to(b).send('t', new Uint8Array(100_000))).toThrow(full)
    expect(a.office.counters.outboxFull).toBe(1)
  })

  it('that are longer than the receiver allows are refused: whoever waits is told, and the rest passed over', async () => {
    const world = new LaneWorld()
    const a = addOffice(world, 0)
    const b = addOffice(world, 1, { messageBytesMax: 100_000 })
    const kept = keep(b)
    const asked = a.to(b).request('t', new Uint8Array(300_000))
    await expect(world.settle(asked)).rejects.toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR' })
    a.to(b).send('t', new Uint8Array(300_000))
    a.to(b).send('t', new Uint8Array(90_000))
    await world.pass(500)
    expect(kept.map(({ bytes }) => bytes.length)).toEqual([90_000])
    expect(b.office.counters.transfersRefused).toBe(2)
  })

  it('as answers longer than may be taken, or given, fail their request', async () => {
    const world = new LaneWorld()
    const a = addOffice(world, 0, { messageBytesMax: 100_000 })
    const b = addOffice(world, 1)
    b.office.topics.handle('big', () => new Uint8Array(300_000))
    a.office.topics.handle('big', () => new Uint8Array(300_000))
    await expect(world.settle(a.to(b).request('big', new Uint8Array(0)))).rejects.toMatchObject({
      code: 'ERR_SKEIN_REMOTE_ERROR',
    })
    const asked = b.to(a).request('big', new Uint8Array(0))
    await expect(world.settle(asked)).rejects.toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR' })
  })
})

/** A first or later part of a transfer, as any program may send it. */
function chunk(
  from: PlaneNode,
  to: OfficeNode,
  id: number,
  given: {
    total?: number
    kind?: number
    correlation?: number
    last?: boolean
    size?: number
    topic?: string
  },
): void {
  const { total, kind = DataKind.message, correlation = 0, last = false, size = 0 } = given
  const head = total === undefined ? 0 : CHUNK_HEAD_BYTES
  const body = new Uint8Array(head + size)
  if (total !== undefined) writeChunkHead(new DataView(body.buffer), 0, { total, correlation, kind })
  const flags = (total === undefined ? 0 : DataFlag.first) | (last ? DataFlag.last : 0)
  const topic = total === undefined ? undefined : (given.topic ?? 't')
  from.frame(to.node, DataKind.chunk, flags, topic, id, body)
}

describe('chunks of a peer that does not keep to the protocol', () => {
  function raw(options = {}) {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1, options)
    return { world, a, b, kept: keep(b) }
  }

  it('are passed over when they belong to nothing', async () => {
    const { world, a, b, kept } = raw()
    chunk(a, b, 1, { size: 10 })
    chunk(a, b, 2, { size: 10, last: true })
    a.frame(b.node, DataKind.chunk, DataFlag.first, 't', 3, new Uint8Array(CHUNK_HEAD_BYTES - 1))
    chunk(a, b, 4, { total: 10, size: 10, last: true, kind: 99 })
    chunk(a, b, 5, { total: 10, size: 10, last: true })
    await world.pass(100)
    expect(kept.length).toBe(1)
    expect(eventsOf(b, 'laneRejected')).toEqual([])
  })

  it('that are more or fewer than was said are no message, and whoever asks is told', async () => {
    const { world, a, b, kept } = raw()
    chunk(a, b, 1, { total: 10, size: 11, last: true, kind: DataKind.request, correlation: 1 })
    chunk(a, b, 2, { total: 10, size: 9, last: true, kind: DataKind.request, correlation: 2 })
    chunk(a, b, 3, { total: 10, size: 5, kind: DataKind.request, correlation: 3 })
    chunk(a, b, 3, { size: 6 })
    // The transfer is over: what follows belongs to nothing.
    chunk(a, b, 3, { size: 1, last: true })
    await world.pass(100)
    expect(kept).toEqual([])
    expect(b.office.counters.transfersRefused).toBe(3)
    const failures = a.received.filter(({ kind }) => kind === DataKind.failure)
    expect(failures.map(({ correlation, body }) => [correlation, body[0]])).toEqual([
      [1, FailureCode.tooLarge],
      [2, FailureCode.tooLarge],
      [3, FailureCode.tooLarge],
    ])
  })

  it('without bytes do not stand in the way', async () => {
    const { world, a, b, kept } = raw()
    chunk(a, b, 1, { total: 2 })
    for (let index = 0; index < 1000; index += 1) chunk(a, b, 1, {})
    chunk(a, b, 1, { size: 2 })
    chunk(a, b, 1, { last: true })
    await world.pass(100)
    expect(kept.map(({ bytes }) => bytes.length)).toEqual([2])
  })

  it('that say more than anybody could send take no memory', async () => {
    const { world, a, b, kept } = raw()
    for (const total of [2 ** 53, 2 ** 40, MESSAGING_LIMITS.messageBytesMax + 1])
      chunk(a, b, total % 97, { total, size: 10, last: true })
    await world.pass(100)
    expect(kept).toEqual([])
    expect(b.office.counters.transfersRefused).toBe(3)
  })

  it('of a second transfer under one number do not mix with the first', async () => {
    const { world, a, b, kept } = raw()
    chunk(a, b, 1, { total: 10, size: 5 })
    chunk(a, b, 1, { total: 10, size: 5 })
    chunk(a, b, 1, { size: 5, last: true })
    await world.pass(100)
    expect(kept.map(({ bytes }) => bytes.length)).toEqual([10])
  })

  it('of more transfers than may be half received are refused, until one is complete', async () => {
    const { world, a, b, kept } = raw()
    const { transfersMax } = MESSAGING_LIMITS
    for (let id = 1; id <= transfersMax + 1; id += 1) chunk(a, b, id, { total: 2, size: 1 })
    for (let id = 1; id <= transfersMax + 1; id += 1) chunk(a, b, id, { size: 1, last: true })
    await world.pass(100)
    expect(kept.length).toBe(transfersMax)
    expect(b.office.counters.transfersRefused).toBe(1)
    chunk(a, b, 1, { total: 1, size: 1, last: true })
    await world.pass(100)
    expect(kept.length).toBe(transfersMax + 1)
  })

  it('of more bytes than may be half received are refused, until they are complete or void', async () => {
    const { world, a, b, kept } = raw()
    const { assemblyBytesMax, messageBytesMax } = MESSAGING_LIMITS
    const many = assemblyBytesMax / messageBytesMax
    for (let id = 1; id <= many; id += 1) chunk(a, b, id, { total: messageBytesMax, size: 1 })
    chunk(a, b, 100, { total: 1, size: 1, last: true })
    await world.pass(100)
    expect(kept).toEqual([])
    expect(b.office.counters.transfersRefused).toBe(1)
    // One ends before it is complete: its bytes are free again.
    chunk(a, b, 1, { last: true })
    chunk(a, b, 101, { total: 1, size: 1, last: true })
    await world.pass(100)
    expect(kept.length).toBe(1)
    // The peer forgets: all of them are void.
    a.plane.end([...a.plane.associations()][0]!, 'left')
    for (let id = 200; id < 200 + many; id += 1) chunk(a, b, id, { total: messageBytesMax, size: 1 })
    await world.pass(1000)
    expect(b.office.counters.transfersRefused).toBe(2)
  })
})

describe('a peer that forgets in the midst of large messages', () => {
  it('is sent those of which nothing had left; of the others dead letters tell, once each', async () => {
    const { world, a, b } = pair()
    const kept = keep(b)
    a.to(b).send('t', pattern(10, 99))
    await world.pass(200)
    a.to(b).send('t', pattern(10, 98), { lane: 'large' })
    await world.pass(200)
    for (const { sockets } of world.openLanes) sockets[0].takes = (count) => Math.min(count, 1000)
    const sizes = Array.from({ length: 20 }, (_, index) => MIB + index)
    for (const size of sizes) a.to(b).send('t', pattern(size))
    await world.pass(1)
    b.office.plane.end(b.to(a).association, 'left')
    await world.until(
      () => kept.length + eventsOf(a, 'deadLetter').length >= 22,
      'all to arrive or to be told of',
    )
    await world.pass(2000)
    const letters = eventsOf(a, 'deadLetter')
    const arrived = kept.slice(2).map(({ bytes }) => bytes.length)
    const told = letters.map(({ bytes }) => bytes)
    expect([...arrived, ...told].sort()).toEqual([...sizes].sort())
    expect(arrived.length).toBeGreaterThan(0)
    expect(told.length).toBeGreaterThan(0)
    for (const letter of letters)
      expect(letter).toMatchObject({ reason: 'peerReset', topic: 't', count: 1, maybeDelivered: true })
    expect(a.office.counters.deadLetters).toBe(told.length)
    expect(a.to(b).transfers.waitingBytes).toBe(0)
  })
})

describe('a peer that is gone in the midst of large messages', () => {
  it('leaves a dead letter for each, which says what may have arrived', async () => {
    const { world, a, b } = pair()
    a.to(b).send('t', new Uint8Array(10), { lane: 'large' })
    await world.pass(200)
    for (const { sockets } of world.openLanes) sockets[0].takes = () => 0
    for (let index = 1; index <= 20; index += 1) a.to(b).send('t', new Uint8Array(MIB + index))
    await world.pass(1)
    a.office.plane.end(a.to(b).association, 'quarantined')
    const letters = eventsOf(a, 'deadLetter')
    expect(letters.map(({ bytes }) => bytes - MIB).sort((one, other) => one - other)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
    expect(letters.filter(({ maybeDelivered }) => maybeDelivered).length).toBeGreaterThan(0)
    expect(letters.filter(({ maybeDelivered }) => !maybeDelivered).length).toBeGreaterThan(0)
  })
})
