/**
 * The control link as a state machine without I/O: docs/protocol.md, executable. Inputs and their time go in,
 * effects come out; it never throws because of a peer, draws randomness only from the generator handed in, and
 * iterates in insertion order, so that one sequence of inputs gives one sequence of effects.
 */
import type { Address, Uid } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import {
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  FrameKind,
  GoodbyeReason,
} from '../../wire/frame.js'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../limits.js'
import type { PeerStatus, QuarantineReason, SendResult, TransportCounters } from '../transport.js'
import { Beats } from './beats.js'
import { ConnectionTable } from './connection-table.js'
import { Dialler } from './dialler.js'
import { Handshake } from './handshake.js'
import type { ConnectionId, Effect, Input } from './io.js'
import { Lanes } from './lanes.js'
import { Links } from './links.js'
import { type Peer, PeerTable } from './peers.js'
import { type ControlPlaneOptions, PlaneContext } from './plane-context.js'
import { SocketInputs } from './socket-inputs.js'
import { Watcher } from './watcher.js'

export type { ControlPlaneOptions } from './plane-context.js'

/** Largest message that `send` takes, in bytes. */
export const MESSAGE_BYTES_MAX = TRANSPORT_LIMITS.controlFrameBytesMax - FRAME_HEADER_BYTES

export class ControlPlane {
  private readonly context: PlaneContext
  private readonly peerTable: PeerTable
  private readonly dialler: Dialler
  private readonly watcher: Watcher
  private readonly links: Links
  private readonly lanes: Lanes
  private readonly handshake: Handshake
  private readonly connections: ConnectionTable
  private readonly sockets: SocketInputs
  private lastTurnMs = 0
  /** After a pause of our own: nothing fires before the sockets have been read. */
  private held = false

  constructor(options: ControlPlaneOptions) {
    const context = new PlaneContext(options)
    this.context = context
    this.peerTable = new PeerTable(context.counters)
    this.connections = new ConnectionTable(context, (connection) => this.sockets.onDeadline(connection))
    this.dialler = new Dialler(context, this.peerTable, this.connections, (watch) =>
      this.watcher.onGone(watch),
    )
    this.watcher = new Watcher(context, (target) => this.dialler.schedule(target))
    this.links = new Links(
      context,
      this.peerTable,
      this.dialler,
      this.watcher,
      new Beats(context),
      this.connections,
    )
    this.lanes = new Lanes(context, this.peerTable, this.connections)
    this.handshake = new Handshake(
      context,
      this.peerTable,
      this.dialler,
      this.links,
      this.lanes,
      (connection, reason) => this.sockets.closeForBadInput(connection, reason),
    )
    this.sockets = new SocketInputs(
      context,
      this.connections,
      this.peerTable,
      this.dialler,
      this.links,
      this.lanes,
      this.handshake,
    )
  }

  /** A fresh name for a socket that the adapter has accepted. */
  newConnectionId(): ConnectionId {
    return this.connections.newId()
  }

  /** Sockets not yet closed; 0 after `shutdown` means that nothing is left to wait for. */
  get connectionCount(): number {
    return this.connections.size
  }

  /** Time of the next `deadline` input; undefined while there is nothing to time. May lie in the past. */
  nextDeadline(): number | undefined {
    if (!this.context.started) return undefined
    if (this.held) return this.context.nowMs
    return Math.min(this.context.deadlines.firstMs, this.lastTurnMs + CONTROL_LINK_LIMITS.tickMs)
  }

  /** Effects are to be applied in order. Time never runs backwards: an earlier `nowMs` counts as the last one. */
  handle(input: Input, nowMs: number): readonly Effect[] {
    const { context } = this
    context.nowMs = Math.max(context.nowMs, nowMs)
    const paused = this.observePause()
    if (input.type === 'deadline') this.onDeadline(paused)
    else this.dispatch(input)
    return context.takeEffects()
  }

