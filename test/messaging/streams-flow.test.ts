/** How much streams may have under way, and what becomes of peers that do not keep to it. */
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import type { MessageStream } from '../../src/messaging/messaging.js'
import { DATA_LIMITS } from '../../src/transport/limits.js'
import { DataFlag, DataKind, FailureCode } from '../../src/wire/data-frame.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addPlane, type PlaneNode } from '../transport/data/plane-world.js'
import { addOffice, bytesOf, eventsOf, type OfficeNode, pattern, textOf } from './office-world.js'

const WINDOW = MESSAGING_LIMITS.streamWindowBytes
const FRAME = DATA_LIMITS.frameBodyBytesMax

/** Chunks of a pattern as long as they are wanted, counted. */
class Endless implements AsyncIterable<Uint8Array> {
  givenBytes = 0
  isReturned = false

  constructor(
    private readonly chunkBytes: number,
    private readonly totalBytes = Number.POSITIVE_INFINITY,
  ) {}

  async *[Symbol.asyncIterator]() {
    try {
      while (this.givenBytes < this.totalBytes) {
        const size = Math.min(this.chunkBytes, this.totalBytes - this.givenBytes)
        this.givenBytes += size
        yield pattern(size, (this.givenBytes - size) & 0xff)
      }
    } finally {
      this.isReturned = true
    }
  }
}

function pair(options = {}) {
  const world = new LaneWorld()
  const a = addOffice(world, 0, options)
  const b = addOffice(world, 1, options)
  return { world, a, b }
}

/** A handler that reads when the test does. */
function readByHand(node: OfficeNode, topic = 't') {
  const readers: AsyncIterator<Uint8Array>[] = []
  node.office.topics.handleStream(topic, (incoming) => {
    readers.push(incoming[Symbol.asyncIterator]())
    return new Promise<void>(() => {})
  })
  return readers
}

async function drain(reader: AsyncIterator<Uint8Array>, bytes: number, world: LaneWorld): Promise<number> {
  let read = 0
  while (read < bytes) {
    const { done, value } = await world.settle(reader.next())
    if (done === true) break
    read += value.length
  }
  return read
}

describe('a reader that does not read', () => {
  it('is sent the window and no more, and the source is asked for no more', async () => {
    const { world, a, b } = pair()
    const readers = readByHand(b)
    const given = new Endless(1000)
    a.to(b).stream('t', given)
    await world.pass(1000)
    expect(given.givenBytes).toBeGreaterThanOrEqual(WINDOW)
    expect(given.givenBytes).toBeLessThan(WINDOW + 1000)
    await drain(readers[0]!, WINDOW / 4 - 1000, world)
    await world.pass(1000)
    expect(given.givenBytes).toBeLessThan(WINDOW + 1000)
    await drain(readers[0]!, 2000, world)
    await world.pass(1000)
    expect(given.givenBytes).toBeGreaterThanOrEqual(WINDOW + WINDOW / 4)
  })

  it('holds up the handler’s half just the same', async () => {
    const { world, a, b } = pair()
    const given = new Endless(1000)
    b.office.topics.handleStream('t', () => given)
    const stream = a.to(b).stream('t')
    await world.pass(1000)
    expect(given.givenBytes).toBeGreaterThanOrEqual(WINDOW)
    expect(given.givenBytes).toBeLessThan(WINDOW + 1000)
    const reader = stream[Symbol.asyncIterator]()
    expect(await drain(reader, 3 * WINDOW, world)).toBeGreaterThanOrEqual(3 * WINDOW)
    await reader.return!()
    await world.pass(10)
    expect(given.isReturned).toBe(true)
  })

  it('holds up nobody else', async () => {
    const { world, a, b } = pair()
    readByHand(b, 'stuck')
    b.office.topics.handleStream('echo', async function* (incoming) {
      for await (const chunk of incoming) yield chunk
    })
    for (let index = 0; index < 20; index += 1) a.to(b).stream('stuck', new Endless(10_000))
    await world.pass(1000)
    const stream = a.to(b).stream('echo', new Endless(10_000, 3 * WINDOW))
    expect(await drain(stream[Symbol.asyncIterator](), 3 * WINDOW, world)).toBe(3 * WINDOW)
  })

  it('costs memory by the bytes, though chunks are single ones', async () => {
    const { world, a, b } = pair()
    const readers = readByHand(b)
    const total = 20_000
    a.to(b).stream('t', new Endless(1, total))
    await world.pass(10)
    await world.until(() => b.to(a).association.large!.outbox.unackedBytes === 0, 'what is sent')
    let chunks = 0
    for (let read = 0; read < total; chunks += 1)
      read += (await world.settle(readers[0]!.next())).value!.length
    expect(chunks).toBeLessThan(20)
  })
})

