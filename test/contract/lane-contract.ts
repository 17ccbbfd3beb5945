/** Data lanes between two nodes; of any two adapters that speak to each other. */
import { describe, expect, it } from 'vitest'
import type { DataLane } from '../../src/transport/transport.js'
import {
  counter,
  eventsOf,
  expectUndisturbed,
  freshUid,
  isLinked,
  linkedPair,
  type Node,
  startNode,
} from './harness.js'
import { LaneProbe, laneAt, lanesAt, openLane } from './lane-probe.js'
import type { ContractContext } from './transport-contract.js'

const LANES: readonly DataLane[] = ['ordinary', 'large']

/** Nothing that a lane does may look bad, or end the link beside it. */
async function expectQuiet(context: ContractContext, a: Node, b: Node): Promise<void> {
  for (const node of [a, b]) {
    expect(eventsOf(node, 'badInput')).toEqual([])
    expect(eventsOf(node, 'laneFailed')).toEqual([])
    expect(eventsOf(node, 'gated')).toEqual([])
  }
  await expectUndisturbed(context.harness, a, b)
}

export function laneContract(context: ContractContext): void {
  describe('data lanes', () => {
    it.each(LANES)('%s opens once on each side, and says who is at the other end', async (lane) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.openLane(b.uid, lane, 7)
      await harness.waitFor(() => lanesAt(a, lane).length + lanesAt(b, lane).length === 2, 'both ends')
      await harness.advance(50)
      for (const [node, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const opened = eventsOf(node, 'laneOpened')
        expect(opened).toMatchObject([{ lane, dial: 7, dialler: a.uid }])
        expect(opened[0]!.peer).toEqual(eventsOf(node, 'linkUp')[0]!.peer)
        expect(opened[0]!.peer.uid).toBe(other.uid)
        expect(counter(node, 'lanesOpened')).toBe(1)
        expect(counter(node, 'laneDialsFailed')).toBe(0)
      }
      await expectQuiet(context, a, b)
    })

    it.each([1, 0x8000_0000, 0xffff_ffff])('dial number %i is told on both sides as it is', async (dial) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      await openLane(harness, a, b, 'ordinary', dial)
      expect(eventsOf(b, 'laneOpened').map((event) => event.dial)).toEqual([dial])
    })

    it('is never told of inside the command that opens it', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const before = a.events.length
      a.transport.openLane(b.uid, 'ordinary', 1)
      a.transport.openLane(freshUid(), 'ordinary', 1)
      expect(a.events.length).toBe(before)
      await laneAt(harness, a, 'ordinary', 1, a.uid)
      await harness.waitFor(() => eventsOf(a, 'laneFailed').length === 1, 'the failure')
    })

    it('may be opened and attached to by the sink itself', async () => {
      const { harness, open } = context
      const probes: LaneProbe[] = []
      const attach: Parameters<typeof startNode>[2] = {
        onBatch: (batch) => {
          for (const event of batch)
            if (event.type === 'laneOpened') probes.push(new LaneProbe(event.socket).attach())
        },
      }
      const b = await startNode(harness, open, attach)
      const a: Node = await startNode(harness, open, {
        onBatch: (batch) => {
          attach.onBatch!(batch)
          for (const event of batch)
            if (event.type === 'linkUp') a.transport.openLane(event.peer.uid, 'large', 1)
        },
      })
      a.transport.connect(b.address, b.uid)
      await harness.waitFor(() => probes.length === 2, 'both ends')
      for (const probe of probes) probe.send(Uint8Array.of(1, 2, 3))
      await harness.waitFor(() => probes.every((probe) => probe.receivedBytes === 3), 'bytes both ways')
    })

    it('opened by both sides at once are two, told apart by their dialler', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.openLane(b.uid, 'ordinary', 1)
      b.transport.openLane(a.uid, 'ordinary', 1)
      for (const [index, dialler] of [a, b].entries()) {
        const here = new LaneProbe((await laneAt(harness, a, 'ordinary', 1, dialler.uid)).socket).attach()
        const there = new LaneProbe((await laneAt(harness, b, 'ordinary', 1, dialler.uid)).socket).attach()
        here.send(Uint8Array.of(index))
        there.send(Uint8Array.of(10 + index))
        await harness.waitFor(() => here.receivedBytes + there.receivedBytes === 2, 'a byte each way')
        expect([...here.received, ...there.received]).toEqual([10 + index, index])
      }
      expect([a, b].map((node) => lanesAt(node, 'ordinary').length)).toEqual([2, 2])
      await expectQuiet(context, a, b)
    })

    it('may be many at once, of both kinds, each with its own bytes', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const count = 16
      for (let dial = 1; dial <= count; dial += 1)
        for (const lane of LANES) a.transport.openLane(b.uid, lane, dial)
      for (const lane of LANES)
        await harness.waitFor(() => [a, b].every((node) => lanesAt(node, lane).length === count), lane)
      const probes = (node: Node) =>
        new Map(
          eventsOf(node, 'laneOpened').map(({ lane, dial, socket }) => [
            `${lane} ${dial}`,
            new LaneProbe(socket).attach(),
          ]),
        )
      const [here, there] = [probes(a), probes(b)]
      for (const [name, probe] of here) probe.send(new TextEncoder().encode(name))
      await harness.waitFor(
        () => [...there].every(([name, probe]) => probe.receivedBytes === name.length),
        'all names',
      )
      const wrong = [...there].filter(([name, probe]) => new TextDecoder().decode(probe.received) !== name)
      expect(wrong).toEqual([])
      expect(counter(b, 'lanesOpened')).toBe(2 * count)
      await expectQuiet(context, a, b)
    })

    it('of another incarnation than the linked one, or without a link, come to nothing', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const unknown = freshUid()
      a.transport.openLane(unknown, 'large', 3)
      a.transport.openLane(a.uid, 'ordinary', 4)
      await harness.waitFor(() => eventsOf(a, 'laneFailed').length === 2, 'both failures')
      expect(eventsOf(a, 'laneFailed')).toEqual([
        { type: 'laneFailed', uid: unknown, lane: 'large', dial: 3, reason: 'noLink' },
        { type: 'laneFailed', uid: a.uid, lane: 'ordinary', dial: 4, reason: 'noLink' },
      ])
      a.transport.disconnect(b.address)
      await harness.waitFor(() => !isLinked(a, b.uid) && !isLinked(b, a.uid), 'the end of the link')
      b.transport.openLane(a.uid, 'ordinary', 5)
      await harness.waitFor(() => eventsOf(b, 'laneFailed').length === 1, 'the failure')
      expect(eventsOf(b, 'laneFailed')[0]).toMatchObject({ uid: a.uid, dial: 5, reason: 'noLink' })
      expect(counter(a, 'laneDialsFailed')).toBe(2)
      expect(counter(a, 'lanesOpened') + counter(b, 'lanesOpened')).toBe(0)
    })

    it('to or from a quarantined incarnation come to nothing', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.quarantine(b.uid, 'operator')
      a.transport.openLane(b.uid, 'ordinary', 1)
      await harness.waitFor(() => eventsOf(b, 'quarantinedBy').length === 1, 'the news')
      b.transport.openLane(a.uid, 'ordinary', 1)
      const failed = (node: Node) => eventsOf(node, 'laneFailed').length === 1
      await harness.waitFor(() => failed(a) && failed(b), 'both failures')
      await harness.advance(50)
      expect([...eventsOf(a, 'laneOpened'), ...eventsOf(b, 'laneOpened')]).toEqual([])
    })
  })

  laneAndLinkContract(context)
  laneLeakContract(context)
}

