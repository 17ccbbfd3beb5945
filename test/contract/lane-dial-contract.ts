/** Data lanes that a node dials, answered by a played peer in every way but the right one. */
import { describe, expect, it } from 'vitest'
import { CONTROL_LINK_LIMITS } from '../../src/transport/limits.js'
import { encodeFrame, encodeRefusal, FrameKind, Lane, RefusalReason } from '../../src/wire/frame.js'
import { concat } from './fake-admission.js'
import { FakePeer, fakeHelloBody } from './fake-peer.js'
import {
  counter,
  eventsOf,
  freshUid,
  isLinked,
  type Node,
  type NodeOptions,
  type RawListener,
  startNode,
} from './harness.js'
import { isSame, LaneProbe, pattern } from './lane-probe.js'
import type { ContractContext } from './transport-contract.js'

interface Dialled {
  readonly node: Node
  readonly listener: RawListener
  /** The other end of the control link, which is connection 0 of the listener. */
  readonly peer: FakePeer
}

async function linkedToFake(context: ContractContext, options: NodeOptions = {}): Promise<Dialled> {
  const { harness, open } = context
  const listener = await harness.listenRaw()
  const node = await startNode(harness, open, options)
  node.transport.connect(listener.address)
  const peer = await FakePeer.accept(harness, listener, 0)
  await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
  return { node, listener, peer }
}

/** The lane's dial has failed, once and for good; the link stands, and nobody is dialled again. */
async function expectFailed(context: ContractContext, dialled: Dialled, reason: string): Promise<void> {
  const { harness } = context
  const { node, listener, peer } = dialled
  await harness.waitFor(() => eventsOf(node, 'laneFailed').length > 0, 'the failure')
  const connections = listener.streams.length
  await harness.advance(300)
  expect(eventsOf(node, 'laneFailed')).toEqual([
    { type: 'laneFailed', uid: peer.uid, lane: 'ordinary', dial: 5, reason },
  ])
  expect(counter(node, 'laneDialsFailed')).toBe(1)
  expect(listener.streams.length).toBe(connections)
  const told = new Set(node.events.map((event) => event.type))
  expect([...told].filter((type) => !['linkUp', 'laneFailed', 'badInput'].includes(type))).toEqual([])
  node.transport.send(peer.uid, Uint8Array.of(1))
  await peer.frame(FrameKind.message)
}

/** Opens lane 5 to the fake peer and meets its connection. */
async function laneMet(
  context: ContractContext,
  dialled: Dialled,
  uid = dialled.peer.uid,
): Promise<FakePeer> {
  dialled.node.transport.openLane(dialled.peer.uid, 'ordinary', 5)
  const lane = await FakePeer.meet(context.harness, dialled.listener, 1, { uid, lane: Lane.ordinary })
  await lane.hello()
  return lane
}

