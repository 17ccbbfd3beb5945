import { describe, expect, it } from 'vitest'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import {
  encodeFrame,
  encodeGoodbye,
  encodeQuarantined,
  encodeRefusal,
  FrameKind,
  GoodbyeReason,
  QuarantineReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { decodeHello, encodeHello } from '../../src/wire/hello.js'
import { OWN_UID, PEER_ADDRESS, PEER_UID, PlaneRig } from './plane-rig.js'

const OTHER_UID = '6100000000000000'
const ready = encodeFrame(FrameKind.ready)
const concat = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

/** A linked peer and a lane dial of ours to it, not yet connected. */
function dialling(dial = 7): { rig: PlaneRig; connection: number; link: number } {
  const rig = new PlaneRig()
  const link = rig.acceptLink()
  rig.input({ type: 'openLane', uid: PEER_UID, lane: 'ordinary', dial })
  return { rig, connection: rig.dials.at(-1)!.connection, link }
}

const ack = (rig: PlaneRig, dial = 7, uid = PEER_UID, lane: 'ordinary' | 'large' = 'ordinary') =>
  encodeHello(FrameKind.helloAck, { ...rig.hello(uid, dial), lane })

const failures = (rig: PlaneRig) => rig.eventsOf('laneFailed').map((event) => event.reason)

describe('a lane that is dialled', () => {
  it('goes to the advertised address of the link, and says lane and number', () => {
    const { rig, connection } = dialling()
    expect(rig.dials).toEqual([{ type: 'dial', connection, address: PEER_ADDRESS }])
    rig.input({ type: 'opened', connection })
    const [hello] = rig.framesTo(connection)
    expect(decodeHello(hello!.body)).toMatchObject({ lane: 'ordinary', dial: 7, dialed: PEER_ADDRESS })
  })

  it('is handed over behind its ready, with what came with the ack, and is forgotten', () => {
    const { rig, connection } = dialling()
    rig.input({ type: 'opened', connection })
    const tail = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1)
    rig.data(connection, ack(rig), tail)
    expect(rig.kindsTo(connection)).toEqual(['hello', 'ready'])
    const peer = rig.eventsOf('linkUp')[0]!.peer
    const handOver = { type: 'handOver', connection, peer, lane: 'ordinary', dial: 7, dialler: OWN_UID }
    expect(rig.effects.at(-1)).toEqual({ ...handOver, unread: tail })
    const before = rig.effects.length
    rig.data(connection, ack(rig))
    rig.input({ type: 'closed', connection, how: 'reset' })
    rig.pass(5000)
    expect(rig.effects.slice(before)).toEqual([])
    expect(rig.plane.connectionCount).toBe(1)
    expect(rig.plane.counters()).toMatchObject({ lanesOpened: 1, laneDialsFailed: 0, dials: 0 })
  })

  it('touches neither the link nor its dial numbers', () => {
    const { rig, connection } = dialling(0xffff_ffff)
    rig.input({ type: 'opened', connection })
    rig.data(connection, ack(rig, 0xffff_ffff))
    rig.acceptLink(PEER_UID, 2)
    expect(rig.eventsOf('linkUp').map((event) => event.session)).toEqual([1, 2])
  })

  it.each([
    ['without a link', OTHER_UID, 1, 'noLink'],
    ['to ourselves', OWN_UID, 1, 'noLink'],
    ['with number 0', PEER_UID, 0, 'handshake'],
    ['with a number beyond 32 bits', PEER_UID, 2 ** 32, 'handshake'],
    ['with no number', PEER_UID, Number.NaN, 'handshake'],
  ] as const)('%s fails at once, and nothing is dialled', (_, uid, dial, reason) => {
    const rig = new PlaneRig()
    rig.acceptLink()
    rig.input({ type: 'openLane', uid, lane: 'large', dial })
    expect(rig.eventsOf('laneFailed')).toEqual([{ type: 'laneFailed', uid, lane: 'large', dial, reason }])
    expect(rig.dials).toEqual([])
    expect(rig.plane.counters()['laneDialsFailed']).toBe(1)
  })

  it.each(['refused', 'timeout', 'unreachable'] as const)(
    'that is %s fails with that reason, once, and no more than that',
    (reason) => {
      const { rig, connection } = dialling()
      rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
      const before = rig.effects.length
      rig.input({ type: 'failed', connection, reason })
      expect(rig.effects.slice(before).map((effect) => effect.type === 'event' && effect.event)).toEqual([
        { type: 'laneFailed', uid: PEER_UID, lane: 'ordinary', dial: 7, reason },
      ])
      rig.pass(1500)
      expect(failures(rig)).toEqual([reason])
      expect(rig.dials).toHaveLength(1)
      expect(rig.plane.counters()['dialsFailed']).toBe(0)
    },
  )

  it('times connect and handshake together', () => {
    for (const opened of [false, true]) {
      const { rig, connection } = dialling()
      rig.pass(600)
      if (opened) rig.input({ type: 'opened', connection })
      rig.pass(399)
      expect(failures(rig)).toEqual([])
      rig.pass(1)
      expect(failures(rig)).toEqual(['timeout'])
      expect(rig.effects).toContainEqual(
        opened ? { type: 'destroy', connection, reset: true } : { type: 'destroy', connection },
      )
    }
  })

  it.each([
    ['another incarnation', (rig: PlaneRig) => ack(rig, 7, OTHER_UID)],
    [
      'a refusal',
      () => {
        const reason = RefusalReason.quarantined
        return encodeRefusal({ uid: PEER_UID, reason, versionMin: 1, versionMax: 1, detail: 1, dial: 0 })
      },
    ],
  ])('answered by %s fails, and nothing is concluded', (_, answer) => {
    const { rig, connection } = dialling()
    rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
    rig.input({ type: 'opened', connection })
    rig.data(connection, answer(rig))
    expect(failures(rig)).toEqual(['handshake'])
    expect(rig.kindsTo(connection)).toEqual(['hello'])
    expect(rig.events.map((event) => event.type)).toEqual(['linkUp', 'laneFailed'])
  })

  it.each([
    ['an ack of another dial', (rig: PlaneRig) => ack(rig, 8), 'badHello'],
    ['an ack of another lane', (rig: PlaneRig) => ack(rig, 7, PEER_UID, 'large'), 'badHello'],
    [
      'an ack of a link',
      (rig: PlaneRig) => encodeHello(FrameKind.helloAck, rig.hello(PEER_UID, 7)),
      'badHello',
    ],
    ['a ready', () => ready, 'unexpectedFrame'],
    ['garbage', () => new Uint8Array(64).fill(0xa7), 'frameTooLarge'],
  ] as const)('answered by %s is bad input', (_, answer, reason) => {
    const { rig, connection } = dialling()
    rig.input({ type: 'opened', connection })
    rig.data(connection, answer(rig))
    expect(failures(rig)).toEqual(['handshake'])
    expect(rig.eventsOf('badInput').map((event) => event.reason)).toEqual([reason])
    expect(rig.effects).toContainEqual({ type: 'closeGracefully', connection })
  })

  it('may outlive its link', () => {
    const { rig, connection, link } = dialling()
    rig.input({ type: 'opened', connection })
    rig.input({ type: 'closed', connection: link, how: 'reset' })
    rig.data(connection, ack(rig))
    expect(rig.handOvers).toHaveLength(1)
  })

  it('is one of a bounded number at once', () => {
    const rig = new PlaneRig()
    rig.acceptLink()
    for (let dial = 1; dial <= CONTROL_LINK_LIMITS.laneDialsMax; dial += 1) {
      rig.input({ type: 'openLane', uid: PEER_UID, lane: 'ordinary', dial })
    }
    expect(failures(rig)).toEqual([])
    rig.input({ type: 'openLane', uid: PEER_UID, lane: 'ordinary', dial: 1 })
    expect(failures(rig)).toEqual(['unreachable'])
    // Each way in which a dial ends makes room for one.
    const [first, second] = rig.dials
    rig.input({ type: 'failed', connection: first!.connection, reason: 'refused' })
    rig.input({ type: 'opened', connection: second!.connection })
    rig.data(second!.connection, ack(rig, 2))
    const before = rig.dials.length
    for (let round = 0; round < 3; round += 1) {
      rig.input({ type: 'openLane', uid: PEER_UID, lane: 'ordinary', dial: 1 })
    }
    expect(rig.dials).toHaveLength(before + 2)
    expect(failures(rig)).toEqual(['unreachable', 'refused', 'unreachable'])
  })
})

