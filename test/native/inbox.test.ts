import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CONTROL_LINK_LIMITS } from '../../src/transport/limits.js'
import { NATIVE_MISSING } from '../cluster/support.js'
import { counter, eventsOf, linkedPair, type Node } from '../contract/harness.js'
import { type Bench, makeBench, waitFor } from './support.js'

const MIB = 1024 * 1024

/** Sends without letting the loop turn, waiting for room in the outbox; the number of messages taken. */
function sendBlocking(from: Node, to: Node, count: number, bytesEach: number, stop: () => boolean): number {
  for (let sent = 0; sent < count; sent += 1) {
    const bytes = new Uint8Array(bytesEach).fill(sent & 0xff)
    new DataView(bytes.buffer).setUint32(0, sent, true)
    for (let tries = 0; from.transport.send(to.uid, bytes) !== 'sent'; tries += 1) {
      if (stop() || tries > 10_000_000) return sent
    }
  }
  return count
}

const numbersAt = (node: Node) =>
  eventsOf(node, 'message').map((event) => new DataView(event.bytes.buffer).getUint32(0, true))

describe.skipIf(NATIVE_MISSING)('messages for a loop that does not turn', () => {
  let bench: Bench

  beforeEach(() => {
    bench = makeBench()
  })
  afterEach(() => bench.dispose())

  it.each([
    ['40 MiB in messages of 1 MiB', 40, MIB],
    ['6 MiB in messages of 100 bytes', 60_000, 100],
    ['20 MiB in messages just above a quarter of the ring', 300, 65_537],
  ])('%s wait behind the ring, and all arrive in order', async (_, count, bytesEach) => {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    expect(sendBlocking(a, b, count, bytesEach, () => false)).toBe(count)
    await waitFor(() => eventsOf(b, 'message').length === count, 'all messages')
    expect(numbersAt(b)).toEqual(Array.from({ length: count }, (_, index) => index))
    expect(eventsOf(b, 'message').every((event, index) => event.bytes.at(-1) === (index & 0xff))).toBe(true)
    expect(eventsOf(b, 'linkDown')).toEqual([])
  })

  it('drain hands over what waits without a turn of the loop', async () => {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    sendBlocking(a, b, 8, MIB, () => false)
    for (let tries = 0; eventsOf(b, 'message').length < 8 && tries < 10_000_000; tries += 1) {
      b.transport.drain()
    }
    expect(numbersAt(b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('beyond the bound close the link that sends them, with a reason and a counter', async () => {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    const isFull = () => counter(b, 'inboxFull') > 0
    const count = (4 * CONTROL_LINK_LIMITS.inboxBytesMax) / MIB
    const taken = sendBlocking(a, b, count, MIB, isFull)
    expect(taken).toBeLessThan(count)
    expect(isFull()).toBe(true)
    await waitFor(() => eventsOf(b, 'linkDown').length > 0, 'the link to close')
    expect(eventsOf(b, 'linkDown')[0]).toMatchObject({ uid: a.uid, reason: 'ioError' })
    const first = numbersAt(b)
    // A prefix: nothing is lost in the middle.
    expect(first).toEqual(Array.from({ length: first.length }, (_, index) => index))
    expect(first.length * MIB).toBeGreaterThanOrEqual(CONTROL_LINK_LIMITS.inboxBytesMax - 2 * MIB)
    // Room again: the sender finds its way back by itself.
    await waitFor(() => eventsOf(b, 'linkUp').length > 1, 'a new link')
  })
})
