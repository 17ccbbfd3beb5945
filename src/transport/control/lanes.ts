/**
 * Data lanes up to their hand-over: dialled beside a link, shaken hands on, and forgotten here. Whatever becomes of
 * one, links, targets and suspicion are not touched by it.
 */
import type { Uid } from '../../core/address.js'
import { encodeFrame, FrameKind } from '../../wire/frame.js'
import { CONTROL_LINK_LIMITS } from '../limits.js'
import type { DataLane } from '../transport.js'
import { type Connection, peerHello } from './connection.js'
import type { ConnectionTable } from './connection-table.js'
import type { DialFailure } from './io.js'
import { DIAL_MAX, type PeerTable } from './peers.js'
import type { PlaneContext } from './plane-context.js'

type LaneFailure = DialFailure | 'noLink' | 'handshake'

export class Lanes {
  /** Dials under way. */
  private dialing = 0

  constructor(
    private readonly context: PlaneContext,
    private readonly peers: PeerTable,
    private readonly connections: ConnectionTable,
  ) {}

  /** Dials a lane to a linked peer, at the address that it advertises. */
  open(uid: Uid, lane: DataLane, dial: number): void {
    const { context } = this
    if (context.closing) return
    const peer = this.peers.get(uid)
    if (peer?.link === undefined) return this.raiseFailed(uid, lane, dial, 'noLink')
    // No peer would take such a hello.
    if (!(dial >= 1 && dial <= DIAL_MAX)) return this.raiseFailed(uid, lane, dial, 'handshake')
    if (this.dialing >= CONTROL_LINK_LIMITS.laneDialsMax)
      return this.raiseFailed(uid, lane, dial, 'unreachable')
    const address = peer.address!
    const connection = this.connections.addLaneDial({ uid, lane, dial, address })
    this.dialing += 1
    context.push({ type: 'dial', connection: connection.id, address })
  }

  /** The acceptor's ack to a dial of ours; nothing was wrong with it. */
  onAck(connection: Connection): void {
    // Another incarnation lives there now. What that means is found out by the control link.
    if (connection.hello!.uid !== connection.expected) {
      this.context.closeGracefully(connection, 'closing')
      return this.onFailure(connection, 'handshake')
    }
    this.dialing -= 1
    this.context.write(connection, encodeFrame(FrameKind.ready, connection.proof))
    this.complete(connection)
  }

  /** The handshake is complete on this side: from here on the socket is the data layer's. */
  complete(connection: Connection): void {
    const { context } = this
    this.connections.forget(connection)
    context.counters.lanesOpened += 1
    context.push({
      type: 'handOver',
      connection: connection.id,
      peer: peerHello(connection),
      lane: connection.lane!,
      dial: connection.dial,
      dialler: connection.dialUid,
      unread: connection.buffer.takeAll(),
    })
  }

  /** A dial of ours has come to nothing; its connection is closing, or forgotten. */
  onFailure(connection: Connection, reason: DialFailure | 'handshake'): void {
    this.dialing -= 1
    this.raiseFailed(connection.expected!, connection.lane!, connection.dial, reason)
  }

  /** Ends the handshakes with that incarnation. Without a frame: on the other end the socket may be the data layer's already. */
  onQuarantine(uid: Uid): void {
    for (const connection of this.connections.all()) {
      const { phase } = connection
      if (connection.lane === undefined || phase === 'closing') continue
      const isDial = connection.expected === uid
      if (!isDial && connection.hello?.uid !== uid) continue
      if (phase === 'connecting') this.connections.destroy(connection)
      else this.context.closeGracefully(connection, 'closing')
      if (isDial) this.onFailure(connection, 'handshake')
    }
  }

  private raiseFailed(uid: Uid, lane: DataLane, dial: number, reason: LaneFailure): void {
    this.context.counters.laneDialsFailed += 1
    this.context.emit({ type: 'laneFailed', uid, lane, dial, reason })
  }
}