describe('a lane that comes in', () => {
  it('needs no link, is handed over with what follows ready, and gives its place back', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptHello(PEER_UID, 9, { lane: 'large' })
    expect(decodeHello(rig.framesTo(connection)[0]!.body)).toMatchObject({ lane: 'large', dial: 9 })
    expect(rig.handOvers).toEqual([])
    rig.data(connection, concat(ready, ready))
    expect(rig.handOvers).toMatchObject([{ connection, lane: 'large', dial: 9, dialler: PEER_UID }])
    expect(rig.handOvers[0]!.unread).toEqual(ready)
    expect(rig.events).toEqual([])
    expect(rig.plane.connectionCount).toBe(0)
    expect(rig.plane.counters()).toMatchObject({ lanesOpened: 1, handshakesCompleted: 0 })
  })

  it('counts against the handshakes that may wait, until it is open', () => {
    const rig = new PlaneRig()
    const lanes = Array.from({ length: TRANSPORT_LIMITS.pendingHandshakesMax }, (_, index) =>
      rig.acceptHello(PEER_UID, index + 1, { lane: 'ordinary' }),
    )
    rig.acceptHello(PEER_UID, 1, { lane: 'ordinary' })
    expect(rig.eventsOf('badInput').map((event) => event.reason)).toEqual(['tooManyConnections'])
    rig.data(lanes[0]!, ready)
    rig.acceptHello(PEER_UID, 1, { lane: 'ordinary' })
    expect(rig.eventsOf('badInput')).toHaveLength(1)
  })

  it('is timed until its ready', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptHello(PEER_UID, 1, { lane: 'ordinary' })
    rig.pass(TRANSPORT_LIMITS.handshakeTimeoutMs)
    expect(rig.eventsOf('badInput').map((event) => event.reason)).toEqual(['handshakeTimeout'])
    expect(rig.effects).toContainEqual({ type: 'closeGracefully', connection })
  })

  it('does not keep a link that its peer has replaced', () => {
    const rig = new PlaneRig()
    const link = rig.acceptLink()
    rig.acceptHello(PEER_UID, 2, { lane: 'ordinary' })
    rig.data(link, encodeGoodbye(GoodbyeReason.superseded))
    rig.input({ type: 'ended', connection: link })
    expect(rig.eventsOf('linkDown').map((event) => event.reason)).toEqual(['superseded'])
  })

  it('cannot say that we are quarantined: only a link can', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptHello(PEER_UID, 1, { lane: 'ordinary' })
    rig.data(connection, encodeQuarantined(OWN_UID, QuarantineReason.operator))
    expect(rig.events.map((event) => event.type)).toEqual(['badInput'])
  })

  it('when it is given up, is read no further', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptHello(PEER_UID, 1, { lane: 'ordinary' })
    const data = encodeFrame(FrameKind.message, new Uint8Array(5))
    rig.data(connection, encodeGoodbye(GoodbyeReason.shutdown), data)
    rig.data(connection, data)
    expect(rig.events).toEqual([])
    expect(rig.plane.counters()).toMatchObject({ framesIn: 2, messagesDropped: 0 })
  })
})

