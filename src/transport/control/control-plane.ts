/**
 * The control link as a state machine without I/O: docs/protocol.md, executable. Inputs and their time go in,
 * effects come out; it never throws because of a peer, draws randomness only from the generator handed in, and
 * iterates in insertion order, so that one sequence of inputs gives one sequence of effects.
 */
import type { Address, Uid } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import {
  decodeFrame,
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  FrameKind,
  frameCrcMatches,
  GoodbyeReason,
  isFrameKind,
  Lane,
} from '../../wire/frame.js'
import { hasHelloMagic } from '../../wire/hello.js'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../limits.js'
import type {
  BadInputReason,
  PeerStatus,
  QuarantineReason,
  SendResult,
  TransportCounters,
} from '../transport.js'
import { Beats } from './beats.js'
import { Connection } from './connection.js'
import { Deadline } from './deadlines.js'
import { Dialler } from './dialler.js'
import { Handshake } from './handshake.js'
import type { ConnectionId, Effect, Input } from './io.js'
import { Links } from './links.js'
import { type Peer, PeerTable } from './peers.js'
import { type ControlPlaneOptions, PlaneContext } from './plane-context.js'
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
  private readonly handshake: Handshake
  private readonly connections = new Map<ConnectionId, Connection>()
  private lastConnectionId = 0
  private lastTurnMs = 0
  /** After a pause of our own: nothing fires before the sockets have been read. */
  private held = false

  constructor(options: ControlPlaneOptions) {
    this.context = new PlaneContext(options)
    this.peerTable = new PeerTable(this.context.counters)
    this.dialler = new Dialler(this.context, this.peerTable, {
      newConnectionId: () => this.newConnectionId(),
      register: (connection) => this.connections.set(connection.id, connection),
      forget: (connection) => this.forget(connection),
      onDialDeadline: (connection) => this.onConnectionDeadline(connection),
      onGone: (watch) => this.watcher.onGone(watch),
    })
    this.watcher = new Watcher(this.context, (target) => this.dialler.schedule(target))
    const beats = new Beats(this.context)
    this.links = new Links(this.context, this.peerTable, this.dialler, this.watcher, beats, (uid) =>
      this.hasPendingHandshake(uid),
    )
    this.handshake = new Handshake(
      this.context,
      this.peerTable,
      this.dialler,
      this.links,
      (connection, reason) => this.closeForBadInput(connection, reason),
    )
  }

  /** A fresh name for a socket that the adapter has accepted. */
  newConnectionId(): ConnectionId {
    this.lastConnectionId += 1
    return this.lastConnectionId
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
  count(name: 'wakeups' | 'inboxFull', by = 1): void {
    this.context.counters[name] += by
  }

  private observePause(): boolean {
    const { context } = this
    const gapMs = context.nowMs - this.lastTurnMs
    this.lastTurnMs = context.nowMs
    if (!context.started || gapMs <= TRANSPORT_LIMITS.selfPauseMs) return false
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
      case 'quarantine':
        return this.onQuarantine(input.uid, input.reason)
      case 'shutdown':
        return this.onShutdown()
      case 'accepted':
        return this.onAccepted(input.connection, input.remote)
      case 'inboxFull':
        return this.onInboxFull(input.uid)
      default:
        return this.onSocket(input)
    }
  }

  private onSocket(
    input: Extract<Input, { type: 'opened' | 'failed' | 'data' | 'ended' | 'closed' | 'written' }>,
  ): void {
    const connection = this.connections.get(input.connection)
    if (connection === undefined) return
    switch (input.type) {
      case 'data':
        return this.onData(connection, input.bytes)
      case 'written':
        return connection.noteWritten(input.bytes)
      case 'opened':
        if (connection.phase === 'connecting') this.handshake.onOpened(connection)
        return
      case 'failed':
        this.forget(connection)
        if (connection.phase === 'connecting') this.dialler.onFailure(connection, input.reason)
        return
      case 'ended':
        return this.onEnded(connection)
      case 'closed':
        return this.onClosed(connection, input.how)
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
    if (target !== undefined) this.dialler.connect(target, uid)
  }

  private onDisconnect(address: Address): void {
    const target = this.dialler.get(address)
    const linked = this.dialler.linksTo(address)
    if (target !== undefined) this.dialler.disconnect(target)
    for (const peer of linked) {
      if (peer.link !== undefined) this.links.sayGoodbye(peer.link, GoodbyeReason.unwanted, 'disconnected')
    }
  }

  private onWatch(uid: Uid, address: Address): void {
    if (uid === this.context.uid || this.peerTable.quarantineReason(uid) !== undefined) return
    const target = this.dialler.ensure(address)
    if (target === undefined) return
    const peer = this.peerTable.ensure(uid)
    const known = peer.watch
    if (known?.target === target) return
    if (known === undefined) {
      const watch = this.watcher.start(peer, target)
      this.peerTable.setWatch(peer, watch)
      this.dialler.addWatch(target, watch)
      return
    }
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
  }

  private onProbe(uid: Uid, address: Address): void {
    const target = this.dialler.ensure(address)
    if (target === undefined) this.context.emit({ type: 'probed', uid, outcome: 'unknown' })
    else this.dialler.probe(target, uid)
  }

  private onQuarantine(uid: Uid, reason: QuarantineReason): void {
    if (uid === this.context.uid) return
    this.peerTable.quarantine(uid, reason)
    this.onUnwatch(uid)
    this.dialler.forgetUid(uid)
    for (const connection of this.connections.values()) {
      if (connection.hello?.uid !== uid) continue
      if (connection.phase === 'superseded') connection.phase = 'closing'
      else if (connection.phase !== 'closing') this.links.sayQuarantined(connection, uid, reason)
    }
  }

  private onShutdown(): void {
    if (this.context.closing) return
    this.context.closing = true
    this.dialler.scheduleAll()
    for (const connection of this.connections.values()) {
      switch (connection.phase) {
        case 'connecting':
          this.destroy(connection)
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

  private onAccepted(id: ConnectionId, remote: string): void {
    const { context } = this
    context.counters.accepts += 1
    let pending = 0
    for (const connection of this.connections.values()) if (connection.pendingInbound) pending += 1
    if (pending >= TRANSPORT_LIMITS.pendingHandshakesMax || context.closing) {
      if (!context.closing) context.countBadInput(remote, 'tooManyConnections')
      context.push({ type: 'destroy', connection: id })
      return
    }
    const connection = new Connection(id, remote, 'awaitHello', (self) => {
      return new Deadline(() => this.onConnectionDeadline(self))
    })
    connection.pendingInbound = true
    this.connections.set(id, connection)
    context.deadlines.set(connection.deadline, context.nowMs + TRANSPORT_LIMITS.handshakeTimeoutMs)
  }

  private onInboxFull(uid: Uid): void {
    const link = this.peerTable.get(uid)?.link
    if (link === undefined) return
    this.context.counters.inboxFull += 1
    this.context.closeGracefully(link, 'closing')
    this.links.down(link, 'ioError', false)
  }

  private onData(connection: Connection, bytes: Uint8Array): void {
    this.context.counters.bytesIn += bytes.length
    if (connection.unreadable) return
    connection.buffer.push(bytes)
    while (!connection.unreadable) {
      const complete = connection.peer !== undefined
      const { controlFrameBytesMax, helloFrameBytesMax } = TRANSPORT_LIMITS
      const step = connection.buffer.next(complete ? controlFrameBytesMax : helloFrameBytesMax)
      if (step === undefined) return
      if (typeof step === 'string') return this.closeForBadInput(connection, step)
      this.context.counters.framesIn += 1
      this.onFrame(connection, step)
    }
  }

  private onFrame(connection: Connection, bytes: Uint8Array): void {
    if (connection.phase === 'closing') return this.dropFrame(connection, bytes)
    if (connection.phase === 'awaitHello' && !hasHelloMagic(bytes.subarray(FRAME_HEADER_BYTES))) {
      return this.closeForBadInput(connection, 'badMagic')
    }
    if (!frameCrcMatches(bytes)) return this.closeForBadInput(connection, 'badCrc')
    const frame = decodeFrame(bytes)
    if (!isFrameKind(frame.kind)) return this.closeForBadInput(connection, 'unknownKind')
    if (frame.lane !== Lane.control) return this.closeForBadInput(connection, 'unexpectedFrame')
    switch (connection.phase) {
      case 'awaitHello':
        return this.handshake.onHelloFrame(connection, frame)
      case 'awaitReady':
        return this.handshake.onReadyFrame(connection, frame)
      case 'helloSent':
        return this.handshake.onAnswerFrame(connection, frame)
      default: {
        const outcome = this.links.onFrame(connection, frame)
        if (outcome !== 'ok') this.closeForBadInput(connection, outcome)
      }
    }
  }

  /** Nothing is delivered from a connection that is no link, or no longer; but it is counted. */
  private dropFrame(connection: Connection, bytes: Uint8Array): void {
    const uid = connection.hello?.uid
    const { counters } = this.context
    if (uid !== undefined && this.peerTable.quarantineReason(uid) !== undefined)
      counters.quarantinedFramesDropped += 1
    else if (bytes[4] === FrameKind.message) counters.messagesDropped += 1
  }

  private onEnded(connection: Connection): void {
    const { phase } = connection
    if (phase === 'closing' || phase === 'superseded') return
    if (connection.buffer.byteLength > 0) this.context.countBadInput(connection.remote, 'truncatedFrame')
    if (phase === 'linked' && connection.buffer.byteLength === 0) return this.links.onEnded(connection)
    this.context.closeGracefully(connection, 'closing')
    if (phase === 'linked') this.links.down(connection, 'badInput', true)
    if (phase === 'helloSent') this.dialler.onFailure(connection, 'handshake')
  }

  private onClosed(connection: Connection, how: 'closed' | 'reset' | 'error'): void {
    this.forget(connection)
    const reasons = { closed: 'closedByPeer', reset: 'resetByPeer', error: 'ioError' } as const
    switch (connection.phase) {
      case 'connecting':
        return this.dialler.onFailure(connection, 'unreachable')
      case 'helloSent':
        return this.dialler.onFailure(connection, 'handshake')
      case 'linked':
        return this.links.down(connection, connection.supersededByPeer ? 'superseded' : reasons[how], true)
      default:
    }
  }

  private onConnectionDeadline(connection: Connection): void {
    switch (connection.phase) {
      case 'connecting':
        this.destroy(connection)
        return this.dialler.onFailure(connection, 'timeout')
      case 'helloSent':
        this.context.closeGracefully(connection, 'closing')
        return this.dialler.onFailure(connection, 'timeout')
      case 'awaitHello':
      case 'awaitReady':
        return this.closeForBadInput(connection, 'handshakeTimeout')
      case 'linked':
        // Its successor never completed.
        this.context.closeGracefully(connection, 'closing')
        return this.links.down(connection, 'superseded', true)
      default:
        return this.destroy(connection)
    }
  }

  private closeForBadInput(connection: Connection, reason: BadInputReason): void {
    const { phase } = connection
    connection.unreadable = true
    connection.buffer.clear()
    // What a connection in drain sends changes nothing, and its end is under way.
    if (phase === 'closing') return
    this.context.countBadInput(connection.remote, reason)
    this.context.closeGracefully(connection, 'closing')
    if (phase === 'linked') this.links.down(connection, 'badInput', false)
    if (phase === 'helloSent') this.dialler.onFailure(connection, 'handshake')
  }

  private destroy(connection: Connection): void {
    this.context.push({ type: 'destroy', connection: connection.id })
    this.forget(connection)
  }

  private forget(connection: Connection): void {
    this.connections.delete(connection.id)
    this.context.deadlines.clear(connection.deadline)
    if (connection.beatDeadline !== undefined) this.context.deadlines.clear(connection.beatDeadline)
  }

  private hasPendingHandshake(uid: Uid): boolean {
    for (const connection of this.connections.values()) {
      if (connection.phase === 'awaitReady' && connection.hello?.uid === uid) return true
    }
    return false
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
