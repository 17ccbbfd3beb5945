/** What somebody who knows no secret, or knows the wrong one, can try on a raw stream. */
import { describe, expect, it } from 'vitest'
import {
  decodeRefusal,
  encodeFrame,
  encodeGoodbye,
  encodeQuarantined,
  FRAME_OVERHEAD_BYTES,
  FrameKind,
  GoodbyeReason,
  Lane,
  QuarantineReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import {
  ackTail,
  concat,
  NONCE_BYTES,
  PROOF_BYTES,
  proofOf,
  readAckProofs,
  secretOf,
} from './fake-admission.js'
import { FakePeer, fakeHelloBody, stringsEnd } from './fake-peer.js'
import { counter, eventsOf, expectUndisturbed, freshUid, isLinked, type Node, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

const SECRET = secretOf('right')
const OLD = secretOf('old')
const WRONG = secretOf('wrong')

const LANES: [string, Lane][] = [
  ['the control link', Lane.control],
  ['a data lane', Lane.ordinary],
]

const badInputs = (node: Node) => eventsOf(node, 'badInput').map((event) => event.reason)

/** Two nodes that know the secret, and are linked: what happens to the first must not touch their link. */
async function securePair(context: ContractContext): Promise<[Node, Node]> {
  const { harness, open } = context
  const a = await startNode(harness, open, { secrets: [SECRET, OLD] })
  const b = await startNode(harness, open, { secrets: [OLD] })
  a.transport.connect(b.address, b.uid)
  await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
  return [a, b]
}

function isIn(node: Node, peer: FakePeer): boolean {
  return isLinked(node, peer.uid) || eventsOf(node, 'laneOpened').some((lane) => lane.peer.uid === peer.uid)
}

/** On a lane, too, whose bytes after the ack the fake peer does not read as frames. */
function refusalTo(peer: FakePeer): ReturnType<typeof decodeRefusal> {
  const isFirst = peer.count(FrameKind.refusal) > 0
  const body = isFirst ? peer.frames[0]!.body : peer.laneBytes.subarray(FRAME_OVERHEAD_BYTES)
  return decodeRefusal(peer.identity.lane === Lane.control ? peer.frames.at(-1)!.body : body)
}

/** The node has told the peer that it is not admitted, counted that once, and let nobody in. */
async function expectRefused(context: ContractContext, node: Node, peer: FakePeer): Promise<void> {
  const { harness } = context
  await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
  await harness.waitFor(() => badInputs(node).length === 1, 'the news')
  expect(badInputs(node)).toEqual(['unauthenticated'])
  expect(counter(node, 'badInput.unauthenticated')).toBe(1)
  expect(refusalTo(peer)).toMatchObject({ uid: node.uid, reason: RefusalReason.unauthenticated })
  expect(isIn(node, peer)).toBe(false)
}

/** A proof that is right but for one thing: its hello, or the secret, or the end that it is for. */
const WRONG_PROOFS: [string, (peer: FakePeer) => Uint8Array][] = [
  ['none at all', () => new Uint8Array(0)],
  ['one byte short', (peer) => peer.diallerProof(SECRET).slice(0, -1)],
  ['of zeros', () => new Uint8Array(PROOF_BYTES)],
  ['by another secret', (peer) => peer.diallerProof(WRONG)],
  ['by a prefix of the secret', (peer) => peer.diallerProof(SECRET.slice(0, -1))],
  [
    'with one bit turned',
    (peer) => peer.diallerProof(SECRET).map((byte, at) => (at === 31 ? byte ^ 1 : byte)),
  ],
  ['by the end that accepts', (peer) => firstProof(peer)],
  ['for another lane', (peer) => peer.diallerProof(SECRET, spoilt(peer, 36))],
  ['for another dial', (peer) => peer.diallerProof(SECRET, spoilt(peer, 32))],
  ['for another uid', (peer) => peer.diallerProof(SECRET, spoilt(peer, 8))],
  ['for another name', (peer) => peer.diallerProof(SECRET, spoilt(peer, 56))],
  ['for another nonce', (peer) => peer.diallerProof(SECRET, spoilt(peer, peer.helloBody.length - 1))],
]

function spoilt(peer: FakePeer, at: number): Uint8Array {
  return peer.helloBody.map((byte, index) => (index === at ? byte ^ 1 : byte))
}

function ackOf(peer: FakePeer): Uint8Array {
  return peer.frames.find((frame) => frame.kind === FrameKind.helloAck)!.body
}

function firstProof(peer: FakePeer): Uint8Array {
  const ack = ackOf(peer)
  return readAckProofs(ack, stringsEnd(ack)).proofs[0]!
}

export function admissionAttackContract(context: ContractContext): void {
  describe.each(LANES)('admission to %s by a dialler', (_, lane) => {
    it('who knows a secret: the acceptor proves each of its own, and both are right', async () => {
      const { harness } = context
      const [a] = await securePair(context)
      for (const secret of [SECRET, OLD]) {
        const peer = await FakePeer.halfDial(harness, a.address, { lane, secret, dial: 3 })
        const ack = ackOf(peer)
        expect([ack[36], ack[37]]).toEqual([lane, 1])
        const { signed, proofs } = readAckProofs(ack, stringsEnd(ack))
        expect(ack.length).toBe(signed.length + 1 + 2 * PROOF_BYTES)
        expect(proofs).toEqual([SECRET, OLD].map((each) => proofOf('acceptor', each, peer.helloBody, signed)))
        peer.send(peer.ready())
        await harness.waitFor(() => isIn(a, peer), 'admission')
      }
      expect(badInputs(a)).toEqual([])
    })

    it('of a later version, who says more than he must', async () => {
      const { harness } = context
      const [a] = await securePair(context)
      const peer = await FakePeer.connect(harness, a.address, { lane, secret: SECRET })
      peer.helloBody = concat([fakeHelloBody({ ...peer.identity, uid: peer.uid }), Uint8Array.of(1, 2, 3)])
      peer.send(encodeFrame(FrameKind.hello, peer.helloBody))
      await peer.frame(FrameKind.helloAck)
      peer.send(encodeFrame(FrameKind.ready, concat([peer.diallerProof(SECRET), Uint8Array.of(9)])))
      await harness.waitFor(() => isIn(a, peer), 'admission')
    })

    it.each(WRONG_PROOFS)('with a proof %s is refused', async (_name, proof) => {
      const { harness } = context
      const [a, b] = await securePair(context)
      const peer = await FakePeer.halfDial(harness, a.address, { lane, secret: SECRET })
      peer.send(encodeFrame(FrameKind.ready, proof(peer)))
      await expectRefused(context, a, peer)
      await expectUndisturbed(harness, a, b)
    })

    it('without a nonce is refused before he is told anything', async () => {
      const { harness } = context
      const [a, b] = await securePair(context)
      const peer = await FakePeer.connect(harness, a.address, { lane })
      peer.sendHello()
      await expectRefused(context, a, peer)
      expect(peer.count(FrameKind.helloAck)).toBe(0)
      await expectUndisturbed(harness, a, b)
    })

    it('without a nonce does not even hear that the uid he names is quarantined', async () => {
      const { harness } = context
      const [a] = await securePair(context)
      const uid = freshUid()
      a.transport.quarantine(uid, 'operator')
      const peer = await FakePeer.connect(harness, a.address, { lane, uid })
      peer.sendHello()
      await expectRefused(context, a, peer)
    })

    it.each([
      ['cut short', (body: Uint8Array) => body.slice(0, -1)],
      ['left out', (body: Uint8Array) => body.slice(0, -NONCE_BYTES)],
    ])('with a nonce %s is malformed', async (_name, change) => {
      const { harness } = context
      const [a, b] = await securePair(context)
      const peer = await FakePeer.connect(harness, a.address, { lane, secret: SECRET })
      peer.send(encodeFrame(FrameKind.hello, change(fakeHelloBody({ ...peer.identity, uid: peer.uid }))))
      const refusal = decodeRefusal((await peer.frame(FrameKind.refusal)).body)!
      expect(refusal.reason).toBe(RefusalReason.malformed)
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual(['badHello'])
      await expectUndisturbed(harness, a, b)
    })

    it('who repeats what another one said is refused', async () => {
      const { harness } = context
      const [a, b] = await securePair(context)
      const peer = await FakePeer.halfDial(harness, a.address, { lane, secret: SECRET })
      const ready = peer.ready()
      peer.send(ready)
      await harness.waitFor(() => isIn(a, peer), 'the original')
      peer.stream.end()
      if (lane === Lane.control) await harness.waitFor(() => !isLinked(a, peer.uid), 'the end of its link')
      const before = a.events.length
      const thief = await FakePeer.connect(harness, a.address, { lane, uid: peer.uid })
      thief.send(encodeFrame(FrameKind.hello, peer.helloBody))
      const nonces = [ackOf(peer), (await thief.frame(FrameKind.helloAck)).body].map((ack) => {
        return Buffer.from(readAckProofs(ack, stringsEnd(ack)).signed.slice(-NONCE_BYTES)).toString('hex')
      })
      expect(nonces[0]).not.toBe(nonces[1])
      thief.send(ready)
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(a.events.slice(before).map((event) => event.type)).toEqual(['badInput'])
      expect(badInputs(a)).toEqual(['unauthenticated'])
      await expectUndisturbed(harness, a, b)
    })

    it('who proves nothing is not believed when he speaks of quarantine, or says goodbye', async () => {
      const { harness } = context
      const [a, b] = await securePair(context)
      const before = a.events.length
      const liar = await FakePeer.halfDial(harness, a.address, { lane, secret: WRONG })
      liar.send(encodeQuarantined(a.uid, QuarantineReason.operator))
      await harness.waitFor(() => badInputs(a).length === 1, 'the news')
      expect(badInputs(a)).toEqual(['unexpectedFrame'])
      const other = await FakePeer.halfDial(harness, a.address, { lane, secret: WRONG })
      other.send(encodeGoodbye(GoodbyeReason.removed))
      await harness.waitFor(() => other.stream.ended || other.stream.closed, 'the connection to be closed')
      expect(a.events.slice(before).map((event) => event.type)).toEqual(['badInput'])
      await expectUndisturbed(harness, a, b)
    })

    it('who offers a proof where none is asked for is let in', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.connect(harness, node.address, { lane, secret: SECRET })
      peer.sendHello()
      const ack = (await peer.frame(FrameKind.helloAck)).body
      expect([ack[37], ack.length]).toEqual([0, stringsEnd(ack)])
      peer.send(encodeFrame(FrameKind.ready, new Uint8Array(PROOF_BYTES)))
      await harness.waitFor(() => isIn(node, peer), 'admission')
    })
  })

  acceptorContract(context)
}

type Answer = (peer: FakePeer, signed: Uint8Array) => Uint8Array

const right: Answer = (peer, signed) => proofOf('acceptor', SECRET, peer.helloBody, signed)

/** Acks that are in order but for their proofs: what follows the nonce. */
const WRONG_ACKS: [string, string, Answer][] = [
  ['no proof that is right', 'unauthenticated', () => ackTail([new Uint8Array(PROOF_BYTES)])],
  [
    'a proof by another secret',
    'unauthenticated',
    (peer, signed) => ackTail([proofOf('acceptor', WRONG, peer.helloBody, signed)]),
  ],
  [
    'the proof that a dialler would give',
    'unauthenticated',
    (peer, signed) => ackTail([proofOf('dialler', SECRET, peer.helloBody, signed)]),
  ],
  [
    'a proof for another hello',
    'unauthenticated',
    (peer, signed) => ackTail([proofOf('acceptor', SECRET, spoilt(peer, 40), signed)]),
  ],
  [
    'a proof for another ack',
    'unauthenticated',
    (peer, signed) =>
      ackTail([
        right(
          peer,
          signed.map((byte, at) => (at === 56 ? byte ^ 1 : byte)),
        ),
      ]),
  ],
  ['a number of 0', 'badHello', (peer, signed) => ackTail([right(peer, signed)], 0)],
  ['no number', 'badHello', () => new Uint8Array(0)],
  [
    'five proofs',
    'badHello',
    (peer, signed) => ackTail(Array.from({ length: 5 }, () => right(peer, signed))),
  ],
  ['a number of 255', 'badHello', (peer, signed) => ackTail([right(peer, signed)], 255)],
  ['one proof where two are promised', 'badHello', (peer, signed) => ackTail([right(peer, signed)], 2)],
  ['a proof cut short', 'badHello', (peer, signed) => ackTail([right(peer, signed).slice(0, -1)], 1)],
]

function acceptorContract(context: ContractContext): void {
  /** A node with secrets that dials a played acceptor: the control link, or a lane beside a link in order. */
  const dialled = async (lane: Lane, uid = freshUid()) => {
    const { harness, open } = context
    const listener = await harness.listenRaw()
    const node = await startNode(harness, open, { secrets: [OLD, SECRET] })
    node.transport.connect(listener.address, uid)
    if (lane === Lane.control) {
      const peer = await FakePeer.meet(harness, listener, 0, { uid, lane, secret: SECRET })
      return { harness, node, listener, peer, hello: (await peer.frame(FrameKind.hello)).body }
    }
    await FakePeer.accept(harness, listener, 0, { uid, secret: SECRET })
    await harness.waitFor(() => isLinked(node, uid), 'the link')
    node.transport.openLane(uid, 'ordinary', 5)
    const peer = await FakePeer.meet(harness, listener, 1, { uid, lane, secret: SECRET })
    return { harness, node, listener, peer, hello: (await peer.frame(FrameKind.hello)).body }
  }

  const expectFailed = async (node: Node, lane: Lane, reason: string) => {
    const { harness } = context
    const failures = () => (lane === Lane.control ? eventsOf(node, 'gated') : eventsOf(node, 'laneFailed'))
    await harness.waitFor(() => failures().length > 0, 'the failure')
    expect(failures()[0]!.reason).toBe('handshake')
    expect(badInputs(node)).toEqual([reason])
    expect(counter(node, `badInput.${reason}`)).toBe(1)
    for (const type of ['identityChanged', 'refused', 'linkDown', 'laneOpened'] as const)
      expect(eventsOf(node, type)).toEqual([])
    expect(eventsOf(node, 'linkUp')).toHaveLength(lane === Lane.control ? 0 : 1)
  }

  const ack = async (peer: FakePeer, tail: Answer) => {
    const { dial } = await peer.hello()
    const signed = fakeHelloBody({ ...peer.identity, uid: peer.uid, dial })
    peer.send(encodeFrame(FrameKind.helloAck, concat([signed, tail(peer, signed)])))
    return signed
  }

  describe.each(LANES)('admission to %s by an acceptor', (_, lane) => {
    it('who knows one of our secrets, among others that we do not, is answered by that one', async () => {
      const { node, peer, harness } = await dialled(lane)
      const others = ['x', 'y', 'z'].map((name) => secretOf(name))
      const signed = await ack(peer, (met, body) =>
        ackTail([
          ...others.map((secret) => proofOf('acceptor', secret, met.helloBody, body)),
          right(met, body),
        ]),
      )
      const ready = await peer.frame(FrameKind.ready)
      expect([...ready.body]).toEqual([...proofOf('dialler', SECRET, peer.helloBody, signed)])
      await harness.waitFor(() => isIn(node, peer), 'the link or lane')
    })

    it('is given a new nonce each time', async () => {
      const { node, listener, peer, hello, harness } = await dialled(lane)
      expect(hello[37]).toBe(1)
      expect(hello.length).toBe(stringsEnd(hello) + NONCE_BYTES)
      peer.stream.end()
      if (lane !== Lane.control) node.transport.openLane(peer.uid, 'ordinary', 6)
      const next = await FakePeer.meet(harness, listener, listener.streams.length, { lane })
      const again = (await next.frame(FrameKind.hello)).body
      const [first, second] = [hello, again].map((body) => Buffer.from(body.slice(-NONCE_BYTES)))
      expect(first!.equals(second!)).toBe(false)
    })

    it.each(WRONG_ACKS)('whose ack has %s is left (%s)', async (_name, reason, tail) => {
      const { node, peer, harness } = await dialled(lane)
      await ack(peer, tail)
      await expectFailed(node, lane, reason)
      await harness.waitFor(() => peer.stream.ended || peer.stream.closed, 'the connection to be closed')
      expect(peer.count(FrameKind.ready)).toBe(0)
    })

    it('whose ack has no nonce is left', async () => {
      const { node, peer } = await dialled(lane)
      const { dial } = await peer.hello()
      const { secret: _secret, ...identity } = peer.identity
      peer.send(encodeFrame(FrameKind.helloAck, fakeHelloBody({ ...identity, uid: peer.uid, dial })))
      await expectFailed(node, lane, 'unauthenticated')
    })

    it('who repeats an ack from another handshake is left', async () => {
      const first = await dialled(lane)
      const signed = await ack(first.peer, (peer, body) => ackTail([right(peer, body)]))
      await context.harness.waitFor(() => isIn(first.node, first.peer), 'the original')
      const recorded = concat([signed, ackTail([right(first.peer, signed)])])
      const { node, peer } = await dialled(lane, first.peer.uid)
      await peer.hello()
      peer.send(encodeFrame(FrameKind.helloAck, recorded))
      await expectFailed(node, lane, 'unauthenticated')
    })

    it('who is another incarnation, and proves nothing, says nothing of the one expected', async () => {
      const { node, peer } = await dialled(lane)
      const impostor = new FakePeer(peer.harness, peer.stream, { lane, uid: freshUid(), secret: WRONG })
      const { dial } = await impostor.hello()
      impostor.sendAck(dial)
      await expectFailed(node, lane, 'unauthenticated')
    })
  })
}