describe('a stream under way', () => {
  it('gives credit in pieces worth a frame', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    b.office.topics.handleStream('t', async (incoming) => {
      for await (const _ of incoming) {
      }
    })
    open(a, b, 1, 't')
    const total = 10 * WINDOW
    let creditBytes = 0
    let sent = 0
    for (; sent < total; ) {
      await world.pass(1)
      creditBytes = creditOf(a)
      for (; sent < Math.min(total, creditBytes); sent += 1024)
        a.frame(b.node, DataKind.streamData, DataFlag.fromOpener, undefined, 1, new Uint8Array(1024))
    }
    a.frame(b.node, DataKind.streamEnd, DataFlag.fromOpener, undefined, 1, new Uint8Array(0))
    await world.pass(10)
    const credits = a.received.filter(({ kind }) => kind === DataKind.streamCredit)
    expect(credits.length).toBeLessThanOrEqual(total / (WINDOW / 4))
    // What is left at the end comes too, so that the sender knows that all was taken.
    expect(creditOf(a)).toBe(WINDOW + total)
  })

  it('carries chunks longer than a frame and than the window', async () => {
    const { world, a, b } = pair()
    const total = 2 * WINDOW + 12_345
    const readers = readByHand(b)
    const given = new Endless(total, total)
    const stream = a.to(b).stream('t', given)
    await world.pass(10)
    const received: Uint8Array[] = []
    for (let read = 0; read < total; ) {
      const { value } = await world.settle(readers[0]!.next())
      expect(value.length).toBeLessThanOrEqual(FRAME)
      received.push(value)
      read += value.length
    }
    expect(Buffer.compare(Buffer.concat(received), pattern(total))).toBe(0)
    expect((await world.settle(readers[0]!.next())).done).toBe(true)
    await world.settle(stream.sent)
  })

  it('ends where the memory of a chunk was given elsewhere before all of it was sent', async () => {
    const { world, a, b } = pair()
    const readers = readByHand(b)
    const chunk = pattern(3 * WINDOW)
    async function* once() {
      yield chunk
    }
    const stream = a.to(b).stream('t', once())
    await world.pass(100)
    structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] })
    expect(await drain(readers[0]!, 3 * WINDOW, world)).toBe(WINDOW)
    await world.settle(stream.sent)
    expect(eventsOf(b, 'laneRejected')).toEqual([])
  })

  it('hands little to a lane that takes nothing', async () => {
    const { world, a, b } = pair()
    world.prepare = (socket) => {
      socket.capacityBytes = 1000
    }
    const readers = readByHand(b)
    const given = [0, 1, 2, 3, 4].map(() => new Endless(5000))
    for (const source of given) a.to(b).stream('t', source)
    await world.until(() => given.every(({ givenBytes }) => givenBytes > 0), 'five acceptances')
    for (const { sockets } of world.lanes) sockets[0].takes = () => 0
    for (const reader of readers) void drain(reader, WINDOW, world).catch(() => {})
    await world.pass(1000)
    expect(a.to(b).association.large!.outbox.unsentBytes).toBeGreaterThan(3 * FRAME)
    expect(a.to(b).association.large!.outbox.unsentBytes).toBeLessThan(5 * FRAME)
    const before = given.map(({ givenBytes }) => givenBytes)
    await world.pass(1000)
    expect(given.map(({ givenBytes }) => givenBytes)).toEqual(before)
  })

  it('progresses beside other streams and beside large messages, one frame in turn', async () => {
    const { world, a, b } = pair()
    const slow = (bytes: number) => (count: number) => Math.min(count, bytes)
    world.prepare = (socket) => {
      socket.capacityBytes = 64 * 1024
      socket.pieces = slow(16 * 1024)
    }
    const counts = { small: 0, big: 0, message: 0 }
    for (const topic of ['small', 'big'] as const)
      b.office.topics.handleStream(topic, async (incoming) => {
        for await (const chunk of incoming) counts[topic] += chunk.length
      })
    b.office.topics.handle('message', (bytes) => {
      counts.message += bytes.length
    })
    const large = new Uint8Array(1_000_000)
    for (let index = 0; index < 30; index += 1) a.to(b).send('message', large)
    a.to(b).stream('big', new Endless(10 * FRAME))
    a.to(b).stream('small', new Endless(FRAME))
    // There are still messages that wait: nobody has the lane alone.
    await world.until(() => a.to(b).transfers.waitingBytes < 5_000_000, 'most messages to leave')
    const total = counts.small + counts.big + counts.message
    expect(counts.small / total).toBeGreaterThan(0.1)
    expect(counts.big / total).toBeGreaterThan(0.1)
    expect(counts.message / total).toBeGreaterThan(0.2)
  })

  it('survives the death of its sockets, whenever they die', async () => {
    const { world, a, b } = pair()
    const total = 20 * WINDOW
    const received: Uint8Array[] = []
    b.office.topics.handleStream('t', async (incoming) => {
      for await (const chunk of incoming) received.push(chunk)
    })
    world.prepare = (socket) => {
      socket.capacityBytes = 3000
    }
    const stream = a.to(b).stream('t', new Endless(10_007, total))
    let isDone = false
    void stream.sent.then(() => {
      isDone = true
    })
    for (let deaths = 0; deaths < 20 && !isDone; deaths += 1) {
      await world.pass(30 + deaths)
      world.killLanes()
    }
    await world.settle(stream.sent)
    expect(world.lanes.length).toBeGreaterThan(10)
    const whole = Buffer.concat(received)
    expect(whole.length).toBe(total)
    let isSame = true
    for (let at = 0; at < total; at += 10_007) {
      const size = Math.min(10_007, total - at)
      isSame &&= Buffer.compare(whole.subarray(at, at + size), pattern(size, at & 0xff)) === 0
    }
    expect(isSame).toBe(true)
  })
})

