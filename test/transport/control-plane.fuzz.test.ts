import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../src/sim/random.js'
import { Admission } from '../../src/transport/control/auth.js'
import type { ConnectionId, Input } from '../../src/transport/control/io.js'
import type { DataLane } from '../../src/transport/transport.js'
import {
  encodeEcho,
  encodeFrame,
  encodeGoodbye,
  encodeHeartbeat,
  encodeQuarantined,
  encodeRefusal,
  encodeWatch,
  FrameKind,
} from '../../src/wire/frame.js'
import {
  appendProofs,
  decodeAckProofs,
  decodeHello,
  encodeHello,
  encodeHelloBody,
} from '../../src/wire/hello.js'
import { countingAuth, OWN_ADDRESS, OWN_UID, PlaneRig } from './plane-rig.js'

const UIDS = ['4000000000000000', '6000000000000000', '6000000000000001']
const ADDRESSES = [1, 2, 3].map((index) => ({ host: `10.0.0.${index + 1}`, port: 7000 }))

const uid = fc.constantFrom(...UIDS)
const anyUid = fc.constantFrom(...UIDS, OWN_UID)
const address = fc.constantFrom(...ADDRESSES, OWN_ADDRESS)
const u16 = fc.nat(0xffff)
const dialNumber = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 0xffff_ffff }))

const SECRET = new Uint8Array(16).fill(0x5e)
const lane = fc.constantFrom<DataLane>('ordinary', 'large')
/** What makes a hello one of a lane, or of a node with secrets. */
const more = fc.record({ lane, nonce: fc.uint8Array({ minLength: 32, maxLength: 32 }) }, { requiredKeys: [] })

/** A frame that a peer might send: mostly well-formed, in any state. */
const frame: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .tuple(fc.constantFrom(FrameKind.hello, FrameKind.helloAck), anyUid, dialNumber, address, more)
    .map(([kind, uid, dial, at, rest]) => {
      const text = { cluster: 'test', nodeId: 'peer', bind: at, advertised: at, dialed: OWN_ADDRESS }
      const hello = { versionMin: 1, versionMax: 1, uid, dial, ...text, ...rest }
      return encodeHello(kind as FrameKind.hello, hello)
    }),
  fc.uint8Array({ maxLength: 40 }).map((body) => encodeFrame(FrameKind.ready, body)),
  fc
    .tuple(anyUid, fc.nat(10), dialNumber)
    .map(([by, reason, dial]) =>
      encodeRefusal({ uid: by, reason, versionMin: 1, versionMax: 1, detail: 1, dial }),
    ),
  fc
    .tuple(fc.nat(), fc.boolean(), fc.nat(5000))
    .map(([sequence, echo, loopAgeMs]) =>
      encodeHeartbeat({ sentUs: 5, loopAgeMs, intervalMs: 9 }, sequence, echo),
    ),
  fc.nat(3).map((sequence) => {
    const body = new Uint8Array(16)
    return encodeEcho({ kind: FrameKind.heartbeat, flags: 0, lane: 0, correlation: 0, sequence, body }, 3)
  }),
  fc.nat(5000).map(encodeWatch),
  fc.uint8Array({ maxLength: 40 }).map((body) => encodeFrame(FrameKind.message, body)),
  fc.tuple(anyUid, fc.nat(6)).map(([whom, reason]) => encodeQuarantined(whom, reason)),
  fc.nat(6).map(encodeGoodbye),
)

/** Bytes on the wire: frames, or frames spoilt. */
const bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .array(frame, { minLength: 1, maxLength: 3 })
      .map((all) => new Uint8Array(Buffer.concat(all))),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(frame, fc.nat(), u16).map(([whole, at, value]) => {
      const spoilt = whole.slice()
      spoilt[at % spoilt.length] = value & 0xff
      return spoilt
    }),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
)

type Step =
  | { readonly do: 'input'; readonly input: Input }
  | {
      readonly do: 'socket'
      readonly which: number
      readonly what: SocketEnd | 'opened' | 'ended' | 'rejected'
    }
  | { readonly do: 'data'; readonly which: number; readonly bytes: Uint8Array }
  | { readonly do: 'accept' }
  /** A peer dials and shakes hands, up to `ready` or only up to the ack. */
  | {
      readonly do: 'inbound'
      readonly uid: string
      readonly dial: number
      readonly ready: boolean
      readonly lane: DataLane | undefined
    }
  /** The last dial opens and is answered by a peer. */
  | { readonly do: 'answer'; readonly uid: string }
  /** A lane is opened to a linked peer, which answers or leaves it at that. */
  | {
      readonly do: 'lane'
      readonly which: number
      readonly lane: DataLane
      readonly dial: number
      readonly answered: boolean
    }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'pause'; readonly ms: number }
  | { readonly do: 'send'; readonly uid: string; readonly length: number }

