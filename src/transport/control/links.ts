/**
 * The one link per pair: completing, replacing, losing and closing it, and the frames that come in on it.
 */
import type { Address, Uid } from '../../core/address.js'
import {
  decodeGoodbye,
  decodeHeartbeat,
  decodeQuarantined,
  decodeWatch,
  encodeGoodbye,
  encodeQuarantined,
  type Frame,
  FrameKind,
  GoodbyeReason,
  QuarantineReason as WireQuarantineReason,
} from '../../wire/frame.js'
import { TRANSPORT_LIMITS } from '../limits.js'
import type { LinkDownReason, QuarantineReason } from '../transport.js'
import type { Beats } from './beats.js'
import { type Connection, compareLinks, peerHello } from './connection.js'
import type { ConnectionTable } from './connection-table.js'
import type { Dialler } from './dialler.js'
import { DIAL_MAX, type Peer, type PeerTable } from './peers.js'
import type { PlaneContext } from './plane-context.js'
import type { Watcher } from './watcher.js'

/** What a frame on a link leads to: nothing more, or the end of the connection for bad input. */
export type FrameOutcome = 'ok' | 'frameTooShort' | 'unexpectedFrame'

export class Links {
  constructor(
    private readonly context: PlaneContext,
    private readonly peers: PeerTable,
    private readonly dialler: Dialler,
    private readonly watcher: Watcher,
    private readonly beats: Beats,
    private readonly connections: ConnectionTable,
  ) {}

  /** Whether a link `(dial, dialler's uid)` would take the place of the pair's present one. */
  wouldWin(peer: Peer | undefined, dial: number, dialUid: Uid): boolean {
    const link = peer?.link
    if (link === undefined) return true
    const order = compareLinks(dial, dialUid, link.dial, link.dialUid)
    // Where numbers have come to an end the later dial of one end counts as the higher: a dead link must be replaceable.
    return order > 0 || (order === 0 && dial === DIAL_MAX)
  }

  /** The handshake is complete on this side: the connection becomes the pair's link unless it has a higher one. */
  complete(connection: Connection): void {
    const { context } = this
    const hello = connection.hello!
    const peer = this.peers.ensure(hello.uid)
    connection.peer = peer
    connection.pendingInbound = false
    context.deadlines.clear(connection.deadline)
    context.counters.handshakesCompleted += 1
    peer.noteDial(connection.dial)
    if (!this.wouldWin(peer, connection.dial, connection.dialUid)) {
      // It never was a session here: its messages could overtake those of the link, so they are dropped.
      this.supersede(connection, 'closing')
      return
    }
    if (peer.link !== undefined) this.supersede(peer.link, 'superseded')
    connection.phase = 'linked'
    this.peers.setLink(peer, connection, hello.advertised)
    context.counters.linksUp += 1
    context.emit({ type: 'linkUp', peer: peerHello(connection), session: connection.session })
    // The watcher first: its redial flag decides whether the dialler still has anything to do.
    this.watcher.onLinkUp(peer)
    this.dialler.onLinkUp(peer)
  }

  /** The link is gone. `atOnce`: a peer still wanted is dialled now, not after the back-off. */
  down(connection: Connection, reason: LinkDownReason, atOnce: boolean): void {
    const peer = connection.peer
    // A socket that was replaced, or never became the link, is no loss.
    if (peer?.link !== connection) return
    this.peers.clearLink(peer)
    this.context.counters.linksDown += 1
    this.context.emit({ type: 'linkDown', uid: peer.uid, session: connection.session, reason })
    this.dialler.onLinkDown(peer, atOnce)
  }

  /** Closes a link of ours on purpose. */
  sayGoodbye(connection: Connection, goodbye: GoodbyeReason, reason: LinkDownReason): void {
    this.context.write(connection, encodeGoodbye(goodbye))
    this.context.closeGracefully(connection, 'closing')
    this.down(connection, reason, false)
  }

  /** After a `disconnect` that had to leave the link to a watch: closes it once neither end watches the other. */
  closeIfUnwanted(peer: Peer): void {
    const { link } = peer
    if (link === undefined || !peer.unwanted || peer.watch !== undefined || link.beatIntervalMs !== 0) return
    this.sayGoodbye(link, GoodbyeReason.unwanted, 'disconnected')
  }

  /** A link held for a successor that will not come now. */
  releaseHeld(uid: Uid): void {
    const link = this.peers.get(uid)?.link
    if (link?.heldForSuccessor !== true || this.connections.awaitsReady(uid)) return
    this.context.closeGracefully(link, 'closing')
    this.down(link, 'superseded', true)
  }

  /** Tells a connection's other end that it is quarantined here, and closes. */
  sayQuarantined(connection: Connection, uid: Uid, reason: QuarantineReason): void {
    this.context.write(connection, encodeQuarantined(uid, WireQuarantineReason[reason]))
    this.context.closeGracefully(connection, 'closing')
    this.down(connection, 'quarantined', false)
  }