export function laneDialContract(context: ContractContext): void {
  describe('the dial of a data lane', () => {
    it.each([
      ['ordinary', Lane.ordinary],
      ['large', Lane.large],
    ] as const)('of lane %s goes to the advertised address, and says what it is', async (lane, code) => {
      const { harness, open } = context
      const [front, advertised] = [await harness.listenRaw(), await harness.listenRaw()]
      const node = await startNode(harness, open)
      node.transport.connect(front.address)
      const peer = await FakePeer.accept(harness, front, 0, { address: advertised.address })
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
      node.transport.openLane(peer.uid, lane, 0xffff_fff0)
      const met = await FakePeer.meet(harness, advertised, 0, { uid: peer.uid, lane: code })
      const frame = await met.frame(FrameKind.hello)
      expect([frame.body[36], frame.body[37], frame.lane]).toEqual([code, 0, Lane.control])
      expect(new DataView(frame.body.buffer, frame.body.byteOffset).getUint32(32, true)).toBe(0xffff_fff0)
      expect(await met.hello()).toMatchObject({ uid: node.uid, advertised: node.address })
      met.sendAck(0xffff_fff0)
      await met.frame(FrameKind.ready)
      await harness.waitFor(() => eventsOf(node, 'laneOpened').length === 1, 'the lane')
      expect(eventsOf(node, 'laneOpened')[0]).toMatchObject({
        lane,
        dial: 0xffff_fff0,
        dialler: node.uid,
        peer: { uid: peer.uid, address: advertised.address },
      })
      expect(front.streams).toHaveLength(1)
    })

    it('hands over what came with the ack, and writes behind ready', async () => {
      const { harness } = context
      const dialled = await linkedToFake(context)
      const lane = await laneMet(context, dialled)
      const early = pattern(3000, 1)
      lane.send(concat([encodeFrame(FrameKind.helloAck, lane.ackBody(5)), early]))
      await harness.waitFor(() => eventsOf(dialled.node, 'laneOpened').length === 1, 'the lane')
      const probe = new LaneProbe(eventsOf(dialled.node, 'laneOpened')[0]!.socket).attach()
      expect(probe.dataCalls).toBe(0)
      probe.send(pattern(2000, 2))
      await harness.waitFor(() => probe.receivedBytes === 3000 && lane.laneBytes.length === 2000, 'both')
      expect(isSame(probe.received, early)).toBe(true)
      expect(isSame(lane.laneBytes, pattern(2000, 2))).toBe(true)
      expect(lane.frames.map((frame) => frame.kind)).toEqual([FrameKind.hello, FrameKind.ready])
    })

    it('is refused where nobody listens any more', async () => {
      const dialled = await linkedToFake(context)
      await dialled.listener.close()
      dialled.node.transport.openLane(dialled.peer.uid, 'ordinary', 5)
      await expectFailed(context, dialled, 'refused')
    })

    it('times out where nobody answers', async () => {
      const dialled = await linkedToFake(context, { dial: { connectTimeoutMs: 200 } })
      const lane = await laneMet(context, dialled)
      await expectFailed(context, dialled, 'timeout')
      await context.harness.waitFor(() => lane.stream.ended || lane.stream.closed, 'its socket to be closed')
    })

    it('fails where another incarnation answers, and says nothing of its identity', async () => {
      const dialled = await linkedToFake(context)
      const lane = await laneMet(context, dialled, freshUid())
      lane.sendAck(5)
      await expectFailed(context, dialled, 'handshake')
      expect(lane.count(FrameKind.ready)).toBe(0)
    })

    it.each([
      ['quarantined', RefusalReason.quarantined],
      ['busy', RefusalReason.busy],
      ['unauthenticated', RefusalReason.unauthenticated],
      ['superseded', RefusalReason.superseded],
      ['a reason of a later version', 99 as RefusalReason],
    ])('fails where it is refused (%s), and is not repeated', async (_, reason) => {
      const dialled = await linkedToFake(context)
      const lane = await laneMet(context, dialled)
      const { uid } = dialled.peer
      lane.send(encodeRefusal({ uid, reason, versionMin: 1, versionMax: 1, detail: 0, dial: 9 }))
      await expectFailed(context, dialled, 'handshake')
    })

    it.each([
      ['another dial', (lane: FakePeer) => lane.sendAck(6), 'badHello'],
      ['another lane', (lane: FakePeer) => lane.send(ackOfLane(lane, Lane.large)), 'badHello'],
      ['the control lane', (lane: FakePeer) => lane.send(ackOfLane(lane, Lane.control)), 'badHello'],
      ['a lane of a later version', (lane: FakePeer) => lane.send(ackOfLane(lane, 3 as Lane)), 'badHello'],
      ['another cluster', (lane: FakePeer) => lane.send(ackOfCluster(lane)), 'clusterMismatch'],
      ['ready', (lane: FakePeer) => lane.send(encodeFrame(FrameKind.ready)), 'unexpectedFrame'],
      ['garbage', (lane: FakePeer) => lane.send(new Uint8Array(64).fill(0xa7)), 'frameTooLarge'],
      ['half an ack', (lane: FakePeer) => sendHalf(lane), 'truncatedFrame'],
    ])('fails where it is answered by %s', async (_, answer, reason) => {
      const dialled = await linkedToFake(context)
      const lane = await laneMet(context, dialled)
      answer(lane)
      await expectFailed(context, dialled, 'handshake')
      expect(eventsOf(dialled.node, 'badInput').map((event) => event.reason)).toEqual([reason])
      await context.harness.waitFor(() => lane.stream.ended || lane.stream.closed, 'its socket to be closed')
    })

    it.each([
      ['closed', (lane: FakePeer) => lane.stream.end()],
      ['killed', (lane: FakePeer) => lane.stream.destroy()],
    ])('fails where the connection is %s without an answer', async (_, end) => {
      const dialled = await linkedToFake(context)
      end(await laneMet(context, dialled))
      await expectFailed(context, dialled, 'handshake')
    })

    it('fails when the peer is quarantined meanwhile', async () => {
      const { harness } = context
      const dialled = await linkedToFake(context)
      const { node, peer } = dialled
      const lane = await laneMet(context, dialled)
      node.transport.quarantine(peer.uid, 'operator')
      lane.sendAck(5)
      await harness.waitFor(() => eventsOf(node, 'laneFailed').length === 1, 'the failure')
      await harness.waitFor(() => lane.stream.ended || lane.stream.closed, 'its socket to be closed')
      expect(lane.count(FrameKind.ready)).toBe(0)
      expect(eventsOf(node, 'laneOpened')).toEqual([])
    })

    it('ends with the transport, and nobody is told', async () => {
      const { harness } = context
      const dialled = await linkedToFake(context)
      const { node, peer } = dialled
      const lane = await laneMet(context, dialled)
      const events = node.events.length
      peer.stream.end()
      await harness.settle(node.transport.close())
      await harness.waitFor(() => lane.stream.ended || lane.stream.closed, 'its socket to be closed')
      expect(eventsOf(node, 'laneFailed')).toEqual([])
      expect(eventsOf(node, 'laneOpened')).toEqual([])
      expect(node.events.slice(events).every((event) => event.type === 'linkDown')).toBe(true)
    })

    it('is bounded: one more than may be under way fails at once, and later there is room again', async () => {
      const { harness } = context
      const { laneDialsMax } = CONTROL_LINK_LIMITS
      const { node, listener, peer } = await linkedToFake(context, { dial: { connectTimeoutMs: 1500 } })
      // What is open is under way no more.
      node.transport.openLane(peer.uid, 'large', 1)
      await FakePeer.accept(harness, listener, 1, { uid: peer.uid, lane: Lane.large })
      for (let dial = 1; dial <= laneDialsMax + 1; dial += 1)
        node.transport.openLane(peer.uid, 'ordinary', dial)
      const failed = () => eventsOf(node, 'laneFailed')
      await harness.waitFor(() => failed().length > 0, 'the one too many')
      expect(failed()[0]).toMatchObject({ dial: laneDialsMax + 1, reason: 'unreachable' })
      await harness.waitFor(() => failed().length > laneDialsMax, 'all the others')
      expect(new Set(failed().map((event) => event.reason))).toEqual(new Set(['unreachable', 'timeout']))
      expect(failed()).toHaveLength(laneDialsMax + 1)
      // Refused there, not here: it was dialled.
      await listener.close()
      node.transport.openLane(peer.uid, 'ordinary', 999)
      await harness.waitFor(() => failed().length > laneDialsMax + 1, 'the next one')
      expect(failed().at(-1)).toMatchObject({ dial: 999, reason: 'refused' })
    })

    it('leaves the dial numbers of the link as they are', async () => {
      const { harness } = context
      const dialled = await linkedToFake(context)
      const lane = await laneMet(context, dialled)
      lane.sendAck(5)
      await harness.waitFor(() => eventsOf(dialled.node, 'laneOpened').length === 1, 'the lane')
      dialled.peer.stream.end()
      const next = await FakePeer.meet(harness, dialled.listener, 2)
      expect((await next.hello()).dial).toBe(2)
    })
  })
}

function ackOfLane(lane: FakePeer, code: Lane): Uint8Array {
  const body = lane.ackBody(5)
  body[36] = code
  return encodeFrame(FrameKind.helloAck, body)
}

function ackOfCluster(lane: FakePeer): Uint8Array {
  const { identity, uid } = lane
  return encodeFrame(FrameKind.helloAck, fakeHelloBody({ ...identity, uid, dial: 5, cluster: 'another' }))
}

function sendHalf(lane: FakePeer): void {
  lane.send(encodeFrame(FrameKind.helloAck, lane.ackBody(5)).slice(0, 50))
  lane.stream.end()
}