function laneAndLinkContract(context: ContractContext): void {
  describe('a data lane and its link', () => {
    it('end apart: the end of a lane leaves the link, and the other lane', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const ordinary = await openLane(harness, a, b, 'ordinary')
      const large = await openLane(harness, b, a, 'large')
      for (const probe of [...ordinary, ...large]) probe.attach()
      ordinary[0].destroy()
      await harness.waitFor(() => ordinary[1].ends.length === 1, 'the end of the lane')
      await harness.advance(100)
      large[0].send(Uint8Array.of(1))
      await harness.waitFor(() => large[1].receivedBytes === 1, 'a byte on the other lane')
      expect(large.flatMap((probe) => probe.ends)).toEqual([])
      expect(eventsOf(a, 'linkUp')).toHaveLength(1)
      await expectQuiet(context, a, b)
    })

    it('end apart: the end of the link leaves the lane, and a new link takes a new one', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const [here, there] = await openLane(harness, a, b)
      here.attach()
      there.attach()
      a.transport.disconnect(b.address)
      await harness.waitFor(() => !isLinked(a, b.uid) && !isLinked(b, a.uid), 'the end of the link')
      await harness.advance(100)
      here.send(Uint8Array.of(1, 2))
      there.send(Uint8Array.of(3))
      await harness.waitFor(() => here.receivedBytes === 1 && there.receivedBytes === 2, 'bytes both ways')
      a.transport.connect(b.address, b.uid)
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the next link')
      await openLane(harness, b, a, 'ordinary', 2)
      expect([...here.ends, ...there.ends]).toEqual([])
    })

    it('a lane may be opened again after its end', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      for (let dial = 1; dial <= 3; dial += 1) {
        const [here, there] = await openLane(
          harness,
          dial === 2 ? b : a,
          dial === 2 ? a : b,
          'ordinary',
          dial,
        )
        here.attach().send(Uint8Array.of(dial))
        there.attach()
        await harness.waitFor(() => there.receivedBytes === 1, 'the byte')
        there.destroy()
        await harness.waitFor(() => here.ends.length === 1, 'the end')
        here.destroy()
      }
      await expectQuiet(context, a, b)
    })

    it('close does not wait for lanes, and leaves them to their owner', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const [here, there] = await openLane(harness, a, b)
      here.attach()
      there.attach()
      await harness.settle(Promise.all([a.transport.close(), b.transport.close()]))
      here.send(Uint8Array.of(1))
      there.send(Uint8Array.of(2))
      await harness.waitFor(() => here.receivedBytes + there.receivedBytes === 2, 'bytes both ways')
      here.destroy()
      await harness.waitFor(() => there.ends.length === 1, 'the end')
    })

    it('nothing is opened before the start or after the end, and no event says so', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const before = eventsOf(a, 'laneFailed').length
      await harness.settle(a.transport.close())
      a.transport.openLane(b.uid, 'ordinary', 1)
      await harness.advance(100)
      expect(eventsOf(a, 'laneFailed')).toHaveLength(before)
      expect(eventsOf(b, 'laneOpened')).toEqual([])
    })

    it('messages on the link pass while a lane is full', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const [here, there] = await openLane(harness, a, b, 'large')
      here.attach()
      there.attach()
      there.socket.setReading(false)
      const bytes = new Uint8Array(1024 * 1024)
      for (let index = 0; index < 64 && here.unsentBytes === 0; index += 1) {
        here.send(bytes)
        await harness.advance(5)
      }
      expect(here.unsentBytes).toBeGreaterThan(0)
      const [ordinary, other] = await openLane(harness, a, b, 'ordinary')
      ordinary.attach().send(Uint8Array.of(1))
      other.attach()
      await harness.waitFor(() => other.receivedBytes === 1, 'a byte on the other lane')
      expect(here.unsentBytes).toBeGreaterThan(0)
      await expectQuiet(context, a, b)
    })
  })
}