  /** The peer's FIN on a complete connection. */
  onEnded(connection: Connection): void {
    const uid = connection.peer!.uid
    if (connection.supersededByPeer && this.connections.awaitsReady(uid)) {
      // Its successor is about to complete; until then this socket still carries what we send.
      connection.heldForSuccessor = true
      const { deadlines, nowMs } = this.context
      deadlines.set(connection.deadline, nowMs + TRANSPORT_LIMITS.drainTimeoutMs)
      return
    }
    this.context.closeGracefully(connection, 'closing')
    this.down(connection, connection.supersededByPeer ? 'superseded' : 'closedByPeer', true)
  }

  /** A frame on a connection that is the link, or was before a higher one replaced it. */
  onFrame(connection: Connection, frame: Frame): FrameOutcome {
    switch (frame.kind) {
      case FrameKind.message:
        this.onMessage(connection, frame)
        return 'ok'
      case FrameKind.heartbeat:
        return this.onHeartbeat(connection, frame)
      case FrameKind.echo:
        return this.onEcho(connection, frame)
      case FrameKind.watch:
        return this.onWatch(connection, frame)
      case FrameKind.quarantined:
        return this.onQuarantined(connection, frame)
      case FrameKind.goodbye:
        return this.onGoodbye(connection, frame)
      default:
        return 'unexpectedFrame'
    }
  }

  /** `quarantined` from a peer that has said hello. */
  onQuarantined(connection: Connection, frame: Frame): FrameOutcome {
    const body = decodeQuarantined(frame.body)
    if (body === undefined) return 'frameTooShort'
    if (body.uid !== this.context.uid) return 'unexpectedFrame'
    const { uid, advertised } = connection.hello!
    this.raiseQuarantinedBy(uid, advertised, body.reason)
    this.context.closeGracefully(connection, 'closing')
    // Blocks the address before the loss of the link could dial it.
    this.dialler.onQuarantinedBy(uid, advertised)
    this.down(connection, 'quarantined', false)
    return 'ok'
  }

  raiseQuarantinedBy(uid: Uid, address: Address, wireReason: number): void {
    const known = WireQuarantineReason[wireReason]
    const reason = known === undefined || known === 'none' ? 'operator' : (known as QuarantineReason)
    this.context.emit({ type: 'quarantinedBy', uid, address, reason })
  }

  private supersede(connection: Connection, phase: 'closing' | 'superseded'): void {
    this.context.counters.superseded += 1
    this.context.write(connection, encodeGoodbye(GoodbyeReason.superseded))
    this.context.closeGracefully(connection, phase)
  }

  private onMessage(connection: Connection, frame: Frame): void {
    this.context.counters.messagesIn += 1
    const uid = connection.peer!.uid
    this.context.emit({ type: 'message', uid, session: connection.session, bytes: ownBytes(frame.body) })
  }

  private onHeartbeat(connection: Connection, frame: Frame): FrameOutcome {
    const body = decodeHeartbeat(frame.body)
    if (body === undefined) return 'frameTooShort'
    this.context.counters.beatsIn += 1
    // What still drains from a replaced socket was sent before it was replaced: no news of the peer.
    if (connection.phase !== 'linked') return 'ok'
    const peer = connection.peer!
    peer.loopAgeMs = body.loopAgeMs
    this.beats.onBeat(connection, frame)
    this.watcher.onBeat(peer, body.loopAgeMs)
    return 'ok'
  }

  private onEcho(connection: Connection, frame: Frame): FrameOutcome {
    const body = decodeHeartbeat(frame.body)
    if (body === undefined) return 'frameTooShort'
    this.context.counters.echoesIn += 1
    if (connection.phase !== 'linked') return 'ok'
    const peer = connection.peer!
    peer.rttMs = this.beats.roundTripMs(connection, frame) ?? peer.rttMs
    peer.loopAgeMs = body.loopAgeMs
    this.watcher.onLoopAge(peer, body.loopAgeMs)
    return 'ok'
  }

  private onWatch(connection: Connection, frame: Frame): FrameOutcome {
    const intervalMs = decodeWatch(frame.body)
    if (intervalMs === undefined) return 'frameTooShort'
    if (connection.phase !== 'linked') return 'ok'
    this.beats.onWatch(connection, intervalMs)
    this.closeIfUnwanted(connection.peer!)
    return 'ok'
  }

  private onGoodbye(connection: Connection, frame: Frame): FrameOutcome {
    const reason = decodeGoodbye(frame.body)
    if (reason === undefined) return 'frameTooShort'
    if (reason === GoodbyeReason.superseded) {
      // Needs no action: the successor completes, or has, and replaces this socket here as it did there.
      connection.supersededByPeer = true
      return 'ok'
    }
    this.context.closeGracefully(connection, 'closing')
    this.down(connection, 'goodbye', reason === GoodbyeReason.shutdown)
    return 'ok'
  }
}

/** The receiver's to keep: a copy, unless the view is nearly all of its buffer. */
function ownBytes(body: Uint8Array): Uint8Array {
  return body.buffer.byteLength <= body.length + 64 ? body : body.slice()
}
