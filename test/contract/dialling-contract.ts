import { describe, expect, it } from 'vitest'
import { encodeRefusal, FrameKind, QuarantineReason, RefusalReason } from '../../src/wire/frame.js'
import { FakePeer } from './fake-peer.js'
import { counter, eventsOf, freshUid, isLinked, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

function refusalOf(
  uid: string,
  reason: RefusalReason,
  more: { detail?: number; dial?: number } = {},
): Uint8Array {
  return encodeRefusal({ uid, reason, versionMin: 1, versionMax: 1, detail: 0, dial: 0, ...more })
}

export function diallingContract(context: ContractContext): void {
  describe('dialling', () => {
    it('where nobody listens, is gated with a growing and bounded back-off', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open, { dial: { backoffMinMs: 20, backoffMaxMs: 80 } })
      const address = await harness.deadAddress()
      node.transport.connect(address)
      await harness.waitFor(() => eventsOf(node, 'gated').length >= 6, 'six failures')
      const gated = eventsOf(node, 'gated').slice(0, 6)
      expect(gated.map((event) => event.attempts)).toEqual([1, 2, 3, 4, 5, 6])
      const bounds = [20, 40, 80, 80, 80, 80]
      gated.forEach((event, index) => {
        expect(event).toMatchObject({ address, reason: 'refused' })
        expect(event.retryInMs).toBeGreaterThanOrEqual(10)
        expect(event.retryInMs).toBeLessThanOrEqual(bounds[index]!)
      })
      expect(new Set(gated.map((event) => event.retryInMs)).size).toBeGreaterThan(1)
    })

    it('finds a peer that starts listening later, and begins with the first back-off again', async () => {
      const { harness, open } = context
      const late = await startNode(harness, open)
      await harness.settle(late.transport.close())
      const node = await startNode(harness, open)
      node.transport.connect(late.address)
      await harness.waitFor(() => eventsOf(node, 'gated').length >= 2, 'failures')
      const reborn = await startNode(harness, open, { listen: late.address })
      await harness.waitFor(() => isLinked(node, reborn.uid), 'the link')
      const failures = eventsOf(node, 'gated').length
      await harness.settle(reborn.transport.close())
      await harness.waitFor(() => eventsOf(node, 'gated').length > failures, 'the next failure')
      expect(eventsOf(node, 'gated')[failures]!.attempts).toBe(1)
    })

    it('a peer that accepts and says nothing is gated as a timeout', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open, { dial: { connectTimeoutMs: 150 } })
      node.transport.connect(listener.address)
      await harness.waitFor(() => eventsOf(node, 'gated').length > 0, 'the timeout')
      expect(eventsOf(node, 'gated')[0]).toMatchObject({ reason: 'timeout', address: listener.address })
      // By a reset where there is one: a stopped process would never end its side, and each dial would leave a socket behind.
      const stream = listener.streams[0]!
      await harness.waitFor(() => stream.ended || stream.closed, 'the socket to be closed')
    })

    it('has at most one dial in flight to an address', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open, { dial: { connectTimeoutMs: 400 } })
      const uid = freshUid()
      node.transport.connect(listener.address)
      node.transport.watch(uid, listener.address)
      node.transport.connect(listener.address, uid)
      await harness.waitFor(() => listener.streams.length > 0, 'the dial')
      await harness.advance(100)
      expect(listener.streams).toHaveLength(1)
    })

    it('refused as superseded without a link, dials again with a higher number', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      node.transport.connect(listener.address)
      const uid = freshUid()
      const first = await FakePeer.meet(harness, listener, 0, { uid })
      await first.hello()
      first.send(refusalOf(uid, RefusalReason.superseded, { dial: 7 }))
      const second = await FakePeer.meet(harness, listener, 1, { uid })
      expect((await second.hello()).dial).toBe(8)
      second.sendAck(8)
      await harness.waitFor(() => isLinked(node, uid), 'the link')
      expect(eventsOf(node, 'refused')).toEqual([])
      expect(eventsOf(node, 'gated')).toEqual([])
    })

    it.each([
      ['clusterMismatch', RefusalReason.clusterMismatch],
      ['versionUnsupported', RefusalReason.versionUnsupported],
      ['busy', RefusalReason.busy],
      ['shuttingDown', RefusalReason.shuttingDown],
      ['busy', 999 as RefusalReason],
    ])('refused with %s (%i), says so and tries again after the back-off', async (name, reason) => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      node.transport.connect(listener.address)
      const uid = freshUid()
      const first = await FakePeer.meet(harness, listener, 0, { uid })
      await first.hello()
      first.send(refusalOf(uid, reason))
      await harness.waitFor(() => eventsOf(node, 'refused').length === 1, 'the refusal')
      expect(eventsOf(node, 'refused')[0]).toMatchObject({ address: listener.address, by: uid, reason: name })
      await harness.waitFor(() => listener.streams.length === 2, 'the next dial')
      expect(counter(node, 'refusedIn')).toBe(1)
    })

    it('refused as quarantined, is told by whom and does not dial again until another uid is named', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      node.transport.connect(listener.address)
      const uid = freshUid()
      const first = await FakePeer.meet(harness, listener, 0, { uid })
      await first.hello()
      first.send(refusalOf(uid, RefusalReason.quarantined, { detail: QuarantineReason.deathWatch }))
      await harness.waitFor(() => eventsOf(node, 'quarantinedBy').length === 1, 'the news')
      expect(eventsOf(node, 'quarantinedBy')[0]).toMatchObject({
        uid,
        address: listener.address,
        reason: 'deathWatch',
      })
      expect(eventsOf(node, 'refused')[0]).toMatchObject({ reason: 'quarantined', by: uid })
      node.transport.connect(listener.address)
      node.transport.connect(listener.address, uid)
      await harness.advance(300)
      expect(listener.streams).toHaveLength(1)
      const successor = freshUid()
      node.transport.connect(listener.address, successor)
      await FakePeer.accept(harness, listener, 1, { uid: successor })
      await harness.waitFor(() => isLinked(node, successor), 'the link to the successor')
    })

    it('a node that dials itself is refused for good', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      node.transport.connect(node.address)
      await harness.waitFor(() => eventsOf(node, 'refused').length === 1, 'the refusal')
      expect(eventsOf(node, 'refused')[0]).toMatchObject({ by: node.uid, reason: 'sameUid' })
      await harness.advance(300)
      expect(counter(node, 'dials')).toBe(1)
      expect(counter(node, 'badInput.sameUid')).toBe(1)
    })

    it('answered by another incarnation than expected, says who it is and does not link', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      const expected = freshUid()
      const actual = freshUid()
      node.transport.connect(listener.address, expected)
      const peer = await FakePeer.meet(harness, listener, 0, { uid: actual })
      const hello = await peer.hello()
      peer.sendAck(hello.dial)
      await harness.waitFor(() => eventsOf(node, 'identityChanged').length === 1, 'the news')
      expect(eventsOf(node, 'identityChanged')[0]).toMatchObject({
        address: listener.address,
        expected,
        actual: { uid: actual, address: listener.address },
      })
      await harness.waitFor(() => peer.stream.ended, 'the socket to be shut down')
      expect(peer.count(FrameKind.ready)).toBe(0)
      expect(eventsOf(node, 'linkUp')).toEqual([])
    })
  })

  describe('probe', () => {
    it('of a linked peer is alive, and leaves its link alone', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      node.transport.connect(listener.address)
      const uid = freshUid()
      const peer = await FakePeer.accept(harness, listener, 0, { uid })
      await harness.waitFor(() => isLinked(node, uid), 'the link')
      node.transport.probe(uid, listener.address)
      const probed = await FakePeer.meet(harness, listener, 1, { uid })
      probed.sendAck((await probed.hello()).dial)
      await harness.waitFor(() => eventsOf(node, 'probed').length === 1, 'the outcome')
      expect(eventsOf(node, 'probed')[0]).toMatchObject({ uid, outcome: 'alive' })
      await harness.waitFor(() => probed.stream.ended, 'the probe to be closed')
      node.transport.send(uid, Uint8Array.of(1))
      await peer.frame(FrameKind.message)
      expect(eventsOf(node, 'linkUp')).toHaveLength(1)
    })

    it('of an address where another incarnation answers is gone', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const other = await startNode(harness, open)
      const uid = freshUid()
      node.transport.probe(uid, other.address)
      await harness.waitFor(() => eventsOf(node, 'probed').length === 1, 'the outcome')
      expect(eventsOf(node, 'probed')[0]).toMatchObject({ uid, outcome: 'gone' })
    })

    it('of an address where nobody listens is gone, after a second refusal', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      node.transport.probe(uid, await harness.deadAddress())
      await harness.waitFor(() => eventsOf(node, 'probed').length === 1, 'the outcome')
      expect(eventsOf(node, 'probed')[0]).toMatchObject({ uid, outcome: 'gone' })
      expect(counter(node, 'dials')).toBe(2)
    })

    it('of a process that accepts and says nothing is unknown', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open, { dial: { connectTimeoutMs: 150 } })
      const uid = freshUid()
      node.transport.probe(uid, listener.address)
      await harness.waitFor(() => eventsOf(node, 'probed').length === 1, 'the outcome')
      expect(eventsOf(node, 'probed')[0]).toMatchObject({ uid, outcome: 'unknown' })
      await harness.advance(200)
      expect(eventsOf(node, 'probed')).toHaveLength(1)
      expect(listener.streams).toHaveLength(1)
    })
  })
}
