import { describe, expect, it } from 'vitest'
import {
  decodeQuarantined,
  decodeRefusal,
  encodeFrame,
  encodeQuarantined,
  FrameKind,
  QuarantineReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { FakePeer } from './fake-peer.js'
import { counter, eventsOf, freshUid, isLinked, linkedPair, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

export function refusalContract(context: ContractContext): void {
  describe('refusals', () => {
    it.each([
      ['clusterMismatch', { cluster: 'another' }],
      ['versionUnsupported', { versionMin: 2, versionMax: 9 }],
      ['versionUnsupported', { versionMin: 0, versionMax: 0 }],
    ] as const)('a hello is refused with %s', async (reason, identity) => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = new FakePeer(harness, harness.dialRaw(node.address), identity)
      await harness.waitFor(() => peer.stream.opened, 'the connect')
      peer.sendHello()
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal).toMatchObject({
        uid: node.uid,
        reason: RefusalReason[reason],
        versionMin: 1,
        versionMax: 1,
      })
      await harness.waitFor(() => peer.stream.ended, 'the socket to be shut down')
      await harness.waitFor(() => eventsOf(node, 'badInput').length === 1, 'the news')
      expect(eventsOf(node, 'badInput')[0]!.reason).toBe(reason)
      expect(counter(node, `badInput.${reason}`)).toBe(1)
      expect(counter(node, 'refusedOut')).toBe(1)
      expect(eventsOf(node, 'linkUp')).toEqual([])
    })

    it('a wider range of versions that overlaps ours is taken', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address, { versionMin: 0, versionMax: 40 })
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
    })

    it('a hello with our own uid is refused with sameUid', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = new FakePeer(harness, harness.dialRaw(node.address), { uid: node.uid })
      await harness.waitFor(() => peer.stream.opened, 'the connect')
      peer.sendHello()
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal.reason).toBe(RefusalReason.sameUid)
      expect(counter(node, 'badInput.sameUid')).toBe(1)
    })

    it('two nodes of different clusters: the dialler learns why, the other one counts it', async () => {
      const { harness, open } = context
      const a = await startNode(harness, open, { cluster: 'blue' })
      const b = await startNode(harness, open, { cluster: 'green' })
      a.transport.connect(b.address, b.uid)
      await harness.waitFor(() => eventsOf(a, 'refused').length > 0, 'the refusal')
      expect(eventsOf(a, 'refused')[0]).toMatchObject({
        by: b.uid,
        reason: 'clusterMismatch',
        address: b.address,
      })
      expect(counter(b, 'badInput.clusterMismatch')).toBeGreaterThan(0)
    })

    it('an answer from another cluster is not taken either', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      node.transport.connect(listener.address)
      const peer = await FakePeer.meet(harness, listener, 0, { cluster: 'another' })
      peer.sendAck((await peer.hello()).dial)
      await harness.waitFor(() => counter(node, 'badInput.clusterMismatch') === 1, 'the count')
      expect(peer.count(FrameKind.ready)).toBe(0)
      await harness.waitFor(() => eventsOf(node, 'gated').length > 0, 'the back-off')
      expect(eventsOf(node, 'gated')[0]!.reason).toBe('handshake')
    })
  })

  describe('quarantine', () => {
    it('closes the link, tells the peer why, and nothing passes any more', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.quarantine(b.uid, 'removedAfterDown')
      await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown here')
      await harness.waitFor(() => eventsOf(b, 'linkDown').length === 1, 'linkDown there')
      expect(eventsOf(a, 'linkDown')[0]).toMatchObject({ uid: b.uid, reason: 'quarantined' })
      expect(eventsOf(b, 'linkDown')[0]).toMatchObject({ uid: a.uid, reason: 'quarantined' })
      expect(eventsOf(b, 'quarantinedBy')[0]).toMatchObject({ uid: a.uid, reason: 'removedAfterDown' })
      expect(a.transport.send(b.uid, Uint8Array.of(1))).toBe('noLink')
      expect(b.transport.send(a.uid, Uint8Array.of(1))).toBe('noLink')
      a.transport.connect(b.address, b.uid)
      a.transport.watch(b.uid, b.address)
      await harness.advance(300)
      expect(isLinked(a, b.uid)).toBe(false)
      expect(eventsOf(a, 'linkUp')).toHaveLength(1)
    })

    it('refuses the hello of a quarantined incarnation with its reason, and takes its successor', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      node.transport.quarantine(uid, 'deathWatch')
      const peer = new FakePeer(harness, harness.dialRaw(node.address), { uid })
      await harness.waitFor(() => peer.stream.opened, 'the connect')
      peer.sendHello()
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal).toMatchObject({
        reason: RefusalReason.quarantined,
        detail: QuarantineReason.deathWatch,
      })
      expect(counter(node, 'badInput.quarantined')).toBe(1)
      const successor = await FakePeer.dial(harness, node.address)
      await harness.waitFor(() => isLinked(node, successor.uid), 'the link of the successor')
    })

    it('delivers nothing that a quarantined peer still sends while its socket drains', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
      node.transport.quarantine(peer.uid, 'operator')
      const told = decodeQuarantined((await peer.frame(FrameKind.quarantined)).body)!
      expect(told).toEqual({ uid: peer.uid, reason: QuarantineReason.operator })
      for (let index = 1; index <= 5; index += 1) {
        peer.send(encodeFrame(FrameKind.message, Uint8Array.of(index), { sequence: index }))
      }
      await harness.waitFor(() => counter(node, 'quarantinedFramesDropped') >= 5, 'the frames to be dropped')
      expect(eventsOf(node, 'message')).toEqual([])
    })

    it('does not disturb other links', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.quarantine(freshUid(), 'operator')
      const peer = await FakePeer.dial(harness, a.address)
      await harness.waitFor(() => isLinked(a, peer.uid), 'the third link')
      a.transport.quarantine(peer.uid, 'operator')
      await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'its end')
      expect(b.transport.send(a.uid, Uint8Array.of(9))).toBe('sent')
      await harness.waitFor(() => eventsOf(a, 'message').length === 1, 'the message')
    })

    it('by the peer is reported with its reason; an unknown one counts as operator', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
      peer.send(encodeQuarantined(node.uid, 321 as QuarantineReason))
      await harness.waitFor(() => eventsOf(node, 'quarantinedBy').length === 1, 'the news')
      expect(eventsOf(node, 'quarantinedBy')[0]).toMatchObject({ uid: peer.uid, reason: 'operator' })
      await harness.waitFor(() => eventsOf(node, 'linkDown').length === 1, 'linkDown')
      expect(eventsOf(node, 'linkDown')[0]!.reason).toBe('quarantined')
    })
  })
}
