/**
 * Drives one engine on behalf of an adapter: applies effects in order, batches events for the sink, keeps the one
 * timer armed. Knows neither sockets nor clocks; the adapter hands them in as ports.
 */
import type { Address, Uid } from '../../core/address.js'
import type { LaneSocket } from '../lane-socket.js'
import { CONTROL_LINK_LIMITS } from '../limits.js'
import type {
  DataLane,
  PeerStatus,
  QuarantineReason,
  SendResult,
  TransportCounters,
  TransportEvent,
} from '../transport.js'
import { ControlPlane, type ControlPlaneOptions } from './control-plane.js'
import type { ConnectionId, Effect, Input } from './io.js'

type HandOver = Extract<Effect, { type: 'handOver' }>

export type SocketEffect = Exclude<Effect, { type: 'event' | 'handOver' }>
export type EventSink = (batch: readonly TransportEvent[]) => void

export interface DriverPorts {
  nowMs(): number
  /** Calls `onDeadline` at this time or soon after, once what waits in the sockets has been read; replaces the last call. */
  arm(atMs: number | undefined): void
  apply(effect: SocketEffect): void
  /**
   * Makes a lane's socket of a connection's, behind what was written on it; the connection's name is never heard of again. Undefined
   * when there is none any more.
   */
  handOver(connection: ConnectionId, unread: Uint8Array): LaneSocket | undefined
  /** Calls `run` soon, outside of the caller's stack. */
  postpone(run: () => void): void
}

export class ControlDriver {
  private readonly plane: ControlPlane
  private readonly uid: Uid
  private sink: EventSink | undefined
  private pending: TransportEvent[] = []
  private heldMessageBytes = 0
  private delivering = false
  private flushPosted = false
  private held = false
  private stopped = false
  private onDrained: (() => void) | undefined

  constructor(
    options: ControlPlaneOptions,
    private readonly ports: DriverPorts,
  ) {
    this.uid = options.identity.uid
    this.plane = new ControlPlane(options)
  }

  start(sink: EventSink, bind: Address, advertised: Address): void {
    this.sink = sink
    this.command({ type: 'started', bind, advertised })
  }

  newConnectionId(): ConnectionId {
    return this.plane.newConnectionId()
  }

  /** A command of the contract: its events reach the sink later, never from inside this call. */
  command(input: Input): void {
    if (this.stopped) return
    this.run(input)
    this.postFlush()
  }

  /** Something happened on a socket; the sink may be called before this returns. */
  socketInput(input: Input): void {
    if (this.stopped) return
    this.run(input)
    this.flush()
  }

  onDeadline(): void {
    this.socketInput({ type: 'deadline' })
  }

  connect(address: Address, uid?: Uid): void {
    this.command(uid === undefined ? { type: 'connect', address } : { type: 'connect', address, uid })
  }

  disconnect(address: Address): void {
    this.command({ type: 'disconnect', address })
  }

  watch(uid: Uid, address: Address): void {
    this.command({ type: 'watch', uid, address })
  }

  unwatch(uid: Uid): void {
    this.command({ type: 'unwatch', uid })
  }

  probe(uid: Uid, address: Address): void {
    this.command({ type: 'probe', uid, address })
  }

  openLane(uid: Uid, lane: DataLane, dial: number): void {
    this.command({ type: 'openLane', uid, lane, dial })
  }

  quarantine(uid: Uid, reason: QuarantineReason): void {
    // What of this incarnation waits for the sink is not delivered any more either.
    this.pending = this.pending.filter((event) => {
      const isMessage = event.type === 'message' && event.uid === uid
      if (isMessage) this.plane.count('quarantinedFramesDropped')
      return !isMessage && !this.dropLane(event, uid)
    })
    this.command({ type: 'quarantine', uid, reason })
  }

  send(uid: Uid, bytes: Uint8Array): SendResult {
    if (this.stopped) return 'noLink'
    // Not an input: a send moves no deadline and raises no event, and it is what is called most.
    const result = this.plane.send(uid, bytes)
    if (result === 'sent') this.applyAll(this.plane.takeEffects())
    return result
  }