type SocketEnd = 'reset' | 'closed' | 'refused' | 'timeout' | 'handshake'

const command: fc.Arbitrary<Input> = fc.oneof(
  fc.tuple(address, fc.option(uid)).map(([at, whom]): Input => {
    return whom === null ? { type: 'connect', address: at } : { type: 'connect', address: at, uid: whom }
  }),
  address.map((at): Input => ({ type: 'disconnect', address: at })),
  fc.tuple(uid, address).map(([whom, at]): Input => ({ type: 'watch', uid: whom, address: at })),
  uid.map((whom): Input => ({ type: 'unwatch', uid: whom })),
  fc.tuple(uid, address).map(([whom, at]): Input => ({ type: 'probe', uid: whom, address: at })),
  fc
    .tuple(uid, lane, dialNumber)
    .map(([whom, which, dial]): Input => ({ type: 'openLane', uid: whom, lane: which, dial })),
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: command.map((input): Step => ({ do: 'input', input })) },
  {
    weight: 1,
    arbitrary: uid.map(
      (whom): Step => ({ do: 'input', input: { type: 'quarantine', uid: whom, reason: 'operator' } }),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.nat(), bytes).map(([which, all]): Step => ({ do: 'data', which, bytes: all })),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'accept' }) },
  {
    weight: 5,
    arbitrary: fc
      .tuple(uid, fc.integer({ min: 1, max: 8 }), fc.boolean(), fc.option(lane, { nil: undefined, freq: 2 }))
      .map(([whom, dial, ready, which]): Step => ({ do: 'inbound', uid: whom, dial, ready, lane: which })),
  },
  { weight: 5, arbitrary: anyUid.map((whom): Step => ({ do: 'answer', uid: whom })) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.nat(), lane, dialNumber, fc.boolean())
      .map(([which, ofLane, dial, answered]): Step => ({ do: 'lane', which, lane: ofLane, dial, answered })),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.nat(),
        fc.constantFrom(
          'opened',
          'opened',
          'ended',
          'rejected',
          'reset',
          'closed',
          'refused',
          'timeout',
          'handshake',
        ),
      )
      .map(([which, what]): Step => ({ do: 'socket', which, what: what as 'opened' })),
  },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 3000 }).map((ms): Step => ({ do: 'pass', ms })) },
  { weight: 1, arbitrary: fc.integer({ min: 501, max: 9000 }).map((ms): Step => ({ do: 'pause', ms })) },
  {
    weight: 2,
    arbitrary: fc.tuple(uid, fc.nat(300)).map(([whom, length]): Step => ({ do: 'send', uid: whom, length })),
  },
)

/** Long ones as likely as short ones: what takes several steps to build up would hardly ever happen otherwise. */
const steps = (maxLength: number) => fc.array(step, { maxLength, size: 'max' })

/** Sockets as an adapter keeps them: names handed out, until closed or destroyed. */
class Sockets {
  readonly open = new Set<ConnectionId>()
  /** Peer, lane and number of every lane that was asked for. */
  readonly lanesAsked: string[] = []
  private seen = 0

  constructor(
    private readonly rig: PlaneRig,
    /** Peers that shake hands prove themselves by it. */
    readonly admission?: Admission,
  ) {}

  command(input: Input): void {
    if (input.type === 'openLane') this.lanesAsked.push(`${input.uid} ${input.lane} ${input.dial}`)
    this.rig.input(input)
  }

  /** Follows the effects since the last call; every effect must name a socket that is open. */
  follow(): void {
    for (const effect of this.rig.effects.slice(this.seen)) {
      if (effect.type === 'dial') {
        expect(this.open.has(effect.connection)).toBe(false)
        this.open.add(effect.connection)
      } else if (effect.type !== 'event') {
        expect(this.open.has(effect.connection), `${effect.type} on an open socket`).toBe(true)
        if (effect.type === 'destroy' || effect.type === 'handOver') this.open.delete(effect.connection)
      }
    }
    this.seen = this.rig.effects.length
  }

  pick(which: number): ConnectionId | undefined {
    const all = [...this.open]
    return all[which % Math.max(1, all.length)]
  }
}

