import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Admission } from '../../src/transport/control/auth.js'
import type { ConnectionId } from '../../src/transport/control/io.js'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import {
  decodeRefusal,
  encodeFrame,
  encodeQuarantined,
  FrameKind,
  QuarantineReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { appendProofs, decodeAckProofs, encodeHelloBody, type Hello } from '../../src/wire/hello.js'
import { countingAuth, OWN_UID, PEER_ADDRESS, PEER_UID, PlaneRig, type RigOptions } from './plane-rig.js'

const secret = (name: string) => new TextEncoder().encode(name.repeat(16))
const NONCE = new Uint8Array(TRANSPORT_LIMITS.nonceBytes).fill(0x70)
const LANES = [undefined, 'ordinary'] as const

/** As the page words it, by another implementation than the engine's. */
function proofOf(role: 'acceptor' | 'dialler', name: string, hello: Uint8Array, ack: Uint8Array): Uint8Array {
  const helloBytes = Buffer.alloc(4)
  helloBytes.writeUInt32LE(hello.length)
  const hmac = createHmac('sha256', secret(name)).update(`skein ${role}\0`).update(helloBytes)
  return new Uint8Array(hmac.update(hello).update(ack).digest())
}

function rigWith(names: string, more: RigOptions = {}): PlaneRig {
  return new PlaneRig({ ...more, ...(names === '' ? {} : { secrets: [...names].map(secret) }) })
}

const badInputs = (rig: PlaneRig) => rig.eventsOf('badInput').map((event) => event.reason)
const withLane = (lane: 'ordinary' | undefined) => (lane === undefined ? {} : { lane })

/** A hello that came in, and the transcript of its answer. */
function inbound(rig: PlaneRig, lane?: 'ordinary', nonce: Uint8Array = NONCE) {
  const hello = encodeHelloBody({ ...rig.hello(PEER_UID, 1), ...withLane(lane), nonce })
  const connection = rig.plane.newConnectionId()
  rig.input({ type: 'accepted', connection, remote: '10.0.0.2:40000' })
  rig.data(connection, encodeFrame(FrameKind.hello, hello))
  const { body } = rig.framesTo(connection)[0]!
  return { connection, hello, ack: body.slice(0, decodeAckProofs(body)?.coveredBytes), body }
}

/** Our hello, on a control link's dial or a lane's. */
function outbound(rig: PlaneRig, lane?: 'ordinary'): { connection: ConnectionId; hello: Uint8Array } {
  if (lane === undefined) rig.input({ type: 'connect', address: PEER_ADDRESS, uid: PEER_UID })
  else rig.input({ type: 'openLane', uid: PEER_UID, lane, dial: 1 })
  const { connection } = rig.dials.at(-1)!
  rig.input({ type: 'opened', connection })
  return { connection, hello: rig.framesTo(connection)[0]!.body }
}

function ackBody(rig: PlaneRig, connection: ConnectionId, more: Partial<Hello> = {}): Uint8Array {
  return encodeHelloBody({ ...rig.hello(PEER_UID, rig.dialNumber(connection)), nonce: NONCE, ...more })
}

/** A link that came in, so that a lane may be dialled. */
function linkWith(rig: PlaneRig, name: string): void {
  const { connection, hello, ack } = inbound(rig)
  rig.data(connection, encodeFrame(FrameKind.ready, proofOf('dialler', name, hello, ack)))
}

describe('an acceptor with secrets', () => {
  it.each(LANES)('shows each of them, and takes any of them (%s)', (lane) => {
    for (const name of 'abcd') {
      const rig = rigWith('abcd')
      const { connection, hello, ack, body } = inbound(rig, lane)
      const proofs = [...'abcd'].map((each) => proofOf('acceptor', each, hello, ack))
      expect(decodeAckProofs(body)!.proofs).toEqual(proofs)
      rig.data(connection, encodeFrame(FrameKind.ready, proofOf('dialler', name, hello, ack)))
      expect([rig.eventsOf('linkUp').length, rig.handOvers.length]).toEqual(
        lane === undefined ? [1, 0] : [0, 1],
      )
      expect(badInputs(rig)).toEqual([])
    }
  })

  it('takes a proof with something of a later version behind it', () => {
    const rig = rigWith('a')
    const { connection, hello, ack } = inbound(rig)
    const proof = proofOf('dialler', 'a', hello, ack)
    rig.data(connection, encodeFrame(FrameKind.ready, Uint8Array.of(...proof, 1, 2, 3)))
    expect(rig.eventsOf('linkUp')).toHaveLength(1)
  })

  type Said = ReturnType<typeof inbound>
  const WRONG: [string, (said: Said) => Uint8Array][] = [
    ['none', () => new Uint8Array(0)],
    ['one cut short', ({ hello, ack }) => proofOf('dialler', 'a', hello, ack).slice(1)],
    ['by another secret', ({ hello, ack }) => proofOf('dialler', 'b', hello, ack)],
    ['its own, sent back', ({ body }) => decodeAckProofs(body)!.proofs[0]!],
    ['over the whole ack', ({ hello, body }) => proofOf('dialler', 'a', hello, body)],
    ['without the hello', ({ ack }) => proofOf('dialler', 'a', new Uint8Array(0), ack)],
  ]

  it.each(LANES.flatMap((lane) => WRONG.map(([what, make]) => [what, lane, make] as const)))(
    'refuses a ready with a proof that is wrong: %s (%s)',
    (_, lane, make) => {
      const rig = rigWith('a')
      const said = inbound(rig, lane)
      rig.data(said.connection, encodeFrame(FrameKind.ready, make(said)))
      const refusal = decodeRefusal(rig.framesTo(said.connection)[1]!.body)
      expect(refusal).toMatchObject({ uid: OWN_UID, reason: RefusalReason.unauthenticated })
      expect(rig.effects.at(-1)).toEqual({ type: 'closeGracefully', connection: said.connection })
      expect(rig.events.map((event) => event.type)).toEqual(['badInput'])
      expect(badInputs(rig)).toEqual(['unauthenticated'])
      expect(rig.plane.counters()['badInput.unauthenticated']).toBe(1)
      expect(rig.handOvers).toEqual([])
    },
  )

  it('takes a proof once only, and only on its lane', () => {
    const rig = rigWith('a')
    const first = inbound(rig)
    const proof = encodeFrame(FrameKind.ready, proofOf('dialler', 'a', first.hello, first.ack))
    rig.data(first.connection, proof)
    expect(rig.eventsOf('linkUp')).toHaveLength(1)
    rig.input({ type: 'closed', connection: first.connection, how: 'closed' })
    for (const lane of LANES) rig.data(inbound(rig, lane).connection, proof)
    expect(badInputs(rig)).toEqual(['unauthenticated', 'unauthenticated'])
  })

  it('refuses a hello without a nonce, before it says anything else of who is known', () => {
    const rig = rigWith('a')
    rig.input({ type: 'quarantine', uid: PEER_UID, reason: 'operator' })
    for (const [more, reason] of [
      [{}, 'unauthenticated'],
      [{ nonce: NONCE }, 'quarantined'],
      [{ uid: OWN_UID }, 'sameUid'],
      [{ cluster: 'another' }, 'clusterMismatch'],
      [{ versionMin: 9, versionMax: 9 }, 'versionUnsupported'],
    ] as const) {
      const refused = rig.acceptHello(PEER_UID, 1, more)
      const { body } = rig.framesTo(refused)[0]!
      expect(decodeRefusal(body)!.reason).toBe(RefusalReason[reason])
      expect(badInputs(rig).at(-1)).toBe(reason)
    }
  })

  it('does not believe of who has proved nothing that we are quarantined', () => {
    const rig = rigWith('a')
    const { connection } = inbound(rig)
    rig.data(connection, encodeQuarantined(OWN_UID, QuarantineReason.operator))
    expect(badInputs(rig)).toEqual(['unexpectedFrame'])
    expect(rig.eventsOf('quarantinedBy')).toEqual([])
  })

  it('asks for a fresh proof on every connection', () => {
    const rig = rigWith('a')
    const nonceOf = ({ ack }: Said) => ack.slice(-TRANSPORT_LIMITS.nonceBytes)
    expect(nonceOf(inbound(rig))).not.toEqual(nonceOf(inbound(rig)))
  })
})

describe('an acceptor without secrets', () => {
  it('lets everybody in, and proves nothing', () => {
    const rig = rigWith('')
    const { connection, body } = inbound(rig)
    expect(body).toEqual(encodeHelloBody({ ...rig.hello(OWN_UID), ...ownNames(rig, connection) }))
    rig.data(connection, encodeFrame(FrameKind.ready, new Uint8Array(32)))
    expect(rig.eventsOf('linkUp')).toHaveLength(1)
  })

  /** What the ack of this rig says besides what a played hello does. */
  function ownNames(rig: PlaneRig, connection: ConnectionId): Partial<Hello> {
    const bind = { host: '10.0.0.1', port: 7000 }
    return { nodeId: 'self', bind, advertised: bind, dialed: bind, dial: rig.dialNumber(connection) }
  }
})

describe('a dialler with secrets', () => {
  it.each(LANES)('answers by the first of its own that the acceptor has shown (%s)', (lane) => {
    for (const [ours, theirs, common] of [
      ['ab', 'ba', 'a'],
      ['ab', 'cb', 'b'],
      ['a', 'dcba', 'a'],
    ] as const) {
      const rig = rigWith(ours)
      if (lane !== undefined) linkWith(rig, ours[0]!)
      const { connection, hello } = outbound(rig, lane)
      const ack = ackBody(rig, connection, withLane(lane))
      const proofs = [...theirs].map((name) => proofOf('acceptor', name, hello, ack))
      rig.data(connection, encodeFrame(FrameKind.helloAck, appendProofs(ack, proofs)))
      const ready = rig.framesTo(connection).find((frame) => frame.kind === FrameKind.ready)
      expect(ready!.body).toEqual(proofOf('dialler', common, hello, ack))
      expect(rig.handOvers).toHaveLength(lane === undefined ? 0 : 1)
      expect(rig.eventsOf('linkUp')).toHaveLength(1)
    }
  })

  type Answer = (ack: Uint8Array, hello: Uint8Array) => Uint8Array
  const proved: Answer = (ack, hello) => appendProofs(ack, [proofOf('acceptor', 'a', hello, ack)])
  const WRONG: [string, 'unauthenticated' | 'badHello', Partial<Hello> | 'plain', Answer][] = [
    ['no proof at all', 'unauthenticated', 'plain', (ack) => ack],
    [
      'another secret',
      'unauthenticated',
      {},
      (ack, hello) => appendProofs(ack, [proofOf('acceptor', 'b', hello, ack)]),
    ],
    [
      'a proof for a dialler',
      'unauthenticated',
      {},
      (ack, hello) => appendProofs(ack, [proofOf('dialler', 'a', hello, ack)]),
    ],
    [
      'a proof over another hello',
      'unauthenticated',
      {},
      (ack, hello) => appendProofs(ack, [proofOf('acceptor', 'a', hello.slice(1), ack)]),
    ],
    ['a number of 0', 'badHello', {}, (ack) => appendProofs(ack, [])],
    ['proofs cut short', 'badHello', {}, (ack, hello) => proved(ack, hello).slice(0, -1)],
    [
      'another incarnation, unproved',
      'unauthenticated',
      { uid: '6100000000000000' },
      (ack) => {
        return appendProofs(ack, [new Uint8Array(32)])
      },
    ],
  ]

  it.each(WRONG)('closes on an ack with %s', (_, reason, more, answer) => {
    const rig = rigWith('a')
    rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
    const { connection, hello } = outbound(rig)
    const ack =
      more === 'plain'
        ? encodeHelloBody(rig.hello(PEER_UID, rig.dialNumber(connection)))
        : ackBody(rig, connection, more)
    rig.data(connection, encodeFrame(FrameKind.helloAck, answer(ack, hello)))
    expect(badInputs(rig)).toEqual([reason])
    expect(rig.kindsTo(connection)).toEqual(['hello'])
    // Nothing is concluded from what is not proved: not who lives there, nor who does not.
    expect(rig.events.map((event) => event.type)).toEqual(['badInput', 'gated'])
    expect(rig.eventsOf('gated')[0]!.reason).toBe('handshake')
  })

  it('fails its lane on an ack without a proof', () => {
    const rig = rigWith('a')
    linkWith(rig, 'a')
    const { connection } = outbound(rig, 'ordinary')
    rig.data(connection, encodeFrame(FrameKind.helloAck, ackBody(rig, connection, { lane: 'ordinary' })))
    expect(badInputs(rig)).toEqual(['badHello'])
    expect(rig.eventsOf('laneFailed').map((event) => event.reason)).toEqual(['handshake'])
  })

  it('sees a proved identity as one', () => {
    const rig = rigWith('a')
    rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
    const { connection, hello } = outbound(rig)
    const ack = ackBody(rig, connection, { uid: '6100000000000000' })
    rig.data(connection, encodeFrame(FrameKind.helloAck, proved(ack, hello)))
    expect(rig.eventsOf('identityChanged')).toHaveLength(1)
  })
})

describe('authorize', () => {
  const named = (nodeId: string): RigOptions => ({ authorize: (_, hello) => hello.nodeId === nodeId })

  it('is asked for every hello and every ack, by connection', () => {
    const asked: [ConnectionId, string][] = []
    const rig = new PlaneRig({
      authorize: (connection, hello) => {
        asked.push([connection, hello.uid])
        return true
      },
    })
    const link = rig.acceptLink()
    const lane = rig.acceptHello(PEER_UID, 1, { lane: 'large' })
    rig.input({ type: 'connect', address: { host: 'elsewhere', port: 1 } })
    const dial = rig.answerDial('6100000000000000')
    expect(asked).toEqual([
      [link, PEER_UID],
      [lane, PEER_UID],
      [dial, '6100000000000000'],
    ])
  })

  it('is not asked when something else is amiss, and its no is unauthenticated', () => {
    const rig = new PlaneRig(named('somebody else'))
    rig.acceptHello(PEER_UID, 1, { cluster: 'another' })
    const refused = rig.acceptHello()
    expect(badInputs(rig)).toEqual(['clusterMismatch', 'unauthenticated'])
    expect(rig.kindsTo(refused)).toEqual(['refusal'])
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    rig.answerDial()
    expect(badInputs(rig).at(-1)).toBe('unauthenticated')
    expect(rig.eventsOf('linkUp')).toEqual([])
  })

  it('does not stand in for a proof', () => {
    const rig = rigWith('a', named(`peer-${PEER_UID}`))
    rig.acceptHello()
    expect(badInputs(rig)).toEqual(['unauthenticated'])
  })
})

describe('secrets of the engine', () => {
  it('are copies: the caller may wipe his', () => {
    for (const given of [secret('a'), Buffer.from(secret('a'))]) {
      const admission = new Admission(countingAuth(), [given])
      given.fill(0)
      const said = { hello: Uint8Array.of(1), ack: Uint8Array.of(2) }
      expect(admission.acceptorProofs(said)).toEqual([proofOf('acceptor', 'a', said.hello, said.ack)])
    }
  })

  it('prove where the hello ends', () => {
    const admission = new Admission(countingAuth(), [secret('a')])
    const proofs = (hello: readonly number[], ack: readonly number[]) =>
      admission.acceptorProofs({ hello: Uint8Array.from(hello), ack: Uint8Array.from(ack) })
    expect(proofs([1, 2], [3])).not.toEqual(proofs([1], [2, 3]))
    expect(proofs([1, 2], [3])).toEqual(proofs([1, 2], [3]))
  })
})
