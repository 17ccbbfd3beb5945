/** The handle of a running node, as users see it. `ClusterNode` is its only implementation. */
import type { ClusterState, Member } from '../core/model.js'
import type { Messaging } from '../messaging/messaging.js'
import type { Router } from '../messaging/routing/router.js'
import type { RouterOptions } from '../messaging/routing/router-options.js'
import type { PeerStatus, TlsOptions } from '../transport/transport.js'
import type { Closed, EventOf, ShellEventType, StreamItem } from './events.js'
import type { NodeReference } from './member-lookup.js'

export interface EventsOptions {
  /** Unread items an iterator holds before it is ended with `ERR_SKEIN_EVENTS_OVERFLOW`. Default 10_000. */
  readonly bufferMax?: number
}

export interface LeaveOptions {
  /** How long to wait for the removal. Default 30_000. */
  readonly timeoutMs?: number
}

export interface BroadcastOptions {
  /** Only members with this role. */
  readonly role?: string
  /** This node too. Default false. */
  readonly includeSelf?: boolean
}

export interface Cluster extends Messaging<NodeReference>, AsyncDisposable {
  /** This node, as a member. */
  readonly self: Member
  /** The cluster as this node sees it: immutable, and the same object until something changes. */
  readonly state: ClusterState
  /** Resolves when the node has ended, with the reason. Never rejects. */
  readonly closed: Promise<Closed>

  /**
   * A snapshot, then every later event in order. Ends when the node has closed; iterators are independent, and
   * leaving the loop unsubscribes. Throws `ERR_SKEIN_EVENTS_OVERFLOW` into a reader that falls behind.
   */
  events(options?: EventsOptions): AsyncIterableIterator<StreamItem, undefined>

  /**
   * Calls `listener` for every later event of this type. An error it throws is logged and thrown again from a
   * task of its own (`uncaughtException`); the node and other listeners are unaffected.
   */
  on<T extends ShellEventType>(type: T, listener: (event: EventOf<T>) => void): this
  once<T extends ShellEventType>(type: T, listener: (event: EventOf<T>) => void): this
  off<T extends ShellEventType>(type: T, listener: (event: EventOf<T>) => void): this

  /**
   * Declares a member down: it is removed for good and quarantined. Irrevocable for that incarnation; its nodeId may
   * come back as a new one. The word spreads by itself; `memberRemoved` tells when it is done.
   *
   * Throws `ERR_SKEIN_NOT_MEMBER`, `ERR_SKEIN_CLOSED`.
   */
  down(node: NodeReference): void

  /**
   * Leaves gracefully: resolves once this node is removed and closed. Nobody is quarantined. Called again, it
   * waits for the same removal; on a closed node it resolves at once.
   *
   * Rejects with `ERR_SKEIN_LEAVE_TIMEOUT` (still leaving), `ERR_SKEIN_CLOSED` (ended otherwise meanwhile).
   */
  leave(options?: LeaveOptions): Promise<void>
  /** Asks another member to leave, and waits for its removal. Rejects with `ERR_SKEIN_NOT_MEMBER` too. */
  leave(node: NodeReference, options?: LeaveOptions): Promise<void>

  /** Closes abruptly: peers see this node become unreachable, and it stays a member until it is down. Idempotent. */
  close(): Promise<void>

  /**
   * Sends to every member that is up and reachable, and returns to how many. Fire and forget: of a member that there is no room for a dead letter
   * tells. Throws `ERR_SKEIN_INVALID_OPTION`, `ERR_SKEIN_FRAME_TOO_LARGE`, `ERR_SKEIN_CLOSED`; then nothing was sent.
   */
  broadcast(topic: string, bytes: Uint8Array, options?: BroadcastOptions): number
  /** Sends and asks whoever of a role can be reached. Throws `ERR_SKEIN_INVALID_OPTION`. */
  router(role: string, options?: RouterOptions): Router
  /** New certificates for connections from now on; with `tls` only, else throws `ERR_SKEIN_INVALID_OPTION`. */
  setTls(tls: TlsOptions): void

  /** What the transport knows of each peer; empty once closed. */
  peers(): readonly PeerStatus[]

  /**
   * Monotonic counters: the transport's own, `badInput.<reason>`, `events.<type>`, `effects.<type>`,
   * `messagesDropped.<reason>`, `eventListenerErrors`, `eventStreamOverflows`.
   */
  counters(): Readonly<Record<string, number>>
}
