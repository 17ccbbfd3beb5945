/**
 * What goes into the machine and what comes out of it: plain data, so that the live node, the simulator and a test
 * drive the same code.
 */
import type { Address, Uid, UniqueAddress } from './address.js'
import type { ClusterEvent, Message, QuarantineCause, TerminationReason } from './model.js'

export type Input =
  /** Begins to join through the seeds of the settings. */
  | { readonly type: 'join' }
  | { readonly type: 'linkUp'; readonly peer: UniqueAddress; readonly session: number }
  | { readonly type: 'linkDown'; readonly uid: Uid; readonly session: number }
  | { readonly type: 'message'; readonly from: Uid; readonly session: number; readonly message: Message }
  /** A `send` effect was not accepted by the transport: the peer lacks what it carried. */
  | { readonly type: 'sendFailed'; readonly to: Uid }
  | {
      readonly type: 'suspicion'
      readonly uid: Uid
      readonly suspected: boolean
      readonly cause: 'silence' | 'gone'
    }
  | { readonly type: 'stalled'; readonly uid: Uid; readonly stalled: boolean; readonly loopAgeMs: number }
  | { readonly type: 'identityChanged'; readonly expected: Uid; readonly actual: UniqueAddress }
  | { readonly type: 'probed'; readonly uid: Uid; readonly outcome: 'alive' | 'gone' | 'unknown' }
  | {
      readonly type: 'quarantinedBy'
      readonly uid: Uid
      readonly address: Address
      readonly reason: QuarantineCause
    }
  | { readonly type: 'paused'; readonly gapMs: number }
  /** An operator's word. Unknown uids are ignored here and refused by the shell. */
  | { readonly type: 'down'; readonly uid: Uid }
  | { readonly type: 'leave'; readonly uid: Uid }
  /** The armed deadline has passed. Harmless at any time. */
  | { readonly type: 'deadline' }

export type Effect =
  | { readonly type: 'send'; readonly to: Uid; readonly message: Message }
  | { readonly type: 'connect'; readonly address: Address; readonly uid?: Uid }
  | { readonly type: 'disconnect'; readonly address: Address }
  | { readonly type: 'watch'; readonly uid: Uid; readonly address: Address }
  | { readonly type: 'unwatch'; readonly uid: Uid }
  | { readonly type: 'probe'; readonly uid: Uid; readonly address: Address }
  | { readonly type: 'quarantine'; readonly uid: Uid; readonly reason: QuarantineCause }
  | { readonly type: 'publish'; readonly event: ClusterEvent }
  /** This node's membership is over; nothing follows. The shell closes the transport. */
  | { readonly type: 'terminate'; readonly reason: TerminationReason; readonly detail: string }