/** What a node that speaks frames was told it may send. */
function creditOf(node: PlaneNode, id = 1): number {
  let sum = 0
  for (const { kind, correlation, body } of node.received) {
    if (correlation !== id) continue
    if (kind === DataKind.streamCredit || kind === DataKind.streamAccept)
      sum += new DataView(body.buffer).getUint32(0, true)
  }
  return sum
}

function creditBody(bytes: number): Uint8Array {
  const body = new Uint8Array(4)
  new DataView(body.buffer).setUint32(0, bytes, true)
  return body
}

function open(
  from: PlaneNode,
  to: OfficeNode,
  id: number,
  topic: string | undefined,
  body = creditBody(WINDOW),
) {
  from.frame(to.node, DataKind.streamOpen, DataFlag.fromOpener, topic, id, body)
}

function resetsAt(node: PlaneNode): { id: number; code: number; text: string }[] {
  return node.received
    .filter(({ kind }) => kind === DataKind.streamReset)
    .map(({ correlation, body }) => ({ id: correlation, code: body[0]!, text: textOf(body.subarray(2)) }))
}

describe('a peer that does not keep to the protocol', () => {
  function raw() {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    const failures: { code?: string; message: string }[] = []
    b.office.topics.handleStream('t', async (incoming) => {
      try {
        for await (const _ of incoming) {
        }
      } catch (error) {
        failures.push(error as { code?: string; message: string })
      }
    })
    const readers = readByHand(b, 'stuck')
    const say = (
      kind: number,
      id: number,
      body: Uint8Array = new Uint8Array(0),
      flags: number = DataFlag.fromOpener,
    ) => a.frame(b.node, kind, flags, undefined, id, body)
    return { world, a, b, failures, readers, say }
  }

  it('and sends a byte beyond its credit is reset, the byte is not kept', async () => {
    const { world, a, b, readers, say } = raw()
    open(a, b, 1, 'stuck')
    for (let index = 0; index < WINDOW / FRAME; index += 1) say(DataKind.streamData, 1, new Uint8Array(FRAME))
    await world.pass(100)
    expect(resetsAt(a)).toEqual([])
    say(DataKind.streamData, 1, new Uint8Array(1))
    say(DataKind.streamData, 1, new Uint8Array(FRAME))
    await world.pass(100)
    expect(resetsAt(a)).toMatchObject([{ id: 1, code: FailureCode.remoteError }])
    expect(b.office.counters.streamsReset).toBe(1)
    expect(await drain(readers[0]!, WINDOW, world)).toBe(WINDOW)
    await expect(readers[0]!.next()).rejects.toMatchObject({ code: 'ERR_SKEIN_STREAM_RESET' })
  })

  it('and sends data, or an end, behind its end', async () => {
    const { world, a, b, say, failures } = raw()
    open(a, b, 1, 't')
    open(a, b, 2, 'stuck')
    for (const id of [1, 2]) say(DataKind.streamEnd, id)
    await world.pass(100)
    for (const id of [1, 2]) {
      say(DataKind.streamEnd, id)
      say(DataKind.streamData, id, new Uint8Array(1))
    }
    await world.pass(100)
    // The first was over by then; the second was not.
    expect(resetsAt(a)).toMatchObject([{ id: 2, code: FailureCode.remoteError }])
    expect(failures).toEqual([])
  })

  it('and sends nothing, over and over, is heard as silence', async () => {
    const { world, a, b, readers, say } = raw()
    open(a, b, 1, 'stuck')
    await world.pass(100)
    let isRead = false
    const pending = readers[0]!.next().then(({ value }) => {
      isRead = true
      return value
    })
    for (let index = 0; index < 1000; index += 1) say(DataKind.streamData, 1)
    await world.pass(100)
    expect(isRead).toBe(false)
    say(DataKind.streamData, 1, bytesOf('x'))
    expect(textOf(await world.settle(pending))).toBe('x')
  })

  it('and opens a stream twice', async () => {
    const { world, a, b, say, failures } = raw()
    open(a, b, 1, 't')
    open(a, b, 1, 't')
    await world.pass(100)
    expect(resetsAt(a)).toMatchObject([{ id: 1, code: FailureCode.remoteError }])
    expect(failures).toMatchObject([{ code: 'ERR_SKEIN_STREAM_RESET' }])
    say(DataKind.streamData, 1, new Uint8Array(1))
    await world.pass(100)
    expect(resetsAt(a).length).toBe(1)
    expect(b.office.counters.streamsOpened).toBe(1)
  })

  it('and accepts its own stream, or gives a credit without a number', async () => {
    const { world, a, b, say, failures } = raw()
    open(a, b, 1, 't')
    open(a, b, 2, 't')
    open(a, b, 3, 't', new Uint8Array(3))
    say(DataKind.streamAccept, 1, creditBody(1))
    say(DataKind.streamCredit, 2, new Uint8Array(3))
    await world.pass(100)
    expect(resetsAt(a).map(({ id, code }) => [id, code])).toEqual([
      [3, FailureCode.remoteError],
      [1, FailureCode.remoteError],
      [2, FailureCode.remoteError],
    ])
    expect(failures.length).toBe(2)
  })

  it('and accepts a stream of ours twice', async () => {
    const { world, a, b } = raw()
    const stream = b.office.plane
      .ensure(a.node.uid, a.node.address, '')
      .client.stream('t', new Endless(10, 100))
    await world.pass(100)
    const { correlation } = a.received.find(({ kind }) => kind === DataKind.streamOpen)!
    for (let times = 0; times < 2; times += 1)
      a.frame(b.node, DataKind.streamAccept, 0, undefined, correlation, creditBody(0))
    await world.pass(100)
    await expect(stream.sent).rejects.toMatchObject({ code: 'ERR_SKEIN_STREAM_RESET' })
    expect(resetsAt(a)).toMatchObject([{ id: correlation, code: FailureCode.remoteError }])
  })

  it('and speaks of streams that are not there is passed over', async () => {
    const { world, a, b, say } = raw()
    for (const flags of [0, DataFlag.fromOpener]) {
      for (let kind = DataKind.streamAccept; kind <= DataKind.streamCredit; kind += 1)
        say(kind, 77, creditBody(5), flags)
      say(200, 77, creditBody(5), flags)
    }
    a.frame(b.node, DataKind.streamOpen, 0, 't', 5, creditBody(5))
    await world.pass(100)
    expect(a.received.filter(({ kind }) => kind >= DataKind.streamOpen)).toEqual([])
    expect(eventsOf(b, 'laneRejected')).toEqual([])
    expect(b.office.counters.streamsOpened).toBe(0)
  })

  it('and opens what nobody handles is told so', async () => {
    const { world, a, b } = raw()
    b.office.topics.handle('message', () => {})
    open(a, b, 1, 'nobody')
    open(a, b, 2, undefined)
    open(a, b, 3, 'message')
    await world.pass(100)
    expect(resetsAt(a).map(({ id, code }) => [id, code])).toEqual([
      [1, FailureCode.noHandler],
      [2, FailureCode.noHandler],
      [3, FailureCode.noHandler],
    ])
  })

  it('and takes no acknowledged answer gets answers up to a bound', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1, { outboxMessagesMax: 16 })
    a.frame(b.node, DataKind.streamOpen, DataFlag.fromOpener, 'nobody', 1, creditBody(1))
    await world.pass(10)
    const lane = b.office.plane.get(a.node.uid)!.large!
    for (const { sockets } of world.lanes) sockets[1].takes = () => 0
    for (let id = 2; id < 100; id += 1) open(a, b, id, 'nobody')
    await world.pass(10)
    expect(b.office.counters.streamsReset).toBe(99)
    expect(lane.outbox.unackedFrames).toBe(16)
  })
})

