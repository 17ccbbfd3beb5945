/**
 * What goes into the control-link engine and what comes out of it: plain data. An adapter turns sockets, a timer
 * and the commands of the transport contract into inputs, and applies effects in order.
 */
import type { Address, Uid } from '../../core/address.js'
import type { BadInputReason, DataLane, PeerHello, QuarantineReason, TransportEvent } from '../transport.js'

/** Names one socket of this transport; drawn from the engine, never reused. */
export type ConnectionId = number

/** Why a dial did not connect. Only `refused` is evidence that nobody listens. */
export type DialFailure = 'refused' | 'timeout' | 'unreachable'

export type Input =
  /** The listener is bound; until then nothing is dialled. */
  | { readonly type: 'started'; readonly bind: Address; readonly advertised: Address }
  | { readonly type: 'accepted'; readonly connection: ConnectionId; readonly remote: string }
  | { readonly type: 'opened'; readonly connection: ConnectionId }
  /** Last input of a dial that did not come to `opened`; `handshake`: it connected, and was given up below the engine. */
  | {
      readonly type: 'failed'
      readonly connection: ConnectionId
      readonly reason: DialFailure | 'handshake'
    }
  /** Below the engine something was wrong with the peer, before a byte of its stream was read; none will be. */
  | { readonly type: 'rejected'; readonly connection: ConnectionId; readonly reason: BadInputReason }
  /** Bytes read. The engine keeps the view. */
  | { readonly type: 'data'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** The peer's FIN, after all of its data. */
  | { readonly type: 'ended'; readonly connection: ConnectionId }
  /** The socket is no more; last input of a connection. Not owed after `destroy`. */
  | { readonly type: 'closed'; readonly connection: ConnectionId; readonly how: 'closed' | 'reset' | 'error' }
  /** The kernel took this many bytes of what was written. */
  | { readonly type: 'written'; readonly connection: ConnectionId; readonly bytes: number }
  | { readonly type: 'connect'; readonly address: Address; readonly uid?: Uid }
  | { readonly type: 'disconnect'; readonly address: Address }
  | { readonly type: 'watch'; readonly uid: Uid; readonly address: Address }
  | { readonly type: 'unwatch'; readonly uid: Uid }
  | { readonly type: 'probe'; readonly uid: Uid; readonly address: Address }
  | { readonly type: 'openLane'; readonly uid: Uid; readonly lane: DataLane; readonly dial: number }
  | { readonly type: 'quarantine'; readonly uid: Uid; readonly reason: QuarantineReason }
  /** Our own reader is hopelessly behind: gives up the link it cannot take from. */
  | { readonly type: 'inboxFull'; readonly uid: Uid }
  /** Goodbye on every link; no event follows. Finished when the engine has no connections left. */
  | { readonly type: 'shutdown' }
  /** The time that `nextDeadline` named has come, and what waited in the sockets before it has been read. Harmless at any time. */
  | { readonly type: 'deadline' }

export type Effect =
  | { readonly type: 'dial'; readonly connection: ConnectionId; readonly address: Address }
  /** Appends to the connection's stream. The adapter owns the bytes from here on. */
  | { readonly type: 'write'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** Flush, shutdown(SHUT_WR), keep reading to EOF, close. */
  | { readonly type: 'closeGracefully'; readonly connection: ConnectionId }
  /** Close now, whatever is unsent or unread. */
  /** `reset`: nothing was agreed on it, and nobody may be there to end the other side; FIN would leave it in the kernel for a minute. */
  | { readonly type: 'destroy'; readonly connection: ConnectionId; readonly reset?: boolean }
  /**
   * The connection has become a data lane, and the engine forgets it: the adapter makes a `LaneSocket` of its socket, behind what
   * was written before. `unread` was read from it already.
   */
  | {
      readonly type: 'handOver'
      readonly connection: ConnectionId
      readonly peer: PeerHello
      readonly lane: DataLane
      readonly dial: number
      readonly dialler: Uid
      readonly unread: Uint8Array
    }
  | { readonly type: 'event'; readonly event: TransportEvent }
