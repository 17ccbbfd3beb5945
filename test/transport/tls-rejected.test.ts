import { describe, expect, it } from 'vitest'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import { decodeRefusal, encodeFrame, FrameKind, RefusalReason } from '../../src/wire/frame.js'
import { OWN_UID, PEER_ADDRESS, PEER_UID, PlaneRig } from './plane-rig.js'

function accepted(rig: PlaneRig) {
  const connection = rig.plane.newConnectionId()
  rig.input({ type: 'accepted', connection, remote: '10.0.0.2:40000' })
  return connection
}

describe('a connection rejected below the engine', () => {
  it('without authority is refused, counted, and not read', () => {
    const rig = new PlaneRig()
    const connection = accepted(rig)
    rig.input({ type: 'rejected', connection, reason: 'unauthenticated' })
    const [refusal] = rig.framesTo(connection)
    expect(decodeRefusal(refusal!.body)).toMatchObject({
      uid: OWN_UID,
      reason: RefusalReason.unauthenticated,
    })
    expect(rig.eventsOf('badInput')).toEqual([
      { type: 'badInput', remote: '10.0.0.2:40000', reason: 'unauthenticated' },
    ])
    expect(rig.plane.counters()).toMatchObject({ 'badInput.unauthenticated': 1, refusedOut: 1 })
    expect(rig.effects.at(-1)).toEqual({ type: 'closeGracefully', connection })
    // Not even frames without a hello count as anything.
    rig.data(connection, encodeFrame(FrameKind.ready), new Uint8Array(100).fill(0xff))
    rig.input({ type: 'rejected', connection, reason: 'badMagic' })
    expect(rig.eventsOf('badInput')).toHaveLength(1)
    expect(rig.plane.counters()).toMatchObject({ framesIn: 0, 'badInput.badMagic': 0 })
    rig.input({ type: 'closed', connection, how: 'closed' })
    expect(rig.plane.connectionCount).toBe(0)
  })

  it('by a stranger to the protocol is told nothing', () => {
    const rig = new PlaneRig()
    const connection = accepted(rig)
    rig.input({ type: 'rejected', connection, reason: 'badMagic' })
    expect(rig.framesTo(connection)).toEqual([])
    expect(rig.eventsOf('badInput')).toMatchObject([{ reason: 'badMagic' }])
  })

  it('counts as a pending handshake until it is closed', () => {
    const rig = new PlaneRig()
    const pending = Array.from({ length: TRANSPORT_LIMITS.pendingHandshakesMax }, () => accepted(rig))
    rig.input({ type: 'rejected', connection: pending[0]!, reason: 'badMagic' })
    accepted(rig)
    expect(rig.eventsOf('badInput').map((event) => event.reason)).toEqual(['badMagic', 'tooManyConnections'])
    rig.input({ type: 'closed', connection: pending[0]!, how: 'error' })
    accepted(rig)
    expect(rig.eventsOf('badInput')).toHaveLength(2)
  })

  it('that we dialled is a failed handshake, and dialled again after the back-off', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    const { connection } = rig.dials[0]!
    rig.input({ type: 'rejected', connection, reason: 'unauthenticated' })
    rig.input({ type: 'closed', connection, how: 'error' })
    expect(rig.eventsOf('badInput')).toMatchObject([{ remote: '10.0.0.2:7000', reason: 'unauthenticated' }])
    expect(rig.eventsOf('gated')).toMatchObject([{ reason: 'handshake', attempts: 1 }])
    expect(rig.framesTo(connection)).toEqual([])
    expect(rig.plane.connectionCount).toBe(0)
    rig.pass(1000)
    expect(rig.dials).toHaveLength(2)
  })

  it('that we dialled for a lane fails the lane, and nothing else', () => {
    const rig = new PlaneRig()
    rig.acceptLink()
    rig.input({ type: 'openLane', uid: PEER_UID, lane: 'large', dial: 3 })
    const { connection } = rig.dials[0]!
    rig.input({ type: 'rejected', connection, reason: 'unauthenticated' })
    rig.input({ type: 'closed', connection, how: 'error' })
    expect(rig.eventsOf('laneFailed')).toEqual([
      { type: 'laneFailed', uid: PEER_UID, lane: 'large', dial: 3, reason: 'handshake' },
    ])
    expect([...rig.eventsOf('gated'), ...rig.eventsOf('linkDown')]).toEqual([])
  })

  it('given up below the engine without a fault fails by handshake and is not counted', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    rig.input({ type: 'failed', connection: rig.dials[0]!.connection, reason: 'handshake' })
    expect(rig.eventsOf('gated')).toMatchObject([{ reason: 'handshake', attempts: 1 }])
    expect(rig.eventsOf('badInput')).toEqual([])
    expect(rig.plane.connectionCount).toBe(0)
  })
})