describe('the number of streams with one peer', () => {
  const { streamsMax } = MESSAGING_LIMITS

  it('is bounded where they are opened', async () => {
    const { world, a, b } = pair()
    readByHand(b)
    const streams: MessageStream[] = []
    for (let index = 0; index < streamsMax; index += 1) streams.push(a.to(b).stream('t', new Endless(1, 0)))
    const one = () => a.to(b).stream('t')
    expect(one).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL', retryable: true }))
    await world.pass(100)
    expect(one).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL' }))
    streams[7]!.cancel()
    expect(one).not.toThrow()
    expect(one).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL' }))
    // Those of both ends count together.
    await world.pass(100)
    expect(() => b.to(a).stream('t')).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL' }))
  })

  it('is bounded where they are accepted', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    readByHand(b)
    for (let id = 1; id <= streamsMax; id += 1) open(a, b, id, 't')
    await world.pass(100)
    expect(resetsAt(a)).toEqual([])
    open(a, b, streamsMax + 1, 't')
    await world.pass(100)
    expect(resetsAt(a)).toMatchObject([{ id: streamsMax + 1, code: FailureCode.busy }])
    a.frame(b.node, DataKind.streamReset, DataFlag.fromOpener, undefined, 5, new Uint8Array(2))
    open(a, b, streamsMax + 2, 't')
    await world.pass(100)
    expect(resetsAt(a).length).toBe(1)
    expect(b.office.counters.streamsReset).toBe(2)
  })

  it('is what its opener is told of as busy, for now', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    const stream = b.office.plane.ensure(a.node.uid, a.node.address, '').client.stream('t')
    await world.pass(100)
    const { correlation } = a.received.find(({ kind }) => kind === DataKind.streamOpen)!
    const body = Uint8Array.of(FailureCode.busy, 0, ...bytesOf('many'))
    a.frame(b.node, DataKind.streamReset, 0, undefined, correlation, body)
    await world.pass(100)
    await expect(stream.sent).rejects.toMatchObject({ code: 'ERR_SKEIN_BUSY', retryable: true })
  })
})