function laneLeakContract(context: ContractContext): void {
  describe('descriptors of data lanes', () => {
    /** Runs it once to warm up, then asks that more rounds leave no more open than the first. */
    const expectNoLeak = async (round: () => Promise<unknown>): Promise<void> => {
      const { harness } = context
      await round()
      await harness.advance(50)
      const before = harness.openDescriptors() ?? 0
      for (let index = 0; index < 8; index += 1) await round()
      await harness.waitFor(() => (harness.openDescriptors() ?? 0) <= before, `no more than ${before}`)
    }

    it('are all given back: used, never attached to, and ended by the other side', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      let dial = 0
      await expectNoLeak(async () => {
        dial += 3
        const used = await openLane(harness, a, b, 'ordinary', dial)
        used[0].attach().send(new Uint8Array(100_000))
        used[1].attach()
        await harness.waitFor(() => used[1].receivedBytes === 100_000, 'the bytes')
        const unused = await openLane(harness, a, b, 'large', dial + 1)
        const ended = await openLane(harness, b, a, 'ordinary', dial + 2)
        ended[0].destroy()
        ended[1].attach()
        await harness.waitFor(() => ended[1].ends.length === 1, 'the end')
        for (const probe of [...used, ...unused, ended[1]]) probe.destroy()
      })
    })

    it('are all given back when the transport closes while lanes are being opened', async () => {
      const { harness, open } = context
      await expectNoLeak(async () => {
        const [a, b] = await linkedPair(harness, open)
        for (let dial = 1; dial <= 8; dial += 1) {
          a.transport.openLane(b.uid, 'ordinary', dial)
          b.transport.openLane(a.uid, 'large', dial)
        }
        await harness.waitFor(() => a.events.concat(b.events).some((e) => e.type === 'laneOpened'), 'one')
        await harness.settle(Promise.all([a.transport.close(), b.transport.close()]))
        for (const node of [a, b]) for (const { socket } of eventsOf(node, 'laneOpened')) socket.destroy()
      })
    })
  })
}
