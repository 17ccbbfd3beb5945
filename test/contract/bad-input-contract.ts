import { describe, expect, it } from 'vitest'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import type { BadInputReason } from '../../src/transport/transport.js'
import { crc32c } from '../../src/wire/crc32c.js'
import { encodeFrame, encodeHeartbeat, encodeWatch, FrameKind, Lane } from '../../src/wire/frame.js'
import { encodeHello } from '../../src/wire/hello.js'
import { FakePeer, fakeHello } from './fake-peer.js'
import { counter, eventsOf, expectUndisturbed, freshUid, isLinked, linkedPair, type Node } from './harness.js'
import type { ContractContext } from './transport-contract.js'

const text = (value: string) => new TextEncoder().encode(value)
const hello = () => encodeHello(FrameKind.hello, fakeHello({ uid: freshUid() }))

function flip(bytes: Uint8Array, at: number): void {
  bytes[at] = bytes[at]! ^ 1
}

function changed(frame: Uint8Array, change: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const bytes = frame.slice()
  change(bytes, new DataView(bytes.buffer))
  return bytes
}

/** A frame with another kind, and a CRC that is right for it. */
function ofKind(kind: number, body = new Uint8Array(8)): Uint8Array {
  return encodeFrame(kind as FrameKind, body)
}

/** A message that claims the large lane, and a CRC that is right for it. */
function ofAnotherLane(): Uint8Array {
  return changed(encodeFrame(FrameKind.message, text('x')), (bytes, view) => {
    bytes[10] = Lane.large
    view.setUint32(4, crc32c(bytes, 8), true)
  })
}

/** A hello whose struct was spoilt at an offset, and a CRC that is right for it. */
function spoiltHello(offset: number, value: number): Uint8Array {
  const body = hello().slice(20)
  new DataView(body.buffer).setUint16(offset, value, true)
  return encodeFrame(FrameKind.hello, body)
}

const FIRST_FRAMES: [string, BadInputReason, () => Uint8Array][] = [
  ['garbage', 'frameTooLarge', () => new Uint8Array(64).fill(0xa7)],
  ['an HTTP request', 'frameTooLarge', () => text('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  [
    'a TLS hello',
    'frameTooLarge',
    () => Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0, 0, 0),
  ],
  [
    'a length of 4 GB',
    'frameTooLarge',
    () => changed(hello(), (_, view) => view.setUint32(0, 0xffff_ffff, true)),
  ],
  [
    'a length above the bound of a first frame',
    'frameTooLarge',
    () => changed(hello(), (_, view) => view.setUint32(0, TRANSPORT_LIMITS.helloFrameBytesMax + 1, true)),
  ],
  [
    'a length below a header',
    'frameTooShort',
    () => changed(hello(), (_, view) => view.setUint32(0, 15, true)),
  ],
  ['a length of 0', 'frameTooShort', () => new Uint8Array(4)],
  ['another magic', 'badMagic', () => changed(hello(), (bytes) => bytes.set([0x54], 20))],
  ['a body too short for a magic', 'badMagic', () => ofKind(FrameKind.hello, new Uint8Array(3))],
  ['another magic and a wrong CRC', 'badMagic', () => changed(hello(), (bytes) => bytes.fill(0x54, 4, 21))],
  ['a wrong CRC', 'badCrc', () => changed(hello(), (bytes) => flip(bytes, 4))],
  ['a flipped bit in a name', 'badCrc', () => changed(hello(), (bytes) => flip(bytes, bytes.length - 1))],
  ['a hello of an unknown kind', 'unknownKind', () => ofKind(200, hello().slice(20))],
  ['a hello ack', 'unexpectedFrame', () => ofKind(FrameKind.helloAck, hello().slice(20))],
  ['a beat', 'badMagic', () => encodeHeartbeat({ sentUs: 1, loopAgeMs: 0, intervalMs: 1 }, 1, false)],
  ['a hello cut short', 'badHello', () => ofKind(FrameKind.hello, hello().slice(20, 60))],
  ['a cluster name above its limit', 'badHello', () => spoiltHello(38, 256)],
  ['a node id longer than the frame', 'badHello', () => spoiltHello(40, 200)],
  ['an unknown lane in the hello', 'badHello', () => spoiltHello(36, Lane.large + 1)],
]

const LATER_FRAMES: [string, BadInputReason, () => Uint8Array][] = [
  [
    'a length above the bound',
    'frameTooLarge',
    () =>
      Uint8Array.from([
        ...new Uint8Array(new Uint32Array([TRANSPORT_LIMITS.controlFrameBytesMax + 1]).buffer),
      ]),
  ],
  ['a length below a header', 'frameTooShort', () => Uint8Array.of(3, 0, 0, 0)],
  ['a wrong CRC', 'badCrc', () => changed(encodeWatch(50), (bytes) => flip(bytes, 21))],
  ['an unknown kind', 'unknownKind', () => ofKind(11)],
  ['kind 0', 'unknownKind', () => ofKind(0)],
  ['another hello', 'unexpectedFrame', hello],
  ['ready', 'unexpectedFrame', () => ofKind(FrameKind.ready)],
  ['a refusal', 'unexpectedFrame', () => ofKind(FrameKind.refusal, new Uint8Array(24))],
  [
    'quarantined, naming somebody else',
    'unexpectedFrame',
    () => ofKind(FrameKind.quarantined, new Uint8Array(16)),
  ],
  ['a frame of another lane', 'unexpectedFrame', ofAnotherLane],
  ['a beat without a body', 'frameTooShort', () => ofKind(FrameKind.heartbeat, new Uint8Array(15))],
  ['an echo without a body', 'frameTooShort', () => ofKind(FrameKind.echo, new Uint8Array(0))],
  ['a watch without a body', 'frameTooShort', () => ofKind(FrameKind.watch, new Uint8Array(3))],
  ['a goodbye without a body', 'frameTooShort', () => ofKind(FrameKind.goodbye, new Uint8Array(1))],
]

