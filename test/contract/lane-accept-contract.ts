/** Data lanes that a played peer dials, well and badly. */
import { describe, expect, it } from 'vitest'
import {
  decodeRefusal,
  encodeFrame,
  encodeGoodbye,
  encodeWatch,
  FrameKind,
  GoodbyeReason,
  Lane,
  RefusalReason,
} from '../../src/wire/frame.js'
import { concat } from './fake-admission.js'
import { FakePeer, fakeHelloBody } from './fake-peer.js'
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
import { isSame, LaneProbe, pattern } from './lane-probe.js'
import type { ContractContext } from './transport-contract.js'

const badInputs = (node: Node) => eventsOf(node, 'badInput').map((event) => event.reason)

/** A lane hello, spoilt in one way, and a CRC that is right for it. */
function laneHello(change: (body: Uint8Array) => Uint8Array | undefined): Uint8Array {
  const body = fakeHelloBody({ uid: freshUid(), lane: Lane.ordinary })
  return encodeFrame(FrameKind.hello, change(body) ?? body)
}

const BAD_HELLOS: [string, () => Uint8Array][] = [
  ['a lane of a later version', () => laneHello((body) => void body.fill(3, 36, 37))],
  ['a lane of 255', () => laneHello((body) => void body.fill(255, 36, 37))],
  ['dial number 0', () => laneHello((body) => void body.fill(0, 32, 36))],
  ['no uid', () => laneHello((body) => void body.fill(0, 8, 16))],
  ['a struct cut short', () => laneHello((body) => body.slice(0, 50))],
  ['strings cut short', () => laneHello((body) => body.slice(0, -1))],
]

export function laneAcceptContract(context: ContractContext): void {
  describe('a data lane dialled by a peer', () => {
    it.each([
      ['ordinary', Lane.ordinary],
      ['large', Lane.large],
    ] as const)('(%s) is answered with its own lane and number, and opens with ready', async (name, lane) => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.halfDial(harness, node.address, { lane, dial: 77 })
      const ack = peer.frames[0]!.body
      expect([ack[36], ack[37]]).toEqual([lane, 0])
      expect(new DataView(ack.buffer, ack.byteOffset).getUint32(32, true)).toBe(77)
      await harness.advance(50)
      expect(eventsOf(node, 'laneOpened')).toEqual([])
      peer.send(peer.ready())
      await harness.waitFor(() => eventsOf(node, 'laneOpened').length === 1, 'the lane')
      const opened = eventsOf(node, 'laneOpened')[0]!
      expect(opened).toMatchObject({ lane: name, dial: 77, dialler: peer.uid })
      expect(opened.peer).toMatchObject({ uid: peer.uid, nodeId: `fake-${peer.uid}` })
      expect(eventsOf(node, 'linkUp')).toEqual([])
      expect(counter(node, 'lanesOpened')).toBe(1)
    })

    it('hands over what came with ready, whatever it is and however it was cut', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const tails = [
        pattern(5000, 1),
        new Uint8Array(64).fill(0xff),
        encodeFrame(FrameKind.hello, new Uint8Array(8)),
      ]
      for (const [index, tail] of tails.entries()) {
        const peer = await FakePeer.halfDial(harness, node.address, { lane: Lane.large })
        peer.send(concat([peer.ready(), tail]))
        await harness.waitFor(() => eventsOf(node, 'laneOpened').length === index + 1, 'the lane')
        const probe = new LaneProbe(eventsOf(node, 'laneOpened')[index]!.socket).attach()
        expect(probe.dataCalls).toBe(0)
        peer.send(Uint8Array.of(index))
        await harness.waitFor(() => probe.receivedBytes > tail.length, 'all bytes')
        expect(isSame(probe.received, Uint8Array.of(...tail, index))).toBe(true)
      }
      expect(badInputs(node)).toEqual([])
    })

    it('may come in single bytes', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.connect(harness, node.address, { lane: Lane.ordinary })
      const hello = encodeFrame(
        FrameKind.hello,
        fakeHelloBody({ ...peer.identity, uid: peer.uid, lane: Lane.ordinary }),
      )
      for (const byte of hello) peer.send(Uint8Array.of(byte))
      await peer.frame(FrameKind.helloAck)
      for (const byte of [...encodeFrame(FrameKind.ready), 1, 2, 3]) {
        peer.send(Uint8Array.of(byte))
        await harness.advance(1)
      }
      await harness.waitFor(() => eventsOf(node, 'laneOpened').length === 1, 'the lane')
      const probe = new LaneProbe(eventsOf(node, 'laneOpened')[0]!.socket).attach()
      await harness.waitFor(() => probe.receivedBytes === 3, 'the rest')
      expect([...probe.received]).toEqual([1, 2, 3])
    })

    it('carries bytes that are no frames, and ends as its socket does', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address, { lane: Lane.ordinary })
      await harness.waitFor(() => eventsOf(node, 'laneOpened').length === 1, 'the lane')
      const probe = new LaneProbe(eventsOf(node, 'laneOpened')[0]!.socket).attach()
      peer.send(new Uint8Array(100).fill(0xff))
      probe.send(pattern(100, 4))
      await harness.waitFor(() => probe.receivedBytes === 100 && peer.laneBytes.length === 100, 'both ways')
      expect(isSame(peer.laneBytes, pattern(100, 4))).toBe(true)
      // Longer than a handshake may take: no deadline of it is left.
      await harness.advance(2500)
      expect(probe.ends).toEqual([])
      peer.stream.destroy()
      await harness.waitFor(() => probe.ends.length === 1, 'the end')
      expect(badInputs(node)).toEqual([])
      expect(eventsOf(node, 'linkDown')).toEqual([])
    })

    it('is never superseded, and leaves the dial numbers of the link as they are', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const listener = await harness.listenRaw()
      node.transport.connect(listener.address)
      const link = await FakePeer.accept(harness, listener, 0)
      await harness.waitFor(() => isLinked(node, link.uid), 'the link')
      for (const dial of [0xffff_ffff, 1, 1]) {
        await FakePeer.dial(harness, node.address, { uid: link.uid, dial, lane: Lane.ordinary })
      }
      await harness.waitFor(() => eventsOf(node, 'laneOpened').length === 3, 'all three lanes')
      link.stream.end()
      const next = await FakePeer.meet(harness, listener, 1)
      expect((await next.hello()).dial).toBe(2)
      expect(eventsOf(node, 'linkUp')).toHaveLength(1)
    })
  })

  refusedContract(context)
  unfinishedContract(context)
}

