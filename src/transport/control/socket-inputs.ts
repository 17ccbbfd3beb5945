/**
 * What happens on sockets: bytes become frames, frames go to the handshake or to the link, ends and errors to
 * whoever waits for that socket. Bad input ends its connection here, with a count, whatever phase it is in.
 */
import {
  decodeFrame,
  FRAME_HEADER_BYTES,
  FrameKind,
  frameCrcMatches,
  isFrameKind,
  Lane,
} from '../../wire/frame.js'
import { hasHelloMagic } from '../../wire/hello.js'
import { TRANSPORT_LIMITS } from '../limits.js'
import type { BadInputReason } from '../transport.js'
import type { Connection } from './connection.js'
import type { ConnectionTable } from './connection-table.js'
import type { Dialler } from './dialler.js'
import type { Handshake } from './handshake.js'
import type { ConnectionId, DialFailure, Input } from './io.js'
import type { Lanes } from './lanes.js'
import type { Links } from './links.js'
import type { PeerTable } from './peers.js'
import type { PlaneContext } from './plane-context.js'

/** Inputs that name a connection which exists already. */
export type SocketInput = Extract<
  Input,
  { type: 'opened' | 'failed' | 'rejected' | 'data' | 'ended' | 'closed' | 'written' }
>

const DOWN_REASONS = { closed: 'closedByPeer', reset: 'resetByPeer', error: 'ioError' } as const

export class SocketInputs {
  constructor(
    private readonly context: PlaneContext,
    private readonly connections: ConnectionTable,
    private readonly peers: PeerTable,
    private readonly dialler: Dialler,
    private readonly links: Links,
    private readonly lanes: Lanes,
    private readonly handshake: Handshake,
  ) {}

  onAccepted(id: ConnectionId, remote: string): void {
    const { context } = this
    context.counters.accepts += 1
    // Handshakes in drain count as well: a flood of refused ones is a flood.
    if (context.closing || this.connections.countPendingInbound() >= TRANSPORT_LIMITS.pendingHandshakesMax) {
      if (!context.closing) context.countBadInput(remote, 'tooManyConnections')
      context.push({ type: 'destroy', connection: id })
      return
    }
    this.connections.addAccepted(id, remote)
  }

  onSocket(input: SocketInput): void {
    const connection = this.connections.get(input.connection)
    if (connection === undefined) return
    // A link may be held open for this handshake; however it ends, that has to be looked at.
    const couldSucceed = connection.phase === 'awaitReady'
    this.route(connection, input)
    if (couldSucceed) this.links.releaseHeld(connection.hello!.uid)
  }

  private route(connection: Connection, input: SocketInput): void {
    switch (input.type) {
      case 'data':
        return this.onData(connection, input.bytes)
      case 'written':
        return connection.noteWritten(input.bytes)
      case 'opened':
        if (connection.phase === 'connecting') this.handshake.onOpened(connection)
        return
      case 'failed':
        if (connection.phase !== 'connecting') return this.onClosed(connection, 'error')
        this.connections.forget(connection)
        return this.dialFailed(connection, input.reason)
      case 'rejected':
        return this.onRejected(connection, input.reason)
      case 'ended':
        return this.onEnded(connection)
      case 'closed':
        return this.onClosed(connection, input.how)
    }
  }

  onDeadline(connection: Connection): void {
    switch (connection.phase) {
      case 'connecting':
        this.connections.destroy(connection)
        return this.dialFailed(connection, 'timeout')
      case 'helloSent':
        this.connections.reset(connection)
        return this.dialFailed(connection, 'timeout')
      case 'awaitHello':
      case 'awaitReady':
        this.closeForBadInput(connection, 'handshakeTimeout')
        if (connection.hello !== undefined) this.links.releaseHeld(connection.hello.uid)
        return
      case 'linked':
        // Replaced, said the peer; but the successor never completed.
        this.context.closeGracefully(connection, 'closing')
        return this.links.down(connection, 'superseded', true)
      default:
        return this.connections.destroy(connection)
    }
  }

  closeForBadInput(connection: Connection, reason: BadInputReason): void {
    const { phase } = connection
    connection.unreadable = true
    connection.buffer.clear()
    // What a connection in drain sends changes nothing, and its end is under way.
    if (phase === 'closing') return
    this.context.countBadInput(connection.remote, reason)
    this.context.closeGracefully(connection, 'closing')
    if (phase === 'linked') this.links.down(connection, 'badInput', false)
    if (phase === 'helloSent' || phase === 'connecting') this.dialFailed(connection, 'handshake')
  }

  private onRejected(connection: Connection, reason: BadInputReason): void {
    if (connection.phase !== 'awaitHello' || reason !== 'unauthenticated')
      return this.closeForBadInput(connection, reason)
    // It has not said who it is, but it can be told what it lacks.
    connection.unreadable = true
    this.context.countBadInput(connection.remote, reason)
    this.handshake.refuse(connection, reason)
  }

  private dialFailed(connection: Connection, reason: DialFailure | 'handshake'): void {
    if (connection.lane === undefined) this.dialler.onFailure(connection, reason)
    else this.lanes.onFailure(connection, reason)
  }

  private onData(connection: Connection, bytes: Uint8Array): void {
    this.context.counters.bytesIn += bytes.length
    // Bytes behind bad input belong to a stream that has lost its frames.
    if (connection.unreadable || connection.phase === 'connecting') return
    connection.buffer.push(bytes)
    while (!connection.unreadable) {
      // Asked anew for every frame: the chunk that completes the handshake may carry a large one behind it.
      const isComplete = connection.peer !== undefined
      const { controlFrameBytesMax, helloFrameBytesMax } = TRANSPORT_LIMITS
      const step = connection.buffer.next(isComplete ? controlFrameBytesMax : helloFrameBytesMax)
      if (step === undefined) return
      if (typeof step === 'string') return this.closeForBadInput(connection, step)
      this.context.counters.framesIn += 1
      this.onFrame(connection, step)
    }
  }

  private onFrame(connection: Connection, bytes: Uint8Array): void {
    if (connection.phase === 'closing') return this.dropFrame(connection, bytes)
    // Before the CRC, so that a stray client of another protocol is not counted as corruption.
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
    const isQuarantined = uid !== undefined && this.peers.quarantineReason(uid) !== undefined
    if (isQuarantined) counters.quarantinedFramesDropped += 1
    else if (bytes[4] === FrameKind.message) counters.messagesDropped += 1
  }

  private onEnded(connection: Connection): void {
    const { phase } = connection
    if (phase === 'closing' || phase === 'superseded' || phase === 'connecting') return
    const isTruncated = connection.buffer.byteLength > 0
    if (isTruncated) this.context.countBadInput(connection.remote, 'truncatedFrame')
    if (phase === 'linked' && !isTruncated) return this.links.onEnded(connection)
    this.context.closeGracefully(connection, 'closing')
    // At once, unlike after other bad input: a process that is killed ends in the middle of a frame, too.
    if (phase === 'linked') this.links.down(connection, 'badInput', true)
    if (phase === 'helloSent') this.dialFailed(connection, 'handshake')
  }

  private onClosed(connection: Connection, how: 'closed' | 'reset' | 'error'): void {
    this.connections.forget(connection)
    switch (connection.phase) {
      case 'connecting':
        return this.dialFailed(connection, 'unreachable')
      case 'helloSent':
        return this.dialFailed(connection, 'handshake')
      case 'linked':
        return this.links.down(
          connection,
          connection.supersededByPeer ? 'superseded' : DOWN_REASONS[how],
          true,
        )
      default:
    }
  }
}