  /**
   * Queues a message; its effects are those of the next `takeEffects`.
   * Throws `ERR_SKEIN_FRAME_TOO_LARGE` when it is longer than `MESSAGE_BYTES_MAX`.
   */
  send(uid: Uid, bytes: Uint8Array): SendResult {
    if (bytes.length > MESSAGE_BYTES_MAX) {
      throw new SkeinError(
        'ERR_SKEIN_FRAME_TOO_LARGE',
        `message to ${uid} is ${bytes.length} bytes long, at most ${MESSAGE_BYTES_MAX} fit a control frame; nothing was sent`,
      )
    }
    const { counters } = this.context
    const link = this.peerTable.get(uid)?.link
    if (link === undefined) {
      counters.sendNoLink += 1
      return 'noLink'
    }
    if (link.unsentBytes + FRAME_OVERHEAD_BYTES + bytes.length > TRANSPORT_LIMITS.controlOutboxBytesMax) {
      counters.sendOutboxFull += 1
      return 'outboxFull'
    }
    link.messageSequence += 1
    counters.messagesOut += 1
    this.context.write(link, encodeFrame(FrameKind.message, bytes, { sequence: link.messageSequence }))
    return 'sent'
  }

  /** Effects of `send`; those of `handle` are its result. */
  takeEffects(): readonly Effect[] {
    return this.context.takeEffects()
  }

  /** The kernel took bytes; the same as the `written` input, without effects. */
  noteWritten(connection: ConnectionId, bytes: number): void {
    this.connections.get(connection)?.noteWritten(bytes)
  }

  /** Watched and linked peers, ordered by uid. */
  peers(nowMs: number): readonly PeerStatus[] {
    const detectorMs = nowMs - this.context.pausedMs
    return [...this.peerTable.all()]
      .filter((peer) => peer.link !== undefined || peer.watch !== undefined)
      .sort((a, b) => (a.uid < b.uid ? -1 : 1))
      .map((peer) => statusOf(peer, detectorMs))
  }

  counters(): TransportCounters {
    return { ...this.context.counters }
  }

  /** Adds to a counter that only the adapter can know. */
  count(name: 'wakeups' | 'quarantinedFramesDropped', by = 1): void {
    this.context.counters[name] += by
  }

  private observePause(): boolean {
    const { context } = this
    const gapMs = context.nowMs - this.lastTurnMs
    this.lastTurnMs = context.nowMs
    if (!context.started || gapMs <= TRANSPORT_LIMITS.selfPauseMs) return false
    // Of any gap one tick is normal; the rest is what no peer may be charged for.
    const excessMs = gapMs - CONTROL_LINK_LIMITS.tickMs
    context.pausedMs += excessMs
    context.counters.selfPauses += 1
    context.counters.selfPausedMs += excessMs
    context.emit({ type: 'paused', gapMs })
    this.watcher.onPause()
    this.held = true
    return true
  }

  private onDeadline(justPaused: boolean): void {
    // What arrived meanwhile waits in the sockets. The adapter reads it before it asks again.
    if (justPaused) return
    this.held = false
    const { deadlines, nowMs } = this.context
    // What a deadline sets for this same instant waits for the next input: one call does bounded work.
    for (let left = deadlines.size; left > 0; left -= 1) {
      const due = deadlines.popDue(nowMs)
      if (due === undefined) return
      due.run()
    }
  }

  private dispatch(input: Exclude<Input, { type: 'deadline' }>): void {
    switch (input.type) {
      case 'started':
        return this.onStarted(input.bind, input.advertised)
      case 'connect':
        return this.onConnect(input.address, input.uid)
      case 'disconnect':
        return this.onDisconnect(input.address)
      case 'watch':
        return this.onWatch(input.uid, input.address)
      case 'unwatch':
        return this.onUnwatch(input.uid)
      case 'probe':
        return this.onProbe(input.uid, input.address)
      case 'openLane':
        return this.lanes.open(input.uid, input.lane, input.dial)
      case 'quarantine':
        return this.onQuarantine(input.uid, input.reason)
      case 'shutdown':
        return this.onShutdown()
      case 'accepted':
        return this.sockets.onAccepted(input.connection, input.remote)
      case 'inboxFull':
        return this.onInboxFull(input.uid)
      default:
        return this.sockets.onSocket(input)
    }
  }

  private onStarted(bind: Address, advertised: Address): void {
    this.context.started = true
    this.context.bind = bind
    this.context.advertised = advertised
    this.lastTurnMs = this.context.nowMs
    this.dialler.scheduleAll()
  }

