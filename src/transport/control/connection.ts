/**
 * State of one socket. A connection walks through its phases once, never back; what each phase may receive is
 * decided in `control-plane.ts`.
 */
import type { Address, Uid } from '../../core/address.js'
import type { Hello } from '../../wire/hello.js'
import type { DataLane, PeerHello } from '../transport.js'
import type { Transcript } from './auth.js'
import type { Deadline } from './deadlines.js'
import { FrameBuffer } from './frame-buffer.js'
import type { ConnectionId } from './io.js'
import type { Peer } from './peers.js'
import type { Target } from './targets.js'

export type ConnectionPhase =
  /** Dialler: the connect is pending. */
  | 'connecting'
  /** Dialler: hello written, its answer awaited. */
  | 'helloSent'
  /** Acceptor: nothing received yet. */
  | 'awaitHello'
  /** Acceptor: hello ack written. */
  | 'awaitReady'
  /** Complete, and the pair's link. */
  | 'linked'
  /** Was the link; a higher one took its place. Drains, and still delivers under its session. */
  | 'superseded'
  /** Drains; what arrives is dropped. */
  | 'closing'

export class Connection {
  phase: ConnectionPhase
  readonly buffer = new FrameBuffer()
  /** Dial or handshake timeout, later the bound of the drain. */
  readonly deadline: Deadline
  /** The link's identity: dial number, then the dialler's uid. */
  dial = 0
  dialUid: Uid = ''
  /** What the other end said of itself. */
  hello: Hello | undefined
  peer: Peer | undefined
  /** The pair's session number once this is its link; 0 before. */
  session = 0

  /** What it is to become; undefined for a control link. A dialler knows from the start, an acceptor from the hello. */
  lane: DataLane | undefined

  /** Dialler: where to, and the incarnation it expects there, if any. */
  address: Address | undefined
  expected: Uid | undefined
  /** Dialler of a control link: what it serves. */
  target: Target | undefined

  /** With secrets, until the handshake is complete: what has been said, on the dialler's side without the ack at first. */
  transcript: Transcript | undefined
  /** Dialler with secrets: what `ready` is to carry. */
  proof: Uint8Array | undefined

  /** Acceptor that never completed: counts against `pendingHandshakesMax`. */
  pendingInbound = false
  /** The peer has said goodbye with `superseded`: its end is no loss of the pair's link. */
  supersededByPeer = false
  /** It has ended after that, and is kept for sending until the successor is complete. */
  heldForSuccessor = false
  /** The stream cannot be read any further. */
  unreadable = false

  /** Beats that the peer wants on this link; 0 when it does not watch. */
  beatIntervalMs = 0
  beatDeadline: Deadline | undefined
  beatDueMs = 0
  lastBeatMs = Number.NEGATIVE_INFINITY
  beatSequence = 0
  messageSequence = 0

  private queuedTotal = 0
  private writtenTotal = 0
  /** Stream offsets at which the last beat and the last echo end. */
  private beatEnd = 0
  private echoEnd = 0

  constructor(
    readonly id: ConnectionId,
    readonly remote: string,
    phase: 'connecting' | 'awaitHello',
    makeDeadline: (connection: Connection) => Deadline,
  ) {
    this.phase = phase
    this.deadline = makeDeadline(this)
  }

  /** Bytes queued that the kernel has not taken. */
  get unsentBytes(): number {
    return this.queuedTotal - this.writtenTotal
  }

  get hasUnsentBeat(): boolean {
    return this.beatEnd > this.writtenTotal
  }

  get hasUnsentEcho(): boolean {
    return this.echoEnd > this.writtenTotal
  }

  noteQueued(bytes: number): void {
    this.queuedTotal += bytes
  }

  noteWritten(bytes: number): void {
    this.writtenTotal = Math.min(this.queuedTotal, this.writtenTotal + bytes)
  }

  noteBeatQueued(): void {
    this.beatEnd = this.queuedTotal
  }

  noteEchoQueued(): void {
    this.echoEnd = this.queuedTotal
  }
}

/** What the other end of a connection said of itself in its hello, which has come. */
export function peerHello(connection: Connection): PeerHello {
  const hello = connection.hello!
  return { uid: hello.uid, nodeId: hello.nodeId, address: hello.advertised, bind: hello.bind }
}

/** Orders links of one pair: by dial number, then by the dialler's uid. */
export function compareLinks(aDial: number, aUid: Uid, bDial: number, bUid: Uid): number {
  if (aDial !== bDial) return aDial - bDial
  if (aUid === bUid) return 0
  return aUid < bUid ? -1 : 1
}
