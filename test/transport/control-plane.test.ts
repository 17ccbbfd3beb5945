import { describe, expect, it } from 'vitest'
import { phiAkkaInverse } from '../../src/detectors/phi-akka.js'
import { MESSAGE_BYTES_MAX } from '../../src/transport/control/control-plane.js'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import { encodeHeartbeat, encodeWatch, FrameKind } from '../../src/wire/frame.js'
import { OWN_UID, PEER_ADDRESS, PEER_UID, PlaneRig } from './plane-rig.js'

const beat = (sequence: number, loopAgeMs = 0, echoWanted = false) =>
  encodeHeartbeat({ sentUs: 1, loopAgeMs, intervalMs: 1000 }, sequence, echoWanted)

function watchedLink(): { rig: PlaneRig; connection: number } {
  const rig = new PlaneRig()
  rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
  return { rig, connection: rig.answerDial() }
}

describe('a pause of our own', () => {
  it('fires no deadline before what waited has been read, and charges no peer', () => {
    const { rig, connection } = watchedLink()
    for (let sequence = 1; sequence <= 10; sequence += 1) {
      rig.data(connection, beat(sequence))
      rig.pass(1000)
    }
    rig.nowMs += 60_000
    rig.input({ type: 'deadline' })
    expect(rig.eventsOf('paused')).toEqual([{ type: 'paused', gapMs: 60_000 }])
    expect(rig.eventsOf('suspicion')).toEqual([])
    // At once again: the adapter has read the sockets in between.
    expect(rig.plane.nextDeadline()).toBe(rig.nowMs)
    rig.data(connection, beat(11))
    rig.input({ type: 'deadline' })
    rig.pass(900)
    expect(rig.eventsOf('suspicion')).toEqual([])
    const status = rig.plane.peers(rig.nowMs)[0]!
    expect(status.silentMs).toBe(900)
    expect(rig.plane.counters()['selfPausedMs']).toBe(59_900)
  })

  it('is subtracted also when no beat waited: the peer has its whole silence ahead', () => {
    const { rig, connection } = watchedLink()
    rig.data(connection, beat(1))
    rig.nowMs += 60_000
    rig.input({ type: 'deadline' })
    rig.input({ type: 'deadline' })
    expect(rig.eventsOf('suspicion')).toEqual([])
    rig.pass(3000)
    expect(rig.eventsOf('suspicion')).toEqual([])
    rig.pass(3000)
    expect(rig.eventsOf('suspicion')).toHaveLength(1)
  })

  it('is noticed by any input, and holds the deadlines until the next one that asks', () => {
    const { rig, connection } = watchedLink()
    rig.data(connection, beat(1))
    rig.nowMs += 10_000
    rig.data(connection, beat(2))
    expect(rig.eventsOf('paused')).toHaveLength(1)
    expect(rig.plane.nextDeadline()).toBe(rig.nowMs)
    rig.input({ type: 'deadline' })
    expect(rig.plane.nextDeadline()).toBeGreaterThan(rig.nowMs)
    expect(rig.eventsOf('suspicion')).toEqual([])
  })

  it('of half a second is none', () => {
    const rig = new PlaneRig()
    rig.nowMs += TRANSPORT_LIMITS.selfPauseMs
    rig.input({ type: 'deadline' })
    expect(rig.eventsOf('paused')).toEqual([])
  })

  it('never comes from an idle engine whose deadlines are kept', () => {
    const rig = new PlaneRig()
    rig.pass(60_000)
    expect(rig.eventsOf('paused')).toEqual([])
  })
})

