import { describe, expect, it } from 'vitest'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import { FrameKind } from '../../src/wire/frame.js'
import { FakePeer } from './fake-peer.js'
import { counter, eventsOf, freshUid, isLinked, linkedPair, type Node, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

/** The longest message: a control frame less its header. */
const MESSAGE_BYTES_MAX = TRANSPORT_LIMITS.controlFrameBytesMax - 16
const FRAME_OVERHEAD = 20
const MIB = 1024 * 1024

/** Bytes that no shift or truncation leaves equal. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 31 + (index >> 8) + seed) & 0xff
  return bytes
}

const messagesAt = (node: Node) => eventsOf(node, 'message')
const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

export function messageContract(context: ContractContext): void {
  describe('messages', () => {
    it.each([
      ['0 B', 0],
      ['1 B', 1],
      ['64 KiB', 65_536],
      ['1 MiB', MIB],
      ['the limit', MESSAGE_BYTES_MAX],
    ])('of %s arrive whole', async (_, length) => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const bytes = pattern(length, 7)
      expect(a.transport.send(b.uid, bytes)).toBe('sent')
      await harness.waitFor(() => messagesAt(b).length === 1, 'the message')
      const received = messagesAt(b)[0]!
      expect(received).toMatchObject({ uid: a.uid, session: 1 })
      expect(received.bytes.constructor).toBe(Uint8Array)
      expect(isSame(received.bytes, bytes)).toBe(true)
    })

    it('above the limit are rejected, and the link is undisturbed', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      expect(() => a.transport.send(b.uid, new Uint8Array(MESSAGE_BYTES_MAX + 1))).toThrow(
        expect.objectContaining({ code: 'ERR_SKEIN_FRAME_TOO_LARGE' }),
      )
      expect(a.transport.send(b.uid, Uint8Array.of(5))).toBe('sent')
      await harness.waitFor(() => messagesAt(b).length === 1, 'the next message')
      expect([...messagesAt(b)[0]!.bytes]).toEqual([5])
    })

    it('arrive in order, small and large ones mixed, both ways at once', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const lengths = Array.from({ length: 400 }, (_, index) => (index % 50 === 49 ? 200_000 : index % 97))
      lengths.forEach((length, index) => {
        expect(a.transport.send(b.uid, pattern(length, index))).toBe('sent')
        expect(b.transport.send(a.uid, pattern(length, index + 1))).toBe('sent')
      })
      await harness.waitFor(
        () => messagesAt(a).length === lengths.length && messagesAt(b).length === lengths.length,
        'all messages',
      )
      const wrong = lengths.filter((length, index) => {
        const there = isSame(messagesAt(b)[index]!.bytes, pattern(length, index))
        return !there || !isSame(messagesAt(a)[index]!.bytes, pattern(length, index + 1))
      })
      expect(wrong).toEqual([])
      expect(counter(a, 'messagesOut')).toBe(lengths.length)
      expect(counter(a, 'messagesIn')).toBe(lengths.length)
    })

    it('are copied by send, and the receiver keeps its view', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const bytes = pattern(1000, 1)
      for (let round = 0; round < 20; round += 1) {
        bytes.fill(round)
        a.transport.send(b.uid, bytes)
      }
      bytes.fill(0xff)
      await harness.waitFor(() => messagesAt(b).length === 20, 'all messages')
      messagesAt(b).forEach((event, round) => {
        expect(event.bytes.every((byte) => byte === round)).toBe(true)
        event.bytes.fill(0xee)
      })
    })

    it('to a peer without a link are not taken', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      expect(node.transport.send(freshUid(), new Uint8Array(1))).toBe('noLink')
      expect(counter(node, 'sendNoLink')).toBe(1)
    })

    it('fill the outbox up to its bound, and every one that was taken arrives', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
      peer.stream.setReading(false)
      const bytes = pattern(MIB - FRAME_OVERHEAD, 3)
      let taken = 0
      // One turn: no more than the bound and what a kernel may swallow meanwhile.
      while (taken < 200 && node.transport.send(peer.uid, bytes) === 'sent') taken += 1
      expect(taken).toBeGreaterThanOrEqual(16)
      expect(taken).toBeLessThan(64)
      expect(counter(node, 'sendOutboxFull')).toBe(1)
      const status = node.transport.peers().find((each) => each.uid === peer.uid)!
      expect(status.outboxBytes).toBeLessThanOrEqual(TRANSPORT_LIMITS.controlOutboxBytesMax)
      expect(eventsOf(node, 'linkDown')).toEqual([])
      peer.stream.setReading(true)
      await harness.waitFor(() => peer.stream.received.length >= taken * MIB, 'all that was taken')
      expect(peer.count(FrameKind.message)).toBe(taken)
      const sequences = peer.frames
        .filter((frame) => frame.kind === FrameKind.message)
        .map((frame) => frame.sequence)
      expect(sequences).toEqual(Array.from({ length: taken }, (_, index) => index + 1))
      await harness.waitFor(() => node.transport.send(peer.uid, bytes) === 'sent', 'room in the outbox')
    })
  })

  describe('delivery', () => {
    it('never happens inside a command, and drain hands over what waits', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const before = a.events.length
      a.transport.quarantine(b.uid, 'operator')
      expect(a.events.length).toBe(before)
      a.transport.drain()
      // Where the engine runs on this thread, the command's events are there already.
      if (a.transport.kind !== 'native') {
        expect(eventsOf(a, 'linkDown')).toHaveLength(1)
      }
      await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown')
      a.transport.drain()
      expect(eventsOf(a, 'linkDown')).toHaveLength(1)
    })

    it('hands events over in batches that concatenate to the order in which they happened', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      for (let index = 0; index < 300; index += 1)
        a.transport.send(b.uid, Uint8Array.of(index & 0xff, index >> 8))
      await harness.waitFor(() => messagesAt(b).length === 300, 'all messages')
      expect(b.batches.flat()).toEqual(b.events)
      expect(b.batches.every((batch) => batch.length > 0)).toBe(true)
      expect(messagesAt(b).map((event) => event.bytes[0]! + 256 * event.bytes[1]!)).toEqual(
        Array.from({ length: 300 }, (_, index) => index),
      )
      expect(counter(b, 'wakeups')).toBeGreaterThan(0)
    })
  })
}
