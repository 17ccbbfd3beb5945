import { describe, expect, it } from 'vitest'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import {
  decodeRefusal,
  encodeFrame,
  encodeGoodbye,
  encodeRefusal,
  FrameKind,
  GoodbyeReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { PEER_ADDRESS, PEER_UID, PlaneRig } from './plane-rig.js'

const message = (value: number) => encodeFrame(FrameKind.message, Uint8Array.of(value))
const refusal = (reason: RefusalReason, dial = 0, uid = PEER_UID) =>
  encodeRefusal({ uid, reason, versionMin: 1, versionMax: 1, detail: 0, dial })

function watchedLink(): { rig: PlaneRig; connection: number } {
  const rig = new PlaneRig()
  rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
  return { rig, connection: rig.answerDial() }
}

describe('the change of sockets', () => {
  it('raises no linkDown when the old socket ends before its successor is ready', () => {
    const rig = new PlaneRig()
    const old = rig.acceptLink(PEER_UID, 1)
    const young = rig.acceptHello(PEER_UID, 2)
    rig.data(old, encodeGoodbye(GoodbyeReason.superseded))
    rig.input({ type: 'ended', connection: old })
    expect(rig.plane.send(PEER_UID, Uint8Array.of(1))).toBe('sent')
    rig.effects.push(...rig.plane.takeEffects())
    expect(rig.kindsTo(old)).toContain('message')
    rig.data(young, encodeFrame(FrameKind.ready))
    expect(rig.eventsOf('linkDown')).toEqual([])
    expect(rig.eventsOf('linkUp').map((event) => event.session)).toEqual([1, 2])
  })

  it('raises linkDown when the successor does not come', () => {
    const rig = new PlaneRig()
    const old = rig.acceptLink(PEER_UID, 1)
    rig.acceptHello(PEER_UID, 2)
    rig.data(old, encodeGoodbye(GoodbyeReason.superseded))
    rig.input({ type: 'ended', connection: old })
    rig.pass(TRANSPORT_LIMITS.drainTimeoutMs)
    expect(rig.eventsOf('linkDown').map((event) => event.reason)).toEqual(['superseded'])
  })

  it('raises linkDown as soon as the successor is given up', () => {
    const rig = new PlaneRig()
    const old = rig.acceptLink(PEER_UID, 1)
    const young = rig.acceptHello(PEER_UID, 2)
    rig.data(old, encodeGoodbye(GoodbyeReason.superseded))
    rig.input({ type: 'ended', connection: old })
    expect(rig.eventsOf('linkDown')).toEqual([])
    rig.input({ type: 'closed', connection: young, how: 'reset' })
    expect(rig.eventsOf('linkDown').map((event) => event.reason)).toEqual(['superseded'])
  })

  it('without a successor in sight is the end of the link', () => {
    const rig = new PlaneRig()
    const old = rig.acceptLink(PEER_UID, 1)
    rig.data(old, encodeGoodbye(GoodbyeReason.superseded))
    rig.input({ type: 'ended', connection: old })
    expect(rig.eventsOf('linkDown').map((event) => event.reason)).toEqual(['superseded'])
  })

  it('drops and counts what arrives on a connection that completed as the lower one', () => {
    const rig = new PlaneRig()
    const low = rig.acceptHello(PEER_UID, 1)
    rig.acceptLink(PEER_UID, 2)
    rig.data(low, encodeFrame(FrameKind.ready), message(1))
    rig.data(low, message(2))
    expect(rig.eventsOf('message')).toEqual([])
    expect(rig.plane.counters()['messagesDropped']).toBe(2)
    expect(rig.kindsTo(low)).toEqual(['helloAck', 'goodbye'])
  })

  it('ties of dial numbers go by uid', () => {
    for (const [peerUid, peerWins] of [
      ['4000000000000000', false],
      ['6000000000000000', true],
    ] as const) {
      const rig = new PlaneRig()
      rig.input({ type: 'connect', address: PEER_ADDRESS, uid: peerUid })
      const ours = rig.dials[0]!.connection
      rig.input({ type: 'opened', connection: ours })
      const theirs = rig.acceptHello(peerUid, 1)
      rig.answerDial(peerUid)
      rig.data(theirs, encodeFrame(FrameKind.ready))
      const lost = peerWins ? ours : theirs
      expect(rig.kindsTo(lost).at(-1)).toBe('goodbye')
      expect(rig.eventsOf('linkUp')).toHaveLength(peerWins ? 2 : 1)
      expect(rig.eventsOf('linkDown')).toEqual([])
    }
  })

  it('a dial whose connect is pending is dropped when a link completes; one whose hello is out is not', () => {
    const pending = new PlaneRig()
    pending.input({ type: 'connect', address: PEER_ADDRESS, uid: PEER_UID })
    pending.acceptLink()
    expect(pending.effects).toContainEqual({ type: 'destroy', connection: pending.dials[0]!.connection })
    expect(pending.plane.counters()['dialsAbandoned']).toBe(1)

    const greeted = new PlaneRig()
    greeted.input({ type: 'connect', address: PEER_ADDRESS, uid: PEER_UID })
    const dial = greeted.dials[0]!.connection
    greeted.input({ type: 'opened', connection: dial })
    greeted.acceptLink()
    expect(greeted.effects).not.toContainEqual({ type: 'destroy', connection: dial })
  })

  it('a dialler that finds a higher link complete closes without ready', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS, uid: PEER_UID })
    const ours = rig.dials[0]!.connection
    rig.input({ type: 'opened', connection: ours })
    rig.acceptLink(PEER_UID, 5)
    rig.answerDial()
    expect(rig.kindsTo(ours)).toEqual(['hello'])
    expect(rig.effects).toContainEqual({ type: 'closeGracefully', connection: ours })
    expect(rig.eventsOf('linkUp')).toHaveLength(1)
  })
})