  private onConnect(address: Address, uid: Uid | undefined): void {
    if (uid !== undefined && this.peerTable.quarantineReason(uid) !== undefined) return
    const target = this.dialler.ensure(address)
    if (target === undefined) return
    // Takes back a `disconnect` that a watch has kept from closing the link.
    for (const peer of this.dialler.linksTo(address)) peer.unwanted = false
    const named = uid === undefined ? undefined : this.peerTable.get(uid)
    if (named !== undefined) named.unwanted = false
    this.dialler.connect(target, uid)
  }

  private onDisconnect(address: Address): void {
    const target = this.dialler.get(address)
    // Asked before the wish is withdrawn: a target that nobody wants is forgotten, and with it who answered there.
    const linked = this.dialler.linksTo(address)
    if (target !== undefined) this.dialler.disconnect(target)
    for (const peer of linked) {
      peer.unwanted = true
      this.links.closeIfUnwanted(peer)
    }
  }

  private onWatch(uid: Uid, address: Address): void {
    if (uid === this.context.uid || this.peerTable.quarantineReason(uid) !== undefined) return
    const target = this.dialler.ensure(address)
    if (target === undefined) return
    const peer = this.peerTable.ensure(uid)
    peer.unwanted = false
    const known = peer.watch
    if (known?.target === target) return
    if (known === undefined) {
      const watch = this.watcher.start(peer, target)
      this.peerTable.setWatch(peer, watch)
      this.dialler.addWatch(target, watch)
      return
    }
    // The peer has moved: its detector and verdicts stay, only the address to dial changes.
    this.dialler.removeWatch(known)
    known.target = target
    this.dialler.addWatch(target, known)
  }

  private onUnwatch(uid: Uid): void {
    const peer = this.peerTable.get(uid)
    const watch = peer?.watch
    if (peer === undefined || watch === undefined) return
    this.watcher.stop(watch)
    this.peerTable.setWatch(peer, undefined)
    this.dialler.removeWatch(watch)
    this.links.closeIfUnwanted(peer)
  }

  private onProbe(uid: Uid, address: Address): void {
    const target = this.dialler.ensure(address)
    if (target === undefined) this.context.emit({ type: 'probed', uid, outcome: 'unknown' })
    else this.dialler.probe(target, uid)
  }

  private onQuarantine(uid: Uid, reason: QuarantineReason): void {
    if (uid === this.context.uid) return
    this.peerTable.quarantine(uid, reason)
    // The link ends below, with the reason; not as one that nobody wants.
    const peer = this.peerTable.get(uid)
    if (peer !== undefined) peer.unwanted = false
    this.onUnwatch(uid)
    this.dialler.forgetUid(uid)
    this.lanes.onQuarantine(uid)
    for (const connection of this.connections.all()) {
      if (connection.hello?.uid !== uid) continue
      // Shut down already; only its last messages must not be delivered any more.
      if (connection.phase === 'superseded') connection.phase = 'closing'
      else if (connection.phase !== 'closing') this.links.sayQuarantined(connection, uid, reason)
    }
  }

  private onShutdown(): void {
    if (this.context.closing) return
    // First of all: it silences events and dials, which the goodbyes below would cause.
    this.context.closing = true
    this.dialler.scheduleAll()
    for (const connection of this.connections.all()) {
      switch (connection.phase) {
        case 'connecting':
          this.connections.destroy(connection)
          break
        case 'awaitHello':
          this.handshake.refuse(connection, 'shuttingDown')
          break
        case 'linked':
          this.links.sayGoodbye(connection, GoodbyeReason.shutdown, 'goodbye')
          break
        default:
          this.context.closeGracefully(connection, 'closing')
      }
    }
  }

  private onInboxFull(uid: Uid): void {
    const link = this.peerTable.get(uid)?.link
    if (link === undefined) return
    this.context.counters.inboxFull += 1
    this.context.closeGracefully(link, 'closing')
    this.links.down(link, 'ioError', false)
  }
}

function statusOf(peer: Peer, detectorMs: number): PeerStatus {
  return {
    uid: peer.uid,
    address: peer.watch?.target.address ?? peer.address!,
    linked: peer.link !== undefined,
    watched: peer.watch !== undefined,
    phi: peer.watch?.detector?.phi(detectorMs) ?? 0,
    silentMs: peer.watch?.detector?.silentMs(detectorMs) ?? 0,
    loopAgeMs: peer.loopAgeMs,
    rttMs: peer.rttMs,
    outboxBytes: peer.link?.unsentBytes ?? 0,
  }
}
