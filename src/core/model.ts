/**
 * The replicated state's entries and the words for them. Values only.
 *
 * Every entry is stamped `(origin, seq)` by whoever changed it and merges as a join-semilattice (`state.ts`), so
 * delivery order, loss and duplication cannot make two nodes disagree for good.
 */
import type { Address, Uid, UniqueAddress } from './address.js'

/** A member's life, in lattice order: a status only ever moves to the right. */
export const MEMBER_STATUSES = ['joining', 'weaklyUp', 'up', 'leaving', 'exiting', 'down', 'removed'] as const
export type MemberStatus = (typeof MEMBER_STATUSES)[number]

/** Why an incarnation was removed; `downed` quarantines it, `left` quarantines nobody. */
export const REMOVAL_CAUSES = ['none', 'left', 'downed'] as const
export type RemovalCause = (typeof REMOVAL_CAUSES)[number]

/** Who decided a `down`: a person, a downing strategy, or a newer incarnation of the same node. */
export const DOWN_REASONS = ['none', 'operator', 'strategy', 'replaced'] as const
export type DownReason = (typeof DOWN_REASONS)[number]

/** What an observer says of a subject; a subject without a row is reachable. */
export const ROW_STATUSES = ['reachable', 'stalled', 'unreachable'] as const
export type RowStatus = (typeof ROW_STATUSES)[number]

/** One incarnation's membership. `removed` entries are tombstones. */
export interface MemberEntry extends UniqueAddress {
  readonly roles: readonly string[]
  readonly status: MemberStatus
  /** Order of becoming up, from 1; 0 before. */
  readonly upNumber: number
  readonly cause: RemovalCause
  readonly downReason: DownReason
  readonly origin: Uid
  readonly seq: number
}

export interface Row {
  readonly subject: Uid
  readonly status: Exclude<RowStatus, 'reachable'>
}

/** All that one observer holds against others; written by the observer alone, replaced as a whole. */
export interface RowsEntry {
  readonly observer: Uid
  readonly seq: number
  /** The roll call that this observer's newest suspicion opened; 0 if none. */
  readonly rollCall: number
  readonly rows: readonly Row[]
}

/** What a node says of itself; written by that node alone. */
export interface PresenceEntry {
  readonly uid: Uid
  readonly seq: number
  /** The newest roll call this node has answered. */
  readonly rollCall: number
  /** The number of the epoch this node has cut as leader; 0 if none. */
  readonly cut: number
  /** The highest epoch this node knows and therefore reports: `(number, leader)`. */
  readonly reportNumber: number
  readonly reportLeader: Uid
  /** Set by an exiting node that has finished its work. */
  readonly exitConfirmed: boolean
}

/** Highest sequence known of each origin. */
export type VersionVector = ReadonlyMap<Uid, number>

/** A set of changes in the order in which the sender learned them, and what knowing them amounts to. */
export interface Delta {
  readonly members: readonly MemberEntry[]
  readonly rows: readonly RowsEntry[]
  readonly presences: readonly PresenceEntry[]
  readonly vector: readonly (readonly [origin: Uid, seq: number])[]
}

export type JoinRefusal =
  /** The nodeId is held by a living member. */
  | 'duplicateNodeId'
  /** A newer incarnation of this nodeId is or was a member. */
  | 'olderIncarnation'
  /** This incarnation was removed; it can never be a member again. */
  | 'removedIncarnation'
  /** Another nodeId drew the same uid. */
  | 'uidCollision'
  /** A living member is reached at the joiner's advertised address. */
  | 'addressInUse'
  /** The cluster is at its bound of members. */
  | 'clusterFull'

/** Membership messages; they travel on control links between the two uids of the link. */
export type Message =
  /** Asks a seed whether it can let someone in. */
  | { readonly type: 'initJoin' }
  | { readonly type: 'initJoinAck' }
  | { readonly type: 'initJoinNack'; readonly reason: 'notJoined' | 'closing' }
  /** Asks to become a member. The sender's identity is that of the link. */
  | { readonly type: 'join'; readonly roles: readonly string[] }
  /** Accepted; the whole state. */
  | { readonly type: 'welcome'; readonly state: Delta }
  | { readonly type: 'joinRefused'; readonly reason: JoinRefusal }
  /** Not yet: an older incarnation of this node is being verified or removed. Ask again. */
  | { readonly type: 'joinPending'; readonly reason: 'verifying' | 'replacing' }
  /** What the receiver may lack. */
  | { readonly type: 'gossip'; readonly delta: Delta }
  /** What the sender knows; asks for the rest. `reply`: send yours in return. */
  | {
      readonly type: 'vector'
      readonly vector: readonly (readonly [origin: Uid, seq: number])[]
      readonly reply: boolean
    }
  /** A 64-bit digest of what the sender knows, as two unsigned 32-bit halves. */
  | { readonly type: 'digest'; readonly high: number; readonly low: number }

