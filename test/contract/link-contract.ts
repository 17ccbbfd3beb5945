import { describe, expect, it } from 'vitest'
import {
  decodeGoodbye,
  decodeRefusal,
  encodeFrame,
  encodeGoodbye,
  encodeWatch,
  FrameKind,
  GoodbyeReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { FakePeer } from './fake-peer.js'
import { counter, eventsOf, freshUid, isLinked, linkedPair, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

const text = (value: string) => new TextEncoder().encode(value)

export function linkContract(context: ContractContext): void {
  describe('one link per pair', () => {
    it('raises linkUp once on both sides, with what the hello said', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const ups = eventsOf(a, 'linkUp')
      expect(ups).toHaveLength(1)
      expect(ups[0]).toMatchObject({ session: 1, peer: { uid: b.uid, nodeId: b.nodeId, address: b.address } })
      expect(eventsOf(b, 'linkUp')).toHaveLength(1)
      expect(eventsOf(b, 'linkUp')[0]).toMatchObject({ session: 1, peer: { uid: a.uid, address: a.address } })
      expect(a.transport.peers()).toMatchObject([{ uid: b.uid, linked: true, watched: false, phi: 0 }])
      expect(b.transport.peers()).toMatchObject([{ uid: a.uid, linked: true, outboxBytes: 0 }])
    })

    it('keeps exactly one link when both dial at once, and never reports it down', async () => {
      const { harness, open } = context
      for (let round = 0; round < 5; round += 1) {
        const [a, b] = [await startNode(harness, open), await startNode(harness, open)]
        a.transport.connect(b.address, b.uid)
        b.transport.connect(a.address, a.uid)
        await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'both sides to be linked')
        // Long enough for the losing socket to be closed on both sides.
        await harness.advance(100)
        for (const [node, other] of [
          [a, b],
          [b, a],
        ] as const) {
          expect(eventsOf(node, 'linkDown')).toEqual([])
          expect(counter(node, 'linksUp') - counter(node, 'superseded')).toBeLessThanOrEqual(1)
          expect(other.transport.send(node.uid, text('hello'))).toBe('sent')
          await harness.waitFor(() => eventsOf(node, 'message').length > 0, 'the message')
          const lastSession = eventsOf(node, 'linkUp').at(-1)!.session
          expect(eventsOf(node, 'message')[0]!.session).toBe(lastSession)
        }
      }
    })

    it('a higher dial number takes the place of the link; what was on the old one is delivered', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      const old = await FakePeer.dial(harness, node.address, { uid, dial: 1 })
      await harness.waitFor(() => isLinked(node, uid), 'the first link')
      old.send(encodeFrame(FrameKind.message, text('on the first'), { sequence: 1 }))
      const young = await FakePeer.dial(harness, node.address, { uid, dial: 2 })
      await harness.waitFor(() => eventsOf(node, 'linkUp').length === 2, 'the second link')
      expect(eventsOf(node, 'linkUp')[1]!.session).toBe(2)
      expect(decodeGoodbye((await old.frame(FrameKind.goodbye)).body)).toBe(GoodbyeReason.superseded)
      await harness.waitFor(() => old.stream.ended, 'the old socket to be shut down')
      old.send(encodeFrame(FrameKind.message, text('late'), { sequence: 2 }))
      young.send(encodeFrame(FrameKind.message, text('on the second'), { sequence: 1 }))
      await harness.waitFor(() => eventsOf(node, 'message').length === 3, 'all three messages')
      const bySession = (session: number) =>
        eventsOf(node, 'message')
          .filter((event) => event.session === session)
          .map((event) => new TextDecoder().decode(event.bytes))
      expect(bySession(1)).toEqual(['on the first', 'late'])
      expect(bySession(2)).toEqual(['on the second'])
      expect(eventsOf(node, 'linkDown')).toEqual([])
      expect(node.transport.send(uid, text('answer'))).toBe('sent')
      await young.frame(FrameKind.message)
      expect(old.count(FrameKind.message)).toBe(0)
    })

    it.each([
      ['equal', 5],
      ['lower', 4],
    ])('a hello with an %s dial number is refused with the highest one known', async (_, dial) => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      await FakePeer.dial(harness, node.address, { uid, dial: 5 })
      await harness.waitFor(() => isLinked(node, uid), 'the link')
      const late = new FakePeer(harness, harness.dialRaw(node.address), { uid, dial })
      await harness.waitFor(() => late.stream.opened, 'the connect')
      late.sendHello()
      const refusal = decodeRefusal((await late.frame(FrameKind.refusal)).body)!
      expect(refusal).toMatchObject({ reason: RefusalReason.superseded, dial: 5, uid: node.uid })
      await harness.waitFor(() => late.stream.ended, 'the refused socket to be shut down')
      expect(eventsOf(node, 'linkUp')).toHaveLength(1)
      expect(eventsOf(node, 'linkDown')).toEqual([])
      expect(eventsOf(node, 'badInput')).toEqual([])
    })

    it('a handshake whose dialler never says ready does not replace the link', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      const peer = await FakePeer.dial(harness, node.address, { uid, dial: 1 })
      await harness.waitFor(() => isLinked(node, uid), 'the link')
      const abandoned = new FakePeer(harness, harness.dialRaw(node.address), { uid, dial: 9 })
      await harness.waitFor(() => abandoned.stream.opened, 'the connect')
      abandoned.sendHello()
      await abandoned.frame(FrameKind.helloAck)
      abandoned.stream.end()
      await harness.waitFor(() => abandoned.stream.ended, 'the abandoned socket to be closed')
      expect(node.transport.send(uid, text('still here'))).toBe('sent')
      await peer.frame(FrameKind.message)
      expect(eventsOf(node, 'linkUp')).toHaveLength(1)
    })

    it('of two handshakes that complete, the higher one stays, whichever was first', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      const dialled = await Promise.all(
        [2, 3].map(async (dial) => {
          const peer = new FakePeer(harness, harness.dialRaw(node.address), { uid, dial })
          await harness.waitFor(() => peer.stream.opened, 'the connect')
          peer.sendHello()
          await peer.frame(FrameKind.helloAck)
          return peer
        }),
      )
      const [low, high] = dialled as [FakePeer, FakePeer]
      high.send(encodeFrame(FrameKind.ready))
      await harness.waitFor(() => isLinked(node, uid), 'the link')
      low.send(encodeFrame(FrameKind.ready))
      expect(decodeGoodbye((await low.frame(FrameKind.goodbye)).body)).toBe(GoodbyeReason.superseded)
      expect(eventsOf(node, 'linkUp')).toHaveLength(1)
      node.transport.send(uid, text('on the higher'))
      await high.frame(FrameKind.message)
    })

    it('the loss of the last socket is linkDown; the wanted peer is dialled at once, with a higher session', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open, { dial: { backoffMinMs: 5000, backoffMaxMs: 5000 } })
      node.transport.connect(listener.address)
      const uid = freshUid()
      const peer = await FakePeer.accept(harness, listener, 0, { uid })
      await harness.waitFor(() => isLinked(node, uid), 'the link')
      peer.stream.end()
      await harness.waitFor(() => eventsOf(node, 'linkDown').length === 1, 'linkDown')
      expect(eventsOf(node, 'linkDown')[0]).toMatchObject({ uid, session: 1, reason: 'closedByPeer' })
      const again = await FakePeer.meet(harness, listener, 1, { uid })
      expect((await again.hello()).dial).toBe(2)
      again.sendAck(2)
      await harness.waitFor(() => eventsOf(node, 'linkUp').length === 2, 'the second link')
      expect(eventsOf(node, 'linkUp')[1]!.session).toBe(2)
    })

    it.each([
      ['shutdown', GoodbyeReason.shutdown],
      ['removed', GoodbyeReason.removed],
      ['unwanted', GoodbyeReason.unwanted],
      ['a reason of a later version', 77 as GoodbyeReason],
    ])('goodbye (%s) announces the end', async (_, reason) => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
      peer.send(encodeGoodbye(reason))
      await harness.waitFor(() => eventsOf(node, 'linkDown').length === 1, 'linkDown')
      expect(eventsOf(node, 'linkDown')[0]).toMatchObject({ uid: peer.uid, reason: 'goodbye' })
      await harness.waitFor(() => peer.stream.ended, 'the socket to be shut down')
    })

    it('disconnect says goodbye, and the peer is not dialled again', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const dials = counter(a, 'dials')
      a.transport.disconnect(b.address)
      await harness.waitFor(() => !isLinked(a, b.uid) && !isLinked(b, a.uid), 'both sides to be unlinked')
      await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown here')
      expect(eventsOf(a, 'linkDown')[0]).toMatchObject({ uid: b.uid, reason: 'disconnected' })
      expect(eventsOf(b, 'linkDown')[0]).toMatchObject({ uid: a.uid, reason: 'goodbye' })
      await harness.advance(300)
      expect(counter(a, 'dials')).toBe(dials)
      expect(isLinked(a, b.uid)).toBe(false)
    })

    it('disconnect leaves a link that we watch, until we watch it no more', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.watch(b.uid, b.address)
      a.transport.disconnect(b.address)
      await harness.waitFor(() => counter(a, 'beatsIn') >= 2, 'beats')
      expect(a.transport.send(b.uid, text('still here'))).toBe('sent')
      await harness.waitFor(() => eventsOf(b, 'message').length === 1, 'the message')
      a.transport.unwatch(b.uid)
      await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown here')
      expect(eventsOf(a, 'linkDown')[0]).toMatchObject({ uid: b.uid, reason: 'disconnected' })
      await harness.waitFor(() => eventsOf(b, 'linkDown').length === 1, 'linkDown there')
    })

    it('disconnect leaves a link on which the peer wants our beats, until it wants them no more', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open)
      node.transport.connect(listener.address)
      const peer = await FakePeer.accept(harness, listener, 0)
      peer.send(encodeWatch(30))
      await peer.frame(FrameKind.heartbeat)
      node.transport.disconnect(listener.address)
      const before = peer.count(FrameKind.heartbeat)
      await harness.waitFor(() => peer.count(FrameKind.heartbeat) > before + 2, 'more beats')
      expect(isLinked(node, peer.uid)).toBe(true)
      peer.send(encodeWatch(0))
      expect(decodeGoodbye((await peer.frame(FrameKind.goodbye)).body)).toBe(GoodbyeReason.unwanted)
      await harness.waitFor(() => eventsOf(node, 'linkDown').length === 1, 'linkDown')
      expect(listener.streams).toHaveLength(1)
    })

    it('connect after disconnect keeps the link', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      a.transport.watch(b.uid, b.address)
      a.transport.disconnect(b.address)
      a.transport.connect(b.address, b.uid)
      a.transport.unwatch(b.uid)
      await harness.advance(200)
      expect(isLinked(a, b.uid)).toBe(true)
      expect(eventsOf(a, 'linkDown')).toEqual([])
    })

    it('connect is idempotent', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      for (let index = 0; index < 5; index += 1) a.transport.connect(b.address, b.uid)
      await harness.advance(100)
      expect(counter(a, 'dials')).toBe(1)
      expect(eventsOf(a, 'linkUp')).toHaveLength(1)
    })
  })
}