describe('lanes and the end', () => {
  it('quarantine ends their handshakes, on either side, without a frame', () => {
    for (const opened of [false, true]) {
      const { rig, connection, link } = dialling()
      if (opened) rig.input({ type: 'opened', connection })
      const inbound = rig.acceptHello(PEER_UID, 1, { lane: 'large' })
      const stranger = rig.acceptHello(OTHER_UID, 1, { lane: 'large' })
      rig.input({ type: 'quarantine', uid: PEER_UID, reason: 'operator' })
      expect(failures(rig)).toEqual(['handshake'])
      expect(rig.effects).toContainEqual({ type: opened ? 'closeGracefully' : 'destroy', connection })
      expect(rig.kindsTo(inbound)).toEqual(['helloAck'])
      expect(rig.effects).toContainEqual({ type: 'closeGracefully', connection: inbound })
      expect(rig.kindsTo(link).at(-1)).toBe('quarantined')
      rig.data(inbound, ready)
      rig.data(stranger, ready)
      expect(rig.handOvers.map((effect) => effect.connection)).toEqual([stranger])
    }
  })

  it('an ack of an incarnation that is quarantined opens nothing', () => {
    const rig = new PlaneRig()
    rig.acceptLink(OTHER_UID)
    rig.input({ type: 'quarantine', uid: PEER_UID, reason: 'operator' })
    rig.input({ type: 'openLane', uid: OTHER_UID, lane: 'ordinary', dial: 7 })
    const { connection } = rig.dials[0]!
    rig.input({ type: 'opened', connection })
    rig.data(connection, ack(rig, 7, PEER_UID))
    expect(rig.kindsTo(connection)).toEqual(['hello'])
    expect(rig.eventsOf('badInput').map((event) => event.reason)).toEqual(['quarantined'])
    expect(failures(rig)).toEqual(['handshake'])
  })

  it('shutdown closes what is pending without a word, and opens nothing more', () => {
    const { rig, connection } = dialling()
    rig.input({ type: 'openLane', uid: PEER_UID, lane: 'large', dial: 8 })
    const second = rig.dials.at(-1)!.connection
    rig.input({ type: 'opened', connection: second })
    const inbound = rig.acceptHello(PEER_UID, 1, { lane: 'large' })
    const before = rig.events.length
    rig.input({ type: 'shutdown' })
    expect(rig.effects).toContainEqual({ type: 'destroy', connection })
    for (const each of [second, inbound]) {
      expect(rig.effects).toContainEqual({ type: 'closeGracefully', connection: each })
    }
    expect([rig.kindsTo(second), rig.kindsTo(inbound)]).toEqual([['hello'], ['helloAck']])
    rig.data(second, ack(rig, 8))
    rig.data(inbound, ready)
    rig.input({ type: 'openLane', uid: PEER_UID, lane: 'large', dial: 9 })
    rig.pass(TRANSPORT_LIMITS.drainTimeoutMs)
    expect(rig.handOvers).toEqual([])
    expect(rig.plane.counters()['laneDialsFailed']).toBe(0)
    expect(rig.events).toHaveLength(before)
    expect(rig.plane.connectionCount).toBe(0)
  })
})