describe('dialling', () => {
  it('takes full jitter between the floor and the back-off, doubled up to its cap', () => {
    for (const [share, expected] of [
      [0, [10, 10, 10, 10]],
      [1, [100, 200, 400, 400]],
      [0.5, [50, 100, 200, 200]],
    ] as const) {
      const rig = new PlaneRig({ random: () => share, dial: { backoffMaxMs: 400 } })
      rig.input({ type: 'connect', address: PEER_ADDRESS })
      for (const delayMs of expected) {
        const dials = rig.dials.length
        rig.input({ type: 'failed', connection: rig.dials.at(-1)!.connection, reason: 'refused' })
        expect(rig.eventsOf('gated').at(-1)!.retryInMs).toBe(delayMs)
        rig.pass(delayMs - 1)
        expect(rig.dials).toHaveLength(dials)
        rig.pass(1)
        expect(rig.dials).toHaveLength(dials + 1)
      }
    }
  })

  it('is capped lower for a watched peer', () => {
    const rig = new PlaneRig({ random: () => 1, dial: { backoffWatchedMaxMs: 150 } })
    rig.input({ type: 'watch', uid: PEER_UID, address: PEER_ADDRESS })
    for (let failure = 0; failure < 6; failure += 1) {
      rig.input({ type: 'failed', connection: rig.dials.at(-1)!.connection, reason: 'unreachable' })
      rig.pass(150)
    }
    expect(rig.eventsOf('gated').map((event) => event.retryInMs)).toEqual([100, 150, 150, 150, 150, 150])
  })

  it('times connect and handshake together', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    const { connection } = rig.dials[0]!
    rig.pass(600)
    rig.input({ type: 'opened', connection })
    rig.pass(399)
    expect(rig.eventsOf('gated')).toEqual([])
    rig.pass(1)
    expect(rig.eventsOf('gated')).toMatchObject([{ reason: 'timeout', attempts: 1 }])
    expect(rig.effects).toContainEqual({ type: 'destroy', connection, reset: true })
  })

  it('never begins two dials to one address within the floor', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    rig.input({ type: 'opened', connection: rig.dials[0]!.connection })
    rig.data(rig.dials[0]!.connection, refusal(RefusalReason.superseded, 3))
    expect(rig.dials).toHaveLength(1)
    rig.pass(CONTROL_LINK_LIMITS.backoffFloorMs)
    expect(rig.dials).toHaveLength(2)
  })

  it('backs off from a peer that goes on answering superseded', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    for (let round = 0; round < 4; round += 1) {
      const { connection } = rig.dials.at(-1)!
      rig.input({ type: 'opened', connection })
      rig.data(connection, refusal(RefusalReason.superseded, 10 * round))
      rig.pass(CONTROL_LINK_LIMITS.backoffFloorMs)
    }
    expect(rig.eventsOf('gated')).toHaveLength(1)
    expect(rig.dials).toHaveLength(4)
  })

  it('backs off also when it has a link beside which it dials', () => {
    const { rig } = watchedLink()
    rig.pass(4500)
    expect(rig.eventsOf('suspicion')).toHaveLength(1)
    const before = rig.eventsOf('gated').length
    for (let round = 0; round < 6; round += 1) {
      const { connection } = rig.dials.at(-1)!
      rig.input({ type: 'opened', connection })
      rig.data(connection, refusal(RefusalReason.superseded, 10 * round))
      rig.pass(CONTROL_LINK_LIMITS.backoffFloorMs)
    }
    expect(rig.eventsOf('gated').length).toBeGreaterThan(before)
  })

  it('takes a final refusal as final for the incarnation that spoke, not for another one expected there', () => {
    for (const [expected, isFinal] of [
      [undefined, true],
      [PEER_UID, true],
      ['6f00000000000000', false],
    ] as const) {
      const rig = new PlaneRig()
      const wish = { type: 'connect', address: PEER_ADDRESS } as const
      rig.input(expected === undefined ? wish : { ...wish, uid: expected })
      const { connection } = rig.dials[0]!
      rig.input({ type: 'opened', connection })
      rig.data(connection, refusal(RefusalReason.quarantined))
      rig.pass(60_000)
      expect(rig.dials.length > 1).toBe(!isFinal)
      expect(rig.eventsOf('quarantinedBy')).toHaveLength(1)
    }
  })

  it('survives the highest dial number there is', () => {
    const rig = new PlaneRig()
    rig.input({ type: 'connect', address: PEER_ADDRESS })
    const { connection } = rig.dials[0]!
    rig.input({ type: 'opened', connection })
    rig.data(connection, refusal(RefusalReason.superseded, 0xffff_ffff))
    rig.pass(CONTROL_LINK_LIMITS.backoffFloorMs)
    const again = rig.dials.at(-1)!.connection
    rig.input({ type: 'opened', connection: again })
    expect(rig.dialNumber(again)).toBe(0xffff_ffff)
  })

  it('learns no number from a hello that is not completed, for anybody can write one', () => {
    const rig = new PlaneRig()
    const link = rig.acceptLink(PEER_UID, 3)
    const forged = rig.acceptHello(PEER_UID, 0xffff_ffff)
    expect(rig.kindsTo(forged)).toEqual(['helloAck'])
    const refused = rig.acceptHello(PEER_UID, 2)
    const { body } = rig.framesTo(refused)[0]!
    expect(decodeRefusal(body)).toMatchObject({ reason: RefusalReason.superseded, dial: 3 })
    rig.input({ type: 'connect', address: PEER_ADDRESS, uid: PEER_UID })
    rig.input({ type: 'closed', connection: link, how: 'reset' })
    const { connection } = rig.dials[0]!
    rig.input({ type: 'opened', connection })
    expect(rig.dialNumber(connection)).toBe(4)
  })

  it('replaces a dead link also where numbers have come to an end, by a later dial of the same end', () => {
    const rig = new PlaneRig()
    rig.acceptLink(PEER_UID, 0xffff_fffe)
    expect(rig.kindsTo(rig.acceptHello(PEER_UID, 0xffff_fffe))).toEqual(['refusal'])
    const last = rig.acceptLink(PEER_UID, 0xffff_ffff)
    expect(rig.kindsTo(rig.acceptHello(PEER_UID, 0xffff_fffe))).toEqual(['refusal'])
    rig.acceptLink(PEER_UID, 0xffff_ffff)
    expect(rig.eventsOf('linkUp').map((event) => event.session)).toEqual([1, 2, 3])
    expect(rig.kindsTo(last).at(-1)).toBe('goodbye')
    expect(rig.eventsOf('linkDown')).toEqual([])
  })

  it('does not look for a lower incarnation where a higher one is linked', () => {
    const rig = new PlaneRig()
    rig.acceptLink(PEER_UID, 1)
    rig.input({ type: 'watch', uid: '5f00000000000000', address: PEER_ADDRESS })
    rig.pass(5000)
    expect(rig.dials).toEqual([])
    rig.input({ type: 'watch', uid: '6f00000000000000', address: PEER_ADDRESS })
    expect(rig.dials).toHaveLength(1)
  })

  it('disconnect gives up a dial in flight, before and after its hello', () => {
    for (const opened of [false, true]) {
      const rig = new PlaneRig()
      rig.input({ type: 'connect', address: PEER_ADDRESS })
      const { connection } = rig.dials[0]!
      if (opened) rig.input({ type: 'opened', connection })
      rig.input({ type: 'disconnect', address: PEER_ADDRESS })
      expect(rig.effects.at(-1)).toEqual({ type: opened ? 'closeGracefully' : 'destroy', connection })
      rig.pass(30_000)
      expect(rig.dials).toHaveLength(1)
    }
  })

  it('refuses to want more addresses than its bound, and counts it', () => {
    const rig = new PlaneRig()
    for (let index = 0; index <= TRANSPORT_LIMITS.wantedPeersMax; index += 1) {
      rig.input({ type: 'connect', address: { host: `h${index}`, port: 1 } })
    }
    expect(rig.dials).toHaveLength(TRANSPORT_LIMITS.wantedPeersMax)
    expect(rig.plane.counters()['wantedRefused']).toBe(1)
    rig.input({ type: 'probe', uid: PEER_UID, address: { host: 'one-more', port: 1 } })
    expect(rig.eventsOf('probed')).toMatchObject([{ outcome: 'unknown' }])
  })
})