function apply(rig: PlaneRig, sockets: Sockets, each: Step): void {
  if (each.do === 'input') sockets.command(each.input)
  else if (each.do === 'lane') openLane(rig, sockets, each)
  else if (each.do === 'pass') rig.pass(each.ms)
  else if (each.do === 'pause') {
    rig.nowMs += each.ms
    rig.input({ type: 'deadline' })
  } else if (each.do === 'send') {
    rig.plane.send(each.uid, new Uint8Array(each.length))
    rig.effects.push(...rig.plane.takeEffects())
  } else if (each.do === 'accept' || each.do === 'inbound') {
    const connection = rig.plane.newConnectionId()
    sockets.open.add(connection)
    rig.input({ type: 'accepted', connection, remote: '10.0.0.9:1' })
    if (each.do === 'inbound') shakeHands(rig, connection, each, sockets.admission)
  } else if (each.do === 'answer') {
    const connection = rig.dials.at(-1)?.connection
    if (connection === undefined || !sockets.open.has(connection)) return
    answerDial(rig, connection, each.uid, sockets.admission)
  } else if (each.do === 'socket' || each.do === 'data') {
    const connection = sockets.pick(each.which)
    if (connection !== undefined) onSocket(rig, sockets, connection, each)
  }
  sockets.follow()
}

function openLane(rig: PlaneRig, sockets: Sockets, how: Extract<Step, { do: 'lane' }>): void {
  const linked = rig.plane.peers(rig.nowMs).filter((peer) => peer.linked)
  if (linked.length === 0) return
  const { uid } = linked[how.which % linked.length]!
  sockets.command({ type: 'openLane', uid, lane: how.lane, dial: how.dial })
  sockets.follow()
  if (how.answered) answerDial(rig, rig.dials.at(-1)!.connection, uid, sockets.admission)
}

function shakeHands(
  rig: PlaneRig,
  connection: ConnectionId,
  how: Extract<Step, { do: 'inbound' }>,
  admission: Admission | undefined,
): void {
  const nonce = admission === undefined ? {} : { nonce: admission.newNonce() }
  const ofLane = how.lane === undefined ? {} : { lane: how.lane }
  const hello = encodeHelloBody({ ...rig.hello(how.uid, how.dial), ...ofLane, ...nonce })
  rig.data(connection, encodeFrame(FrameKind.hello, hello))
  const answer = rig.framesTo(connection)[0]
  if (!how.ready || answer?.kind !== FrameKind.helloAck) return
  const shown = admission === undefined ? undefined : decodeAckProofs(answer.body)
  if (shown === undefined) return rig.data(connection, encodeFrame(FrameKind.ready))
  const transcript = { hello, ack: answer.body.subarray(0, shown.coveredBytes) }
  rig.data(connection, encodeFrame(FrameKind.ready, admission!.diallerProof(transcript, shown.proofs)))
}

function answerDial(
  rig: PlaneRig,
  connection: ConnectionId,
  from: string,
  admission: Admission | undefined,
): void {
  rig.input({ type: 'opened', connection })
  const hello = rig.framesTo(connection)[0]?.body
  if (hello === undefined) return
  const nonce = admission === undefined ? {} : { nonce: admission.newNonce() }
  const said = decodeHello(hello)!
  const ofLane = said.lane === undefined ? {} : { lane: said.lane }
  const ack = encodeHelloBody({ ...rig.hello(from, said.dial), ...ofLane, ...nonce })
  const proofs = admission?.acceptorProofs({ hello, ack })
  rig.data(
    connection,
    encodeFrame(FrameKind.helloAck, proofs === undefined ? ack : appendProofs(ack, proofs)),
  )
}

function onSocket(
  rig: PlaneRig,
  sockets: Sockets,
  connection: ConnectionId,
  each: Extract<Step, { do: 'socket' | 'data' }>,
): void {
  if (each.do === 'data') {
    rig.input({ type: 'data', connection, bytes: each.bytes })
    return
  }
  const { what } = each
  if (what === 'opened' || what === 'ended') {
    rig.input({ type: what, connection })
    return
  }
  if (what === 'rejected') {
    rig.input({ type: what, connection, reason: 'unauthenticated' })
    return
  }
  sockets.open.delete(connection)
  if (what === 'reset' || what === 'closed') rig.input({ type: 'closed', connection, how: what })
  else rig.input({ type: 'failed', connection, reason: what })
}