  noteWritten(connection: ConnectionId, bytes: number): void {
    this.plane.noteWritten(connection, bytes)
  }

  peers(): readonly PeerStatus[] {
    return this.plane.peers(this.ports.nowMs())
  }

  counters(): TransportCounters {
    return this.plane.counters()
  }

  /** Hands pending events to the sink now; nothing happens while it is already being called. */
  drain(): void {
    this.flush()
  }

  /** Keeps events back, as a JavaScript loop that does not turn would. */
  hold(): void {
    this.held = true
  }

  release(): void {
    this.held = false
    this.postFlush()
  }

  /** Says goodbye and drains; resolves once no socket is left. No event follows the call. */
  shutdown(): Promise<void> {
    // Before the goodbyes: whatever they cause, nobody is told.
    this.sink = undefined
    this.dropPending()
    return new Promise((resolve) => {
      this.onDrained = resolve
      this.command({ type: 'shutdown' })
      this.settleShutdown()
    })
  }

  /** Ends everything at once, as the end of the process would. */
  stop(): void {
    this.stopped = true
    this.sink = undefined
    this.dropPending()
    this.ports.arm(undefined)
    const resolve = this.onDrained
    this.onDrained = undefined
    resolve?.()
  }

  private run(input: Input): void {
    this.applyAll(this.plane.handle(input, this.ports.nowMs()))
    if (this.onDrained !== undefined) this.settleShutdown()
    if (!this.stopped) this.ports.arm(this.plane.nextDeadline())
  }

  private applyAll(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'event') this.enqueue(effect.event)
      else if (effect.type === 'handOver') this.handOver(effect)
      else this.ports.apply(effect)
    }
  }

  private handOver(effect: HandOver): void {
    const { connection, peer, lane, dial, dialler, unread } = effect
    const socket = this.ports.handOver(connection, unread)
    if (socket !== undefined) this.enqueue({ type: 'laneOpened', peer, lane, dial, dialler, socket })
    // The acceptor has asked for nothing: whoever dialled finds out and dials again.
    else if (dialler === this.uid)
      this.enqueue({ type: 'laneFailed', uid: peer.uid, lane, dial, reason: 'handshake' })
  }

  /** Events that nobody will be told of; sockets among them would have no owner. */
  private dropPending(): void {
    for (const event of this.pending) this.dropLane(event)
    this.pending = []
  }

  /** Destroys the socket of a lane, of this incarnation or of any, that waits for the sink. */
  private dropLane(event: TransportEvent, uid?: Uid): boolean {
    if (event.type !== 'laneOpened' || (uid !== undefined && event.peer.uid !== uid)) return false
    event.socket.destroy()
    return true
  }

  private enqueue(event: TransportEvent): void {
    this.pending.push(event)
    if (!this.held || event.type !== 'message') return
    this.heldMessageBytes += event.bytes.length
    if (this.heldMessageBytes <= CONTROL_LINK_LIMITS.inboxBytesMax) return
    // Not from here: the engine's effects are just being applied.
    this.ports.postpone(() => this.command({ type: 'inboxFull', uid: event.uid }))
  }

  private postFlush(): void {
    if (this.flushPosted || this.pending.length === 0) return
    this.flushPosted = true
    this.ports.postpone(() => {
      this.flushPosted = false
      this.flush()
    })
  }

  private flush(): void {
    // A sink that drains would otherwise be handed the next batch while it is still in the middle of this one.
    if (this.delivering || this.held || this.sink === undefined || this.pending.length === 0) return
    // Taken before the call: the batch is the sink's, and what its commands cause belongs to the next one.
    const batch = this.pending
    this.pending = []
    this.heldMessageBytes = 0
    this.plane.count('wakeups')
    this.delivering = true
    try {
      this.sink(batch)
    } finally {
      this.delivering = false
    }
  }

  private settleShutdown(): void {
    if (this.onDrained !== undefined && this.plane.connectionCount === 0) this.stop()
  }
}