function refusedContract(context: ContractContext): void {
  describe('a data lane refused', () => {
    it.each([
      ['clusterMismatch', { cluster: 'another' }],
      ['versionUnsupported', { versionMin: 2, versionMax: 9 }],
    ] as const)('with %s', async (reason, identity) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = await FakePeer.connect(harness, a.address, { ...identity, lane: Lane.large })
      peer.sendHello()
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal).toMatchObject({ uid: a.uid, reason: RefusalReason[reason] })
      await harness.waitFor(() => peer.stream.ended, 'the socket to be shut down')
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual([reason])
      expect(counter(a, 'refusedOut')).toBe(1)
      expect(eventsOf(a, 'laneOpened')).toEqual([])
      await expectUndisturbed(harness, a, b)
    })

    it('with sameUid', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.connect(harness, node.address, { uid: node.uid, lane: Lane.ordinary })
      peer.sendHello()
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal.reason).toBe(RefusalReason.sameUid)
    })

    it('with quarantined, from an incarnation that is', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      node.transport.quarantine(uid, 'operator')
      const peer = await FakePeer.connect(harness, node.address, { uid, lane: Lane.ordinary })
      peer.sendHello()
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal.reason).toBe(RefusalReason.quarantined)
      await harness.waitFor(() => badInputs(node).length === 1, 'the news')
      expect(badInputs(node)).toEqual(['quarantined'])
      expect(eventsOf(node, 'laneOpened')).toEqual([])
    })

    it.each(BAD_HELLOS)('as malformed: %s', async (_, bytes) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = await FakePeer.connect(harness, a.address)
      peer.send(bytes())
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal.reason).toBe(RefusalReason.malformed)
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual(['badHello'])
      expect(eventsOf(a, 'laneOpened')).toEqual([])
      await expectUndisturbed(harness, a, b)
    })
  })
}

function unfinishedContract(context: ContractContext): void {
  describe('a data lane whose handshake is not completed', () => {
    it.each([
      ['another frame', () => encodeWatch(50), 'unexpectedFrame'],
      ['a second hello', () => laneHello(() => undefined), 'unexpectedFrame'],
      ['garbage', () => new Uint8Array(64).fill(0xa7), 'frameTooLarge'],
      ['a wrong CRC', () => encodeFrame(FrameKind.ready).fill(1, 4, 8), 'badCrc'],
    ] as const)('because of %s is closed, and the link is undisturbed', async (_, bytes, reason) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = await FakePeer.halfDial(harness, a.address, { lane: Lane.ordinary })
      peer.send(bytes())
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual([reason])
      expect(eventsOf(a, 'laneOpened')).toEqual([])
      await expectUndisturbed(harness, a, b)
    })

    it('in time is closed', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = await FakePeer.halfDial(harness, a.address, { lane: Lane.ordinary })
      await harness.waitFor(() => badInputs(a).length === 1, 'the timeout')
      expect(badInputs(a)).toEqual(['handshakeTimeout'])
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      await expectUndisturbed(harness, a, b)
    })

    it.each([
      ['says goodbye', (peer: FakePeer) => peer.send(encodeGoodbye(GoodbyeReason.shutdown))],
      ['closes', (peer: FakePeer) => peer.stream.end()],
      ['is killed', (peer: FakePeer) => peer.stream.destroy()],
    ])('because the dialler %s is nothing to be told of', async (_, leave) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const before = a.events.length
      const peer = await FakePeer.halfDial(harness, a.address, { lane: Lane.ordinary })
      leave(peer)
      await harness.advance(100)
      expect(a.events.slice(before)).toEqual([])
      await expectUndisturbed(harness, a, b)
    })

    it('by a peer that is quarantined meanwhile never opens', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.halfDial(harness, node.address, { lane: Lane.ordinary })
      node.transport.quarantine(peer.uid, 'operator')
      peer.send(peer.ready())
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      expect(eventsOf(node, 'laneOpened')).toEqual([])
      // Had its `ready` been under way, a frame would be taken for data.
      expect(peer.laneBytes).toHaveLength(0)
    })

    it('ends with the transport', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.halfDial(harness, node.address, { lane: Lane.ordinary })
      await harness.settle(node.transport.close())
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      expect(node.events).toEqual([])
    })
  })
}
