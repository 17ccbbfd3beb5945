/** What a node tells its users: the core's events, and those of the shell around it. */
import type { Address, Uid, UniqueAddress } from '../core/address.js'
import type { ClusterEvent, ClusterState, TerminationReason } from '../core/model.js'
import type { MessagingEvent } from '../messaging/office.js'
import type { BadInputReason, RefusalReason, TransportEvent, TransportKind } from '../transport/transport.js'

/** How a node ended. `closed`: by `close()`. */
export interface Closed {
  readonly reason: TerminationReason | 'closed'
  /** What led to it, for people. */
  readonly detail: string
}

export type ShellEvent =
  | ClusterEvent
  /** The listener is bound; joining begins. */
  | { readonly type: 'listening'; readonly self: UniqueAddress; readonly transport: TransportKind }
  /** `auto` found no native binary: `net` serves, with wider thresholds and no stall reports. */
  | {
      readonly type: 'transportFallback'
      readonly from: 'native'
      readonly to: 'net'
      readonly reason: string
    }
  /** A dial failed; the next one follows by itself. Not quarantine: that never ends. */
  | {
      readonly type: 'gated'
      readonly address: Address
      readonly reason: Extract<TransportEvent, { type: 'gated' }>['reason']
      readonly attempts: number
      readonly retryInMs: number
    }
  /** A peer refused our hello. */
  | { readonly type: 'refused'; readonly address: Address; readonly by: Uid; readonly reason: RefusalReason }
  /** A connection was closed because of what it sent; nothing else changed. */
  | { readonly type: 'connectionRejected'; readonly remote: string; readonly reason: BadInputReason }
  /** Messages that were not delivered, handlers that threw, lanes that were closed. */
  | MessagingEvent
  /** The last event. */
  | ({ readonly type: 'closed' } & Closed)

/** One vocabulary: the same names are used in logs, counters (`events.<type>`), the CLI and the documentation. */
export type ShellEventType = ShellEvent['type']

/** The events of one type, also where several types share a shape. */
export type EventOf<T extends ShellEventType> = ShellEvent extends infer E
  ? E extends { readonly type: ShellEventType }
    ? T extends E['type']
      ? Omit<E, 'type'> & { readonly type: T }
      : never
    : never
  : never

/** The first item of an event iterator is the state it starts from; every later change follows as an event. */
export type StreamItem = { readonly type: 'snapshot'; readonly state: ClusterState } | ShellEvent

/** What `diagnostics_channel` `skein:event` carries: every event of every node in this process. */
export interface DiagnosticsMessage {
  readonly cluster: string
  readonly nodeId: string
  readonly uid: Uid
  readonly event: ShellEvent
}
