/** Drives one engine by hand: inputs at chosen times, effects kept for the test to look at. */
import type { Address, Uid } from '../../src/core/address.js'
import type { EngineAuth } from '../../src/transport/control/auth.js'
import { ControlPlane, type ControlPlaneOptions } from '../../src/transport/control/control-plane.js'
import { FrameBuffer } from '../../src/transport/control/frame-buffer.js'
import type { ConnectionId, Effect, Input } from '../../src/transport/control/io.js'
import { nodeAuth } from '../../src/transport/net/node-auth.js'
import type { TransportEvent, TransportOptions } from '../../src/transport/transport.js'
import { decodeFrame, encodeFrame, type Frame, FrameKind } from '../../src/wire/frame.js'
import { encodeHello, type Hello } from '../../src/wire/hello.js'

export const OWN_UID = '5000000000000000'
export const OWN_ADDRESS: Address = { host: '10.0.0.1', port: 7000 }
export const PEER_UID = '6000000000000000'
export const PEER_ADDRESS: Address = { host: '10.0.0.2', port: 7000 }

export const RIG_OPTIONS: TransportOptions = {
  identity: { cluster: 'test', nodeId: 'self', uid: OWN_UID },
  listen: OWN_ADDRESS,
  heartbeat: {
    intervalMs: 1000,
    echoEvery: 10,
    phiThreshold: 8,
    acceptablePauseMs: 2000,
    minStdDeviationMs: 100,
    windowSize: 200,
    stalledAfterMs: 2000,
  },
  dial: {
    connectTimeoutMs: 1000,
    backoffMinMs: 100,
    backoffMaxMs: 10_000,
    backoffWatchedMaxMs: 1000,
    confirmGoneMs: 50,
  },
}

export interface RigOptions {
  readonly random?: () => number
  readonly dial?: Partial<TransportOptions['dial']>
  readonly heartbeat?: Partial<TransportOptions['heartbeat']>
  readonly secrets?: readonly Uint8Array[]
  readonly authorize?: NonNullable<ControlPlaneOptions['authorize']>
}

/** Nonces that rise by one, so that runs are equal and no two connections are. */
export function countingAuth(): EngineAuth {
  let drawn = 0
  return {
    ...nodeAuth,
    randomBytes: (count) => {
      drawn += 1
      const bytes = new Uint8Array(count)
      new DataView(bytes.buffer).setUint32(0, drawn)
      return bytes
    },
  }
}

export class PlaneRig {
  readonly plane: ControlPlane
  readonly effects: Effect[] = []
  nowMs = 10_000

  constructor(options: RigOptions = {}) {
    this.plane = new ControlPlane({
      ...RIG_OPTIONS,
      heartbeat: { ...RIG_OPTIONS.heartbeat, ...options.heartbeat },
      dial: { ...RIG_OPTIONS.dial, ...options.dial },
      random: options.random ?? (() => 0.5),
      auth: countingAuth(),
      ...(options.secrets === undefined ? {} : { secrets: options.secrets }),
      ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
    })
    this.input({ type: 'started', bind: OWN_ADDRESS, advertised: OWN_ADDRESS })
  }

  input(input: Input): readonly Effect[] {
    const effects = this.plane.handle(input, this.nowMs)
    this.effects.push(...effects)
    return effects
  }

  /** Lets time pass as an adapter would: every deadline on time, ticks included. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms
    for (;;) {
      const nextMs = this.plane.nextDeadline()
      if (nextMs === undefined || nextMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, nextMs)
      this.input({ type: 'deadline' })
    }
    this.nowMs = untilMs
  }

  get events(): TransportEvent[] {
    return this.effects.flatMap((effect) => (effect.type === 'event' ? [effect.event] : []))
  }

  eventsOf<T extends TransportEvent['type']>(type: T): Extract<TransportEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<TransportEvent, { type: T }> => event.type === type)
  }

  get dials(): Extract<Effect, { type: 'dial' }>[] {
    return this.effects.filter((effect) => effect.type === 'dial')
  }

  get handOvers(): Extract<Effect, { type: 'handOver' }>[] {
    return this.effects.filter((effect) => effect.type === 'handOver')
  }

  /** Everything written on a connection, as frames. */
  framesTo(connection: ConnectionId): Frame[] {
    const buffer = new FrameBuffer()
    for (const effect of this.effects) {
      if (effect.type === 'write' && effect.connection === connection) buffer.push(effect.bytes)
    }
    const frames: Frame[] = []
    for (let step = buffer.next(1 << 30); step instanceof Uint8Array; step = buffer.next(1 << 30)) {
      frames.push(decodeFrame(step))
    }
    return frames
  }

  kindsTo(connection: ConnectionId): string[] {
    return this.framesTo(connection).map((frame) => FrameKind[frame.kind]!)
  }

  data(connection: ConnectionId, ...frames: Uint8Array[]): void {
    this.input({ type: 'data', connection, bytes: new Uint8Array(Buffer.concat(frames)) })
  }

  hello(uid: Uid = PEER_UID, dial = 1, address: Address = PEER_ADDRESS): Hello {
    return {
      versionMin: 1,
      versionMax: 1,
      uid,
      dial,
      cluster: 'test',
      nodeId: `peer-${uid}`,
      bind: address,
      advertised: address,
      dialed: OWN_ADDRESS,
    }
  }

  /** A connection that came in, with its hello answered; not ready yet. */
  acceptHello(uid: Uid = PEER_UID, dial = 1, more: Partial<Hello> = {}): ConnectionId {
    const connection = this.plane.newConnectionId()
    this.input({ type: 'accepted', connection, remote: '10.0.0.2:40000' })
    this.data(connection, encodeHello(FrameKind.hello, { ...this.hello(uid, dial), ...more }))
    return connection
  }

  /** A complete link that came in. */
  acceptLink(uid: Uid = PEER_UID, dial = 1): ConnectionId {
    const connection = this.acceptHello(uid, dial)
    this.data(connection, encodeFrame(FrameKind.ready))
    return connection
  }

  /** Opens the dial in flight and answers it; returns its connection. */
  answerDial(uid: Uid = PEER_UID, address: Address = PEER_ADDRESS, more: Partial<Hello> = {}): ConnectionId {
    const connection = this.dials.at(-1)!.connection
    this.input({ type: 'opened', connection })
    const dial = this.dialNumber(connection)
    const ack = { ...this.hello(uid, dial, address), ...more }
    this.data(connection, encodeHello(FrameKind.helloAck, ack))
    return connection
  }

  /** The number that our hello on this connection named. */
  dialNumber(connection: ConnectionId): number {
    const { body } = this.framesTo(connection)[0]!
    return new DataView(body.buffer, body.byteOffset).getUint32(32, true)
  }
}