describe('the number of a stream', () => {
  it('is not given again, whoever it goes to and whatever has ended', async () => {
    const world = new LaneWorld()
    const a = addOffice(world, 0)
    const peers = [addPlane(world, 1), addPlane(world, 2)]
    for (let round = 0; round < 3; round += 1) {
      for (const { node } of peers) {
        const association = a.office.plane.ensure(node.uid, node.address, '')
        for (let index = 0; index < 3; index += 1) association.client.stream('t').cancel()
        await world.pass(100)
        a.office.plane.end(association, 'left')
        await world.pass(100)
      }
    }
    const ids = peers.flatMap(({ received }) =>
      received.filter(({ kind }) => kind === DataKind.streamOpen).map(({ correlation }) => correlation),
    )
    expect(ids.length).toBe(18)
    expect(new Set(ids).size).toBe(18)
  })
})

describe('an end that opens and cancels without end', () => {
  it('is refused when its outbox is full', async () => {
    const { world, a, b } = pair({ outboxMessagesMax: 100 })
    world.cut(a.node, b.node)
    const flood = () => {
      for (let index = 0; index < 200; index += 1) a.to(b).stream('t').cancel()
    }
    expect(flood).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL' }))
    expect(a.to(b).association.large!.outbox.unackedFrames).toBeLessThan(110)
  })
})
