/**
 * What the parts of one engine share: options, the time of the current input, deadlines, counters, and the effects
 * collected for it.
 */
import type { Address } from '../../core/address.js'
import type { Hello } from '../../wire/hello.js'
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN, TRANSPORT_LIMITS } from '../limits.js'
import { checkSecrets } from '../option-checks.js'
import type { BadInputReason, TransportEvent, TransportOptions } from '../transport.js'
import { Admission, type EngineAuth } from './auth.js'
import type { Connection } from './connection.js'
import { createCounters } from './counters.js'
import { DeadlineHeap } from './deadlines.js'
import type { ConnectionId, Effect } from './io.js'

export interface ControlPlaneOptions extends TransportOptions {
  /** Uniform in [0, 1); drawn for jitter only. */
  readonly random: () => number
  /** Age of the last turn of the JavaScript loop, for beats and echoes. Default 0: the engine runs on that loop. */
  readonly loopAgeMs?: (nowMs: number) => number
  /** Needed with `secrets`. */
  readonly auth?: EngineAuth
  /** Asked for every hello and hello ack that is otherwise in order; false is `unauthenticated`. */
  readonly authorize?: (connection: ConnectionId, hello: Hello) => boolean
}

const NO_ADDRESS: Address = { host: '', port: 0 }

export class PlaneContext {
  readonly deadlines = new DeadlineHeap()
  readonly counters = createCounters()
  /** Time of the current input. */
  nowMs = 0
  /** Sum of our own pauses; the detectors' clock runs this much behind `nowMs`. */
  pausedMs = 0
  started = false
  closing = false
  bind: Address = NO_ADDRESS
  advertised: Address = NO_ADDRESS
  private effects: Effect[] = []

  /** Undefined without secrets: then everybody is let in. */
  readonly admission: Admission | undefined

  constructor(readonly options: ControlPlaneOptions) {
    const { secrets, auth } = options
    checkSecrets(secrets)
    if (secrets !== undefined && auth === undefined)
      throw new TypeError('secrets need `auth` to be proved by')
    this.admission = secrets === undefined ? undefined : new Admission(auth!, secrets)
  }

  get uid(): string {
    return this.options.identity.uid
  }

  /** The clock that detectors read. */
  get detectorMs(): number {
    return this.nowMs - this.pausedMs
  }

  get loopAgeMs(): number {
    return this.options.loopAgeMs?.(this.nowMs) ?? 0
  }

  push(effect: Effect): void {
    this.effects.push(effect)
  }

  takeEffects(): Effect[] {
    const taken = this.effects
    if (taken.length > 0) this.effects = []
    return taken
  }

  emit(event: TransportEvent): void {
    if (!this.closing) this.effects.push({ type: 'event', event })
  }

  write(connection: Connection, bytes: Uint8Array): void {
    connection.noteQueued(bytes.length)
    this.counters.framesOut += 1
    this.counters.bytesOut += bytes.length
    this.effects.push({ type: 'write', connection: connection.id, bytes })
  }

  /** Shutdown, drain, close; `phase` says what happens to what still arrives. */
  closeGracefully(connection: Connection, phase: 'closing' | 'superseded'): void {
    if (connection.phase === 'closing') return
    if (connection.phase === 'superseded') {
      connection.phase = phase
      return
    }
    connection.phase = phase
    // What a dialler sends behind its `ready` on a lane are no frames of ours.
    if (connection.lane !== undefined) connection.unreadable = true
    if (connection.beatDeadline !== undefined) this.deadlines.clear(connection.beatDeadline)
    this.deadlines.set(connection.deadline, this.nowMs + TRANSPORT_LIMITS.drainTimeoutMs)
    this.effects.push({ type: 'closeGracefully', connection: connection.id })
  }

  countBadInput(remote: string, reason: BadInputReason): void {
    this.counters[`badInput.${reason}`] += 1
    this.emit({ type: 'badInput', remote, reason })
  }

  /** Our hello for a dial, or our ack to one, as far as the connection's dial number and lane are known. */
  ownHello({ dial, lane }: Connection, dialed: Address): Hello {
    const { identity } = this.options
    const nonce = this.admission?.newNonce()
    return {
      versionMin: PROTOCOL_VERSION_MIN,
      versionMax: PROTOCOL_VERSION_MAX,
      uid: identity.uid,
      dial,
      cluster: identity.cluster,
      nodeId: identity.nodeId,
      bind: this.bind,
      advertised: this.advertised,
      dialed,
      ...(lane === undefined ? {} : { lane }),
      ...(nonce === undefined ? {} : { nonce }),
    }
  }
}