export type MessageType = Message['type']

/** A member as users see it. */
export interface Member extends UniqueAddress {
  readonly roles: readonly string[]
  readonly status: MemberStatus
  readonly upNumber: number
  /** How it is reached from here, by the aggregate of all observers: a second state, never derived from `status`. */
  readonly reachability: RowStatus
}

export interface Blocker extends UniqueAddress {
  /** `unreachable`: must be reachable or down. `stalled`: its loop does not turn. `unseen`: has not reported the epoch. `unconfirmed`: the roll call has not heard it. */
  readonly reason: 'unreachable' | 'stalled' | 'unseen' | 'unconfirmed'
}

export type QuarantineCause = 'removedAfterDown' | 'reliableDeliveryFailed' | 'deathWatch' | 'operator'

export interface QuarantinedNode extends UniqueAddress {
  readonly reason: QuarantineCause
}

/** An immutable picture of the cluster as one node sees it. */
export interface ClusterState {
  readonly cluster: string
  readonly self: Member
  /** Ordered by address. Tombstones are not members. */
  readonly members: readonly Member[]
  /** Members that cannot be reached now; they are still members. */
  readonly unreachable: readonly Member[]
  /** Members whose process answers and whose JavaScript loop does not turn. */
  readonly stalled: readonly Member[]
  readonly leader: Member | undefined
  readonly converged: boolean
  /** Who stands in the way of convergence, and why; empty when converged. */
  readonly blockers: readonly Blocker[]
  readonly quarantined: readonly QuarantinedNode[]
}

export type DowningDecision = 'downNothing' | 'downUnreachable' | 'downReachable' | 'downAll'

/** What a strategy saw and counted; the same on every side of a cut. */
export type DowningEvidence = Readonly<Record<string, number | string | boolean | readonly string[]>>

export type TerminationReason =
  /** Left gracefully. */
  | 'left'
  /** Found itself down, by a person or a strategy. */
  | 'downed'
  /** A member has quarantined this incarnation. */
  | 'quarantined'
  /** No seed let this node in in time. */
  | 'joinTimeout'
  /** A seed refused this node for good. */
  | 'joinRefused'

/** Everything that happens, in the order in which this node learned it. */
export type ClusterEvent =
  | {
      readonly type: 'memberJoined' | 'memberWeaklyUp' | 'memberUp' | 'memberLeft' | 'memberExited'
      readonly member: Member
    }
  | { readonly type: 'memberDowned'; readonly member: Member; readonly reason: DownReason }
  | { readonly type: 'memberRemoved'; readonly member: Member; readonly cause: RemovalCause }
  /** Reachability, never membership. All that changed at once is one event. */
  | {
      readonly type: 'unreachable' | 'reachable' | 'stalled' | 'recovered'
      readonly members: readonly Member[]
    }
  /** A link is bad though both its ends are reachable through others. */
  | { readonly type: 'linkDegraded' | 'linkRestored'; readonly observer: Member; readonly subject: Member }
  | { readonly type: 'leaderChanged'; readonly leader: Member | undefined }
  | { readonly type: 'convergenceReached' }
  | { readonly type: 'convergenceBlocked'; readonly by: readonly Blocker[] }
  | {
      readonly type: 'downingDecision'
      readonly strategy: string
      readonly decision: DowningDecision
      readonly down: readonly Member[]
      readonly evidence: DowningEvidence
    }
  | { readonly type: 'quarantined'; readonly node: QuarantinedNode }
  | { readonly type: 'thisNodeQuarantined'; readonly by: UniqueAddress; readonly reason: QuarantineCause }
  /** A newcomer was not let in. */
  | { readonly type: 'joinRejected'; readonly node: UniqueAddress; readonly reason: JoinRefusal }
  /** This process was not scheduled for `gapMs`; nobody was charged for it. */
  | { readonly type: 'selfPaused'; readonly gapMs: number }
  /** A peer sent something this protocol does not allow from it; nothing changed. */
  | { readonly type: 'messageDropped'; readonly from: Uid; readonly reason: DropReason }

export type DropReason =
  | 'notMember'
  | 'removedIncarnation'
  | 'unexpected'
  | 'malformed'
  | 'staleSession'
  | 'senderDown'

export type { Address, Uid, UniqueAddress }