function badInputs(node: Node): BadInputReason[] {
  return eventsOf(node, 'badInput').map((event) => event.reason)
}

export function badInputContract(context: ContractContext): void {
  describe('bad input', () => {
    it.each(FIRST_FRAMES)('%s as the first frame closes the connection as %s', async (_, reason, bytes) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const stream = harness.dialRaw(a.address)
      await harness.waitFor(() => stream.opened, 'the connect')
      stream.write(bytes())
      await harness.waitFor(() => stream.ended || stream.closed, 'the connection to be closed')
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual([reason])
      expect(eventsOf(a, 'badInput')[0]!.remote).toMatch(/:\d+$/)
      expect(counter(a, `badInput.${reason}`)).toBe(1)
      await expectUndisturbed(harness, a, b)
    })

    it.each(LATER_FRAMES)('%s on a link closes it as %s', async (_, reason, bytes) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = await FakePeer.dial(harness, a.address)
      await harness.waitFor(() => isLinked(a, peer.uid), 'the bad link')
      peer.send(bytes())
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual([reason])
      expect(counter(a, `badInput.${reason}`)).toBe(1)
      await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown')
      expect(eventsOf(a, 'linkDown')[0]).toMatchObject({ uid: peer.uid, reason: 'badInput' })
      await expectUndisturbed(harness, a, b)
    })

    it('anything but ready after the ack is unexpected', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = new FakePeer(harness, harness.dialRaw(a.address))
      await harness.waitFor(() => peer.stream.opened, 'the connect')
      peer.sendHello()
      await peer.frame(FrameKind.helloAck)
      peer.send(encodeWatch(50))
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual(['unexpectedFrame'])
      await expectUndisturbed(harness, a, b)
    })

    it('an ack that answers another dial is a bad hello', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const listener = await harness.listenRaw()
      a.transport.connect(listener.address)
      const peer = await FakePeer.meet(harness, listener, 0)
      peer.sendAck((await peer.hello()).dial + 1)
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual(['badHello'])
      await expectUndisturbed(harness, a, b)
    })

    it('the end inside a frame is a truncated frame, before and after the handshake', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const stream = harness.dialRaw(a.address)
      await harness.waitFor(() => stream.opened, 'the connect')
      stream.write(hello().slice(0, 50))
      stream.end()
      await harness.waitFor(() => badInputs(a).length === 1, 'the first')
      const peer = await FakePeer.dial(harness, a.address)
      await harness.waitFor(() => isLinked(a, peer.uid), 'the link')
      peer.send(encodeFrame(FrameKind.message, new Uint8Array(1000)).slice(0, 500))
      peer.stream.end()
      await harness.waitFor(() => badInputs(a).length === 2, 'the second')
      expect(badInputs(a)).toEqual(['truncatedFrame', 'truncatedFrame'])
      await harness.waitFor(() => !isLinked(a, peer.uid), 'its link to be down')
      await expectUndisturbed(harness, a, b)
    })

    it('a handshake that does not complete in time is closed', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const silent = harness.dialRaw(a.address)
      const half = new FakePeer(harness, harness.dialRaw(a.address))
      await harness.waitFor(() => silent.opened && half.stream.opened, 'the connects')
      half.sendHello()
      await harness.waitFor(() => badInputs(a).length === 2, 'both timeouts')
      expect(badInputs(a)).toEqual(['handshakeTimeout', 'handshakeTimeout'])
      await harness.waitFor(() => silent.ended && half.stream.ended, 'the connections to be closed')
      await expectUndisturbed(harness, a, b)
    })

    it('one connection too many without a handshake is closed at once', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const streams = Array.from({ length: TRANSPORT_LIMITS.pendingHandshakesMax + 3 }, () =>
        (harness.dialIdle ?? harness.dialRaw)(a.address),
      )
      await harness.waitFor(() => badInputs(a).length >= 3, 'the excess to be closed')
      expect(badInputs(a).slice(0, 3)).toEqual(Array(3).fill('tooManyConnections'))
      await harness.waitFor(() => streams.filter((s) => s.ended || s.closed).length >= 3, 'their ends')
      for (const stream of streams) stream.destroy()
      await expectUndisturbed(harness, a, b)
      const peer = await FakePeer.dial(harness, a.address)
      await harness.waitFor(() => isLinked(a, peer.uid), 'a new link once there is room')
    })

    it('frames may arrive in any chunks', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const peer = new FakePeer(harness, harness.dialRaw(a.address))
      await harness.waitFor(() => peer.stream.opened, 'the connect')
      for (const byte of encodeHello(FrameKind.hello, fakeHello({ uid: peer.uid })))
        peer.send(Uint8Array.of(byte))
      await peer.frame(FrameKind.helloAck)
      const rest = Buffer.concat([
        encodeFrame(FrameKind.ready),
        encodeFrame(FrameKind.message, text('one'), { sequence: 1 }),
        encodeFrame(FrameKind.message, text('two'), { sequence: 2 }),
      ])
      for (let at = 0; at < rest.length; at += 7) peer.send(new Uint8Array(rest.subarray(at, at + 7)))
      await harness.waitFor(() => eventsOf(a, 'message').length === 2, 'both messages')
      expect(eventsOf(a, 'message').map((event) => new TextDecoder().decode(event.bytes))).toEqual([
        'one',
        'two',
      ])
      await expectUndisturbed(harness, a, b)
    })
  })
}
