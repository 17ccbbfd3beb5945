/** Large messages that wait: the sender begins no more than its peer takes, and who refuses one says so. */
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import type { MessagingEvent } from '../../src/messaging/office.js'
import {
  CHUNK_HEAD_BYTES,
  DataFlag,
  DataKind,
  decodeChunkHead,
  FailureCode,
  writeChunkHead,
} from '../../src/wire/data-frame.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addPlane, type PlaneNode } from '../transport/data/plane-world.js'
import { addOffice, eventsOf, type OfficeNode } from './office-world.js'

const MIB = 1024 * 1024

function pair(options = {}) {
  const world = new LaneWorld()
  return { world, a: addOffice(world, 0, options), b: addOffice(world, 1, options) }
}

/** Sends one by one, waiting while the outbox is full. */
async function sendAll(world: LaneWorld, from: OfficeNode, to: OfficeNode, sizes: readonly number[]) {
  for (const size of sizes) {
    const bytes = new Uint8Array(size)
    await world.until(() => {
      try {
        from.to(to).send('t', bytes)
        return true
      } catch {
        return false
      }
    }, 'room')
  }
}

describe('large messages, more than a peer puts together at once', () => {
  it.each([
    ['many', Array<number>(1500).fill(70_000)],
    ['long ones', Array<number>(40).fill(10 * MIB)],
    ['some longer than the bound of those begun', [40 * MIB, 100_000, 64 * MIB, 33 * MIB, 100_000, 100]],
  ])('all arrive: %s', async (_, sizes) => {
    const { world, a, b } = pair()
    const kept: number[] = []
    b.office.topics.handle('t', ({ length }) => void kept.push(length))
    const events: MessagingEvent[] = []
    a.onTold = (event) => void events.push(event)
    await sendAll(world, a, b, sizes)
    await world.until(() => kept.length + eventsOf(b, 'deadLetter').length >= sizes.length, 'all of them')
    expect(kept.toSorted((x, y) => x - y)).toEqual(sizes.toSorted((x, y) => x - y))
    expect(b.office.counters.transfersRefused).toBe(0)
    expect([...events, ...b.events]).toEqual([])
    expect(a.to(b).transfers.waitingBytes).toBe(0)
  })
})

/** Half received at the peer, as it goes: the most transfers, and the most bytes of more than one. */
function watchHalves(peer: PlaneNode) {
  const halves = new Map<number, number>()
  const most = { transfers: 0, bytes: 0, begun: [] as number[] }
  peer.onReceived = ({ kind, flags, correlation, body }) => {
    if (kind !== DataKind.chunk) return
    if ((flags & DataFlag.first) !== 0) {
      const { total } = decodeChunkHead(new DataView(body.buffer), 0, body.length)!
      most.begun.push(total)
      halves.set(correlation, total)
      most.transfers = Math.max(most.transfers, halves.size)
      const bytes = [...halves.values()].reduce((sum, one) => sum + one, 0)
      if (halves.size > 1) most.bytes = Math.max(most.bytes, bytes)
    }
    if ((flags & DataFlag.last) !== 0) halves.delete(correlation)
  }
  return most
}

describe('large messages that take turns', () => {
  async function send(sizes: readonly number[]) {
    const world = new LaneWorld()
    const a = addOffice(world, 0)
    const b = addPlane(world, 1)
    const most = watchHalves(b)
    const to = a.office.plane.ensure(b.node.uid, b.node.address, 'b').client
    for (const size of sizes) to.send('t', new Uint8Array(size), { lane: 'large' })
    await world.until(
      () => to.association.large!.outbox.unackedBytes === 0 && to.transfers.waitingBytes === 0,
      'all',
    )
    return most
  }

  it('are as many as the bound, begun in order', async () => {
    const { transfersBegunMax } = MESSAGING_LIMITS
    const sizes = Array.from({ length: 2 * transfersBegunMax }, (_, index) => 200_000 + index)
    const most = await send(sizes)
    expect(most.transfers).toBe(transfersBegunMax)
    expect(most.begun).toEqual(sizes)
  })

  it('come to as many bytes as the bound, and one may be longer', async () => {
    const quarter = MESSAGING_LIMITS.assemblyBytesMax / 4
    expect((await send([quarter - 200_000, 200_000, 70_000])).bytes).toBe(quarter)
    const most = await send([200_000, quarter - 199_999])
    expect(most.transfers).toBe(1)
    expect((await send([quarter + 1, 70_000])).transfers).toBe(1)
  })
})

describe('a large message that is refused', () => {
  function chunk(from: PlaneNode, to: OfficeNode, id: number, total: number, kind: DataKind, size = 1) {
    const body = new Uint8Array(CHUNK_HEAD_BYTES + size)
    writeChunkHead(new DataView(body.buffer), 0, { total, correlation: id, kind })
    from.frame(to.node, DataKind.chunk, DataFlag.first, 't', id, body)
  }

  it('for its length is a dead letter where it was refused', async () => {
    const world = new LaneWorld()
    const a = addOffice(world, 0)
    const b = addOffice(world, 1, { messageBytesMax: 100_000 })
    a.to(b).send('t', new Uint8Array(300_000))
    await world.pass(500)
    const { uid } = a.node
    expect(eventsOf(b, 'deadLetter')).toMatchObject([
      { reason: 'refused', peer: { uid }, topic: 't', bytes: 300_000, count: 1, maybeDelivered: false },
    ])
    expect(b.office.counters.deadLetters).toBe(1)
  })

  it('for want of room is a dead letter, or says that the peer is busy', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    const { assemblyBytesMax, messageBytesMax } = MESSAGING_LIMITS
    const many = assemblyBytesMax / messageBytesMax
    for (let id = 1; id <= many; id += 1) chunk(a, b, id, messageBytesMax, DataKind.message)
    chunk(a, b, 100, 70_000, DataKind.message)
    chunk(a, b, 101, 70_000, DataKind.request)
    await world.pass(100)
    expect(eventsOf(b, 'deadLetter')).toMatchObject([{ reason: 'refused', topic: 't', bytes: 70_000 }])
    const failures = a.received.filter(({ kind }) => kind === DataKind.failure)
    expect(failures.map(({ correlation, body }) => [correlation, body[0]])).toEqual([[101, FailureCode.busy]])
  })

  it('as an answer for want of room fails its request, which may be asked again', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    const { assemblyBytesMax, messageBytesMax } = MESSAGING_LIMITS
    for (let id = 1; id <= assemblyBytesMax / messageBytesMax; id += 1)
      chunk(a, b, id, messageBytesMax, DataKind.message)
    await world.pass(100)
    a.onReceived = ({ kind, correlation }) => {
      if (kind === DataKind.request) chunk(a, b, correlation, 70_000, DataKind.response)
    }
    const to = b.office.plane.ensure(a.node.uid, a.node.address, 'a').client
    await expect(world.settle(to.request('t', new Uint8Array(1)))).rejects.toMatchObject({
      code: 'ERR_SKEIN_REMOTE_ERROR',
      retryable: true,
    })
  })
})