/** What must hold of any sequence of events, whatever peers did. */
function checkEvents(rig: PlaneRig, quarantinedAt: ReadonlyMap<string, number>): void {
  const session = new Map<string, number>()
  const up = new Set<string>()
  const suspected = new Set<string>()
  for (const [index, effect] of rig.effects.entries()) {
    if (effect.type === 'handOver') {
      expect(index).toBeLessThan(quarantinedAt.get(effect.peer.uid) ?? Number.POSITIVE_INFINITY)
    }
    if (effect.type !== 'event') continue
    const { event } = effect
    if (event.type === 'linkUp') {
      expect(event.session).toBe((session.get(event.peer.uid) ?? 0) + 1)
      session.set(event.peer.uid, event.session)
      up.add(event.peer.uid)
      expect(index).toBeLessThan(quarantinedAt.get(event.peer.uid) ?? Number.POSITIVE_INFINITY)
    } else if (event.type === 'linkDown') {
      expect(up.delete(event.uid), 'linkDown of a link that is up').toBe(true)
      expect(event.session).toBe(session.get(event.uid))
    } else if (event.type === 'message') {
      expect(event.session).toBeLessThanOrEqual(session.get(event.uid)!)
      expect(index).toBeLessThan(quarantinedAt.get(event.uid) ?? Number.POSITIVE_INFINITY)
    } else if (event.type === 'suspicion') {
      if (event.suspected) suspected.add(event.uid)
      else expect(suspected.has(event.uid), 'trust only after suspicion').toBe(true)
      expect(Number.isFinite(event.phi) && event.silentMs >= 0).toBe(true)
    } else if (event.type === 'gated') {
      expect(event.retryInMs).toBeGreaterThanOrEqual(10)
      expect(event.retryInMs).toBeLessThanOrEqual(10_000)
    }
  }
  const linked = rig.plane.peers(rig.nowMs).filter((peer) => peer.linked)
  expect(linked.map((peer) => peer.uid)).toEqual([...up].sort())
}

/** Each lane that was asked for is told of once: as open, or as failed. */
function checkLanes(rig: PlaneRig, asked: readonly string[]): void {
  const ours = rig.handOvers.filter((effect) => effect.dialler === OWN_UID)
  const opened = ours.map((effect) => `${effect.peer.uid} ${effect.lane} ${effect.dial}`)
  const failed = rig.eventsOf('laneFailed').map((event) => `${event.uid} ${event.lane} ${event.dial}`)
  expect([...opened, ...failed].sort()).toEqual([...asked].sort())
  const counters = rig.plane.counters()
  expect(counters['lanesOpened']).toBe(rig.handOvers.length)
  expect(counters['laneDialsFailed']).toBe(failed.length)
}

/** With secrets: peers that shake hands know one. */
const newRig = (seed: number, isSecured: boolean): [PlaneRig, Sockets] => {
  const rig = new PlaneRig({ random: createRandom(seed), ...(isSecured ? { secrets: [SECRET] } : {}) })
  return [rig, new Sockets(rig, isSecured ? new Admission(countingAuth(), [SECRET]) : undefined)]
}

describe('the engine, given anything', () => {
  it('never throws, names only open sockets, and keeps its promises about events and lanes', () => {
    fc.assert(
      fc.property(steps(80), fc.nat(), fc.boolean(), (all, seed, isSecured) => {
        const [rig, sockets] = newRig(seed, isSecured)
        const quarantinedAt = new Map<string, number>()
        for (const each of all) {
          if (each.do === 'input' && each.input.type === 'quarantine' && !quarantinedAt.has(each.input.uid)) {
            quarantinedAt.set(each.input.uid, rig.effects.length)
          }
          apply(rig, sockets, each)
        }
        checkEvents(rig, quarantinedAt)
        // Longer than a dial may take.
        rig.pass(1500)
        sockets.follow()
        checkLanes(rig, sockets.lanesAsked)
        const before = rig.events.length
        rig.input({ type: 'shutdown' })
        rig.pass(5000)
        sockets.follow()
        expect(rig.events.length).toBe(before)
        expect(rig.plane.connectionCount).toBe(0)
        expect(sockets.open.size).toBe(0)
      }),
      { numRuns: 400 },
    )
  })

  it('with secrets, lets nobody in, and concludes nothing of anybody, who knows none', () => {
    fc.assert(
      fc.property(steps(80), fc.nat(), (all, seed) => {
        const rig = new PlaneRig({ random: createRandom(seed), secrets: [SECRET] })
        const sockets = new Sockets(rig)
        for (const each of all) apply(rig, sockets, each)
        for (const type of ['linkUp', 'message', 'identityChanged'] as const) {
          expect(rig.eventsOf(type)).toEqual([])
        }
        expect(rig.handOvers).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  it('gives the same effects for the same inputs', () => {
    fc.assert(
      fc.property(steps(40), fc.nat(), fc.boolean(), (all, seed, isSecured) => {
        const run = () => {
          const [rig, sockets] = newRig(seed, isSecured)
          for (const each of all) apply(rig, sockets, each)
          return rig.effects
        }
        expect(run()).toEqual(run())
      }),
      { numRuns: 60 },
    )
  })
})