describe('the outbox', () => {
  it('takes messages to the byte, and says outboxFull beyond', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptLink()
    const ack = rig.effects.reduce(
      (sum, effect) => sum + (effect.type === 'write' ? effect.bytes.length : 0),
      0,
    )
    rig.input({ type: 'written', connection, bytes: ack })
    const frameBytes = 4 * 1024 * 1024
    for (let index = 0; index < 3; index += 1) {
      expect(rig.plane.send(PEER_UID, new Uint8Array(frameBytes - 20))).toBe('sent')
    }
    const left = TRANSPORT_LIMITS.controlOutboxBytesMax - 3 * frameBytes
    expect(rig.plane.send(PEER_UID, new Uint8Array(MESSAGE_BYTES_MAX))).toBe('outboxFull')
    expect(rig.plane.send(PEER_UID, new Uint8Array(left - 20))).toBe('sent')
    expect(rig.plane.send(PEER_UID, new Uint8Array(0))).toBe('outboxFull')
    rig.input({ type: 'written', connection, bytes: 19 })
    expect(rig.plane.send(PEER_UID, new Uint8Array(0))).toBe('outboxFull')
    rig.input({ type: 'written', connection, bytes: 1 })
    expect(rig.plane.send(PEER_UID, new Uint8Array(0))).toBe('sent')
    expect(rig.plane.peers(rig.nowMs)[0]!.outboxBytes).toBe(TRANSPORT_LIMITS.controlOutboxBytesMax)
  })

  it('holds at most one beat and one echo', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptLink()
    rig.data(connection, encodeWatch(1000))
    rig.pass(5000)
    expect(rig.kindsTo(connection).filter((kind) => kind === 'heartbeat')).toHaveLength(1)
    expect(rig.plane.counters()['beatsSkipped']).toBe(5)
    for (let sequence = 1; sequence <= 5; sequence += 1) rig.data(connection, beat(sequence, 0, true))
    expect(rig.kindsTo(connection).filter((kind) => kind === 'echo')).toHaveLength(1)
    rig.input({ type: 'written', connection, bytes: 1 << 20 })
    expect(rig.plane.peers(rig.nowMs)[0]!.outboxBytes).toBe(0)
    rig.data(connection, beat(6, 0, true))
    expect(rig.kindsTo(connection).filter((kind) => kind === 'echo')).toHaveLength(2)
  })

  it('beats keep their rhythm when the engine is called late', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptLink()
    rig.data(connection, encodeWatch(100))
    const startMs = rig.nowMs
    rig.pass(0)
    rig.input({ type: 'written', connection, bytes: 1 << 20 })
    for (const lateMs of [130, 60, 110]) {
      rig.nowMs += lateMs
      rig.input({ type: 'deadline' })
      rig.input({ type: 'written', connection, bytes: 1 << 20 })
    }
    const sentMs = rig
      .framesTo(connection)
      .filter((frame) => frame.kind === FrameKind.heartbeat)
      .map(
        (frame) =>
          Number(new DataView(frame.body.buffer, frame.body.byteOffset).getBigUint64(0, true)) / 1000,
      )
    expect(sentMs.map((atMs) => atMs - startMs)).toEqual([0, 130, 300])
    expect(rig.plane.nextDeadline()).toBe(startMs + 400)
  })
})

describe('suspicion', () => {
  it('does not learn the interval that ended one, nor the first of a session', () => {
    const { rig, connection } = watchedLink()
    rig.pass(300)
    rig.data(connection, beat(1))
    rig.pass(1000)
    rig.data(connection, beat(2))
    rig.pass(20_000)
    expect(rig.eventsOf('suspicion')).toHaveLength(1)
    rig.data(connection, beat(3))
    const trustedMs = rig.nowMs
    rig.pass(20_000)
    const silences = rig.eventsOf('suspicion').filter((event) => event.suspected)
    expect(silences).toHaveLength(2)
    // One sample of 1000 ms was learnt beside the two of the bootstrap: mean 1000, deviation 204.
    const expectedMs = 1000 + 2000 + phiAkkaInverse(8) * Math.sqrt((250 ** 2 + 250 ** 2 + 0) / 3)
    for (const silence of silences) expect(silence.silentMs).toBeCloseTo(expectedMs, 6)
    expect(rig.eventsOf('suspicion')[1]!.silentMs).toBe(20_000)
    expect(rig.nowMs - trustedMs).toBe(20_000)
  })

  it('is not ended by a beat on a socket that was replaced', () => {
    const { rig, connection } = watchedLink()
    rig.pass(20_000)
    const young = rig.acceptLink(PEER_UID, 9)
    rig.data(connection, beat(1))
    expect(rig.eventsOf('suspicion').map((event) => event.suspected)).toEqual([true])
    rig.data(young, beat(1))
    expect(rig.eventsOf('suspicion').map((event) => event.suspected)).toEqual([true, false])
  })

  it('gone is confirmed by a second refusal after exactly the pause, and silence is reported after it', () => {
    const { rig, connection } = watchedLink()
    rig.data(connection, beat(1))
    rig.input({ type: 'closed', connection, how: 'reset' })
    expect(rig.eventsOf('linkDown')).toMatchObject([{ reason: 'resetByPeer' }])
    rig.pass(CONTROL_LINK_LIMITS.backoffFloorMs)
    rig.input({ type: 'failed', connection: rig.dials.at(-1)!.connection, reason: 'refused' })
    expect(rig.eventsOf('suspicion')).toEqual([])
    rig.pass(49)
    expect(rig.dials).toHaveLength(2)
    rig.pass(1)
    rig.input({ type: 'failed', connection: rig.dials.at(-1)!.connection, reason: 'refused' })
    expect(rig.eventsOf('suspicion').map((event) => event.cause)).toEqual(['gone'])
    for (let round = 0; round < 20; round += 1) {
      rig.pass(1000)
      rig.input({ type: 'failed', connection: rig.dials.at(-1)!.connection, reason: 'refused' })
    }
    expect(rig.eventsOf('suspicion').map((event) => event.cause)).toEqual(['gone', 'silence'])
  })

  it('a timeout between two refusals starts the count anew', () => {
    const { rig, connection } = watchedLink()
    rig.input({ type: 'closed', connection, how: 'reset' })
    for (const reason of ['refused', 'timeout', 'refused'] as const) {
      rig.pass(200)
      rig.input({ type: 'failed', connection: rig.dials.at(-1)!.connection, reason })
    }
    expect(rig.eventsOf('suspicion')).toEqual([])
  })

  it('by silence does not come before the acceptable pause when no link ever came up', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
    rig.pass(1999)
    expect(rig.plane.peers(rig.nowMs)).toMatchObject([{ phi: 0, linked: false, watched: true }])
    rig.pass(2900)
    expect(rig.eventsOf('suspicion')).toEqual([])
    rig.pass(3000)
    expect(rig.eventsOf('suspicion')).toMatchObject([{ cause: 'silence', suspected: true }])
  })
})

