import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BAD_INPUT_REASONS } from '../../src/transport/control/counters.js'
import {
  encodeFrame,
  encodeGoodbye,
  encodeHeartbeat,
  encodeQuarantined,
  encodeRefusal,
  encodeWatch,
  FrameKind,
  GoodbyeReason,
  QuarantineReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { encodeHello } from '../../src/wire/hello.js'
import { NATIVE_MISSING } from '../cluster/support.js'
import { counter, eventsOf, freshUid, isLinked, linkedPair, type Node } from '../contract/harness.js'
import { type Bench, makeBench, waitFor } from './support.js'

const ROUNDS = 150
const uid = freshUid()
const here = { host: '127.0.0.1', port: 9 }
const hello = encodeHello(FrameKind.hello, {
  versionMin: 1,
  versionMax: 1,
  uid,
  dial: 1,
  cluster: 'contract',
  nodeId: 'fuzz',
  bind: here,
  advertised: here,
  dialed: here,
})
/** Everything a healthy peer may say, one after the other. */
const conversation = Buffer.concat([
  hello,
  encodeFrame(FrameKind.ready),
  encodeWatch(20),
  encodeHeartbeat({ sentUs: 1, loopAgeMs: 0, intervalMs: 50 }, 1, true),
  encodeFrame(FrameKind.echo, new Uint8Array(16), { sequence: 1 }),
  encodeFrame(FrameKind.message, Buffer.from('fuzz'), { sequence: 1 }),
  encodeRefusal({
    uid,
    reason: RefusalReason.busy,
    versionMin: 1,
    versionMax: 1,
    detail: 0,
    dial: 0,
  }),
  encodeQuarantined(freshUid(), QuarantineReason.operator),
  encodeGoodbye(GoodbyeReason.shutdown),
])

describe.skipIf(NATIVE_MISSING)('a live listener fed with damage', () => {
  let bench: Bench
  let a: Node
  let b: Node

  beforeEach(async () => {
    bench = makeBench()
    ;[a, b] = await linkedPair(bench.harness, bench.open)
  })
  afterEach(() => bench.dispose())

  /** Writes `bytes` in pieces and half-closes; resolves when the other side has closed too. */
  async function feed(bytes: Uint8Array, pieces = 1, reset = false): Promise<void> {
    const socket: Socket = connect({ ...b.address, allowHalfOpen: true })
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.resume()
    const size = Math.max(1, Math.ceil(bytes.length / pieces))
    for (let at = 0; at < bytes.length; at += size) socket.write(bytes.subarray(at, at + size))
    if (reset) socket.resetAndDestroy()
    else socket.end()
    await closed
  }

  /** The link that was there is still there and carries messages; nothing is left of the strays. */
  async function expectUnharmed(): Promise<void> {
    const before = eventsOf(b, 'message').filter((event) => event.uid === a.uid).length
    expect(a.transport.send(b.uid, Buffer.from('still here'))).toBe('sent')
    const count = () => eventsOf(b, 'message').filter((event) => event.uid === a.uid).length
    await waitFor(() => count() === before + 1, 'a message between the healthy')
    expect(eventsOf(b, 'linkDown').filter((event) => event.uid === a.uid)).toEqual([])
    expect(isLinked(a, b.uid)).toBe(true)
    const counted = BAD_INPUT_REASONS.reduce((sum, reason) => sum + counter(b, `badInput.${reason}`), 0)
    expect(counted).toBe(eventsOf(b, 'badInput').length)
  }

  it('random bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 8 }), (bytes, pieces) =>
        feed(bytes, pieces),
      ),
      { numRuns: ROUNDS },
    )
    await expectUnharmed()
  })

  it('every truncation of a healthy conversation', async () => {
    for (let length = 0; length < conversation.length; length += 1) {
      await feed(conversation.subarray(0, length), 1 + (length % 3), length % 5 === 0)
    }
    await expectUnharmed()
    expect(counter(b, 'badInput.truncatedFrame')).toBeGreaterThan(50)
  })

  it('bit flips in a healthy conversation', async () => {
    const bits = fc.integer({ min: 0, max: conversation.length * 8 - 1 })
    await fc.assert(
      fc.asyncProperty(bits, async (bit) => {
        const damaged = Buffer.from(conversation)
        damaged[bit >> 3]! ^= 1 << (bit & 7)
        await feed(damaged)
      }),
      { numRuns: ROUNDS },
    )
    await expectUnharmed()
    expect(counter(b, 'badInput.badCrc')).toBeGreaterThan(20)
  })

  it('frames in an order that no peer would choose', async () => {
    const kinds = fc.integer({ min: 0, max: 12 })
    const frames = fc.array(fc.tuple(kinds, fc.uint8Array({ maxLength: 80 })), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(frames, fc.boolean(), async (list, shakeHands) => {
        const start = shakeHands ? [hello, encodeFrame(FrameKind.ready)] : []
        await feed(Buffer.concat([...start, ...list.map(([kind, body]) => encodeFrame(kind, body))]), 3)
      }),
      { numRuns: ROUNDS },
    )
    await expectUnharmed()
  })

  it('a length of 4 GiB takes no memory and closes the connection', async () => {
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 50; round += 1) {
      const claim = Buffer.alloc(64)
      claim.writeUInt32LE(0xffff_ffff, 0)
      await feed(claim)
      // After the handshake the bound is another one.
      await feed(Buffer.concat([hello, encodeFrame(FrameKind.ready), claim]))
    }
    expect(counter(b, 'badInput.frameTooLarge')).toBe(100)
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024)
    await expectUnharmed()
  })
})