describe('quarantine', () => {
  it('remembers a bounded number, the oldest forgotten first', () => {
    const rig = new PlaneRig()
    const uidOf = (index: number) => (0x7000_0000_0000 + index).toString(16).padStart(16, '0')
    for (let index = 0; index <= TRANSPORT_LIMITS.quarantinedMax; index += 1) {
      rig.input({ type: 'quarantine', uid: uidOf(index), reason: 'operator' })
    }
    expect(rig.plane.counters()['quarantinedForgotten']).toBe(1)
    expect(rig.kindsTo(rig.acceptHello(uidOf(0)))).toEqual(['helloAck'])
    expect(rig.kindsTo(rig.acceptHello(uidOf(1)))).toEqual(['refusal'])
  })

  it('cannot be aimed at ourselves', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'quarantine', uid: OWN_UID, reason: 'operator' })
    rig.acceptLink()
    expect(rig.eventsOf('linkUp')).toHaveLength(1)
  })

  it('ends handshakes and dials of that incarnation as well', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS, uid: PEER_UID })
    const dial = rig.dials[0]!.connection
    rig.input({ type: 'opened', connection: dial })
    const inbound = rig.acceptHello()
    rig.input({ type: 'quarantine', uid: PEER_UID, reason: 'operator' })
    expect(rig.kindsTo(inbound)).toEqual(['helloAck', 'quarantined'])
    rig.answerDial()
    rig.pass(60_000)
    expect(rig.eventsOf('linkUp')).toEqual([])
    expect(rig.dials).toHaveLength(1)
  })
})

describe('memory', () => {
  it('of incarnations met is bounded; those linked or watched are kept', () => {
    const rig = new PlaneRig()
    rig.acceptLink(PEER_UID, 1)
    const uidOf = (index: number) => (0x7000_0000_0000 + index).toString(16).padStart(16, '0')
    for (let index = 0; index < CONTROL_LINK_LIMITS.pairsMax + 10; index += 1) {
      const connection = rig.acceptLink(uidOf(index), 3)
      rig.input({ type: 'closed', connection, how: 'reset' })
      rig.effects.length = 0
    }
    rig.acceptLink(uidOf(CONTROL_LINK_LIMITS.pairsMax + 9), 4)
    expect(rig.eventsOf('linkUp')[0]!.session).toBe(2)
    rig.acceptLink(uidOf(0), 4)
    expect(rig.eventsOf('linkUp')[1]!.session).toBe(1)
    expect(rig.plane.peers(rig.nowMs).some((peer) => peer.uid === PEER_UID)).toBe(true)
  })

  it('of connections is given back', () => {
    const rig = new PlaneRig()
    const connection = rig.acceptLink()
    rig.input({ type: 'ended', connection })
    rig.pass(TRANSPORT_LIMITS.drainTimeoutMs)
    expect(rig.plane.connectionCount).toBe(0)
    expect(rig.effects.at(-1)).toEqual({ type: 'destroy', connection })
  })
})
