/**
 * The replicated state of one node: entries, version vector, digest and learn log. A join-semilattice: `merge` is
 * commutative, associative, idempotent and monotone, and a tombstone is never overwritten (property-tested).
 * It knows nothing of links, time or leaders.
 */
import type { Uid } from './address.js'
import { VectorDigest } from './hash.js'
import { type ItemKind, LearnLog, type LogItem } from './learn-log.js'
import {
  type Delta,
  MEMBER_STATUSES,
  type MemberEntry,
  type MemberStatus,
  type PresenceEntry,
  type RowsEntry,
} from './model.js'

const STATUS_RANK: ReadonlyMap<MemberStatus, number> = new Map(
  MEMBER_STATUSES.map((status, rank) => [status, rank]),
)

export function statusRank(status: MemberStatus): number {
  return STATUS_RANK.get(status) as number
}

/** What a member entry may be given locally; identity and stamp are not among it. */
export type MemberChange = Partial<Pick<MemberEntry, 'status' | 'upNumber' | 'cause' | 'downReason'>>

type VectorComponent = readonly [origin: Uid, seq: number]

/**
 * Positive when `a` wins over `b`: higher status; of removals the one by `down`; then the lower upNumber (0 is none), then
 * the lower stamp. A total order over entries of one uid, so the maximum is a semilattice join.
 */
export function compareMemberEntries(a: MemberEntry, b: MemberEntry): number {
  const rank = statusRank(a.status) - statusRank(b.status)
  if (rank !== 0) return rank
  if (a.cause !== b.cause)
    return a.cause === 'downed' ? 1 : b.cause === 'downed' ? -1 : a.cause === 'left' ? 1 : -1
  if (a.upNumber !== b.upNumber) return upOrder(b) - upOrder(a)
  if (a.origin !== b.origin) return a.origin < b.origin ? 1 : -1
  return b.seq - a.seq
}

function upOrder(entry: MemberEntry): number {
  return entry.upNumber === 0 ? Number.MAX_SAFE_INTEGER : entry.upNumber
}

export class ReplicatedState {
  readonly self: Uid
  /** Tombstones included. */
  readonly members = new Map<Uid, MemberEntry>()
  readonly rows = new Map<Uid, RowsEntry>()
  readonly presences = new Map<Uid, PresenceEntry>()
  readonly vector = new Map<Uid, number>()
  readonly digest = new VectorDigest()
  readonly log = new LearnLog()
  /** Rises with every change of anything. */
  version = 0
  /** Rises when a member entry changes. */
  membersVersion = 0
  /** Rises when a rows entry changes. */
  rowsVersion = 0
  /** Rises when a member answers a newer roll call. */
  rollCallVersion = 0

  constructor(self: Uid) {
    this.self = self
  }

  /** A member that is not a tombstone. */
  living(uid: Uid): MemberEntry | undefined {
    const entry = this.members.get(uid)
    return entry?.status === 'removed' ? undefined : entry
  }

  /** Adds a member under a stamp of our own. */
  addMember(entry: Omit<MemberEntry, 'origin' | 'seq'>): void {
    this.storeMember({ ...entry, origin: this.self, seq: this.stamp() }, undefined)
  }

  /** Moves a member on under a stamp of our own. The status may only rise. */
  changeMember(uid: Uid, change: MemberChange): void {
    const current = this.members.get(uid)
    if (current === undefined) return
    const next = { ...current, ...change, origin: this.self, seq: 0 }
    if (statusRank(next.status) <= statusRank(current.status)) return
    this.storeMember({ ...next, seq: this.stamp() }, undefined)
  }

  putRows(change: Omit<RowsEntry, 'observer' | 'seq'>): void {
    this.storeRows({ ...change, observer: this.self, seq: this.stamp() }, undefined)
  }

  putPresence(change: Omit<PresenceEntry, 'uid' | 'seq'>): void {
    this.storePresence({ ...change, uid: this.self, seq: this.stamp() }, undefined)
  }

  /** Folds in what a neighbour sent. Members first, since rows and presences count only of living members. */
  merge(delta: Delta, from: Uid): void {
    for (const entry of delta.members) {
      const current = this.members.get(entry.uid)
      if (current === undefined || compareMemberEntries(entry, current) > 0) this.storeMember(entry, from)
    }
    for (const entry of delta.rows) {
      const seq = this.rows.get(entry.observer)?.seq ?? 0
      if (entry.seq > seq && this.living(entry.observer) !== undefined) this.storeRows(entry, from)
    }
    for (const entry of delta.presences) {
      const seq = this.presences.get(entry.uid)?.seq ?? 0
      if (entry.seq > seq && this.living(entry.uid) !== undefined) this.storePresence(entry, from)
    }
    // What others claim of our own sequence never counts: only this node makes its stamps.
    for (const [origin, seq] of delta.vector) if (origin !== this.self) this.raise(origin, seq, from)
  }

  /** Everything learned at or after `cursor` that did not come from `peer`; undefined when there is nothing. */
  deltaSince(cursor: number, peer: Uid): Delta | undefined {
    const items = this.log.since(cursor, peer)
    return items.length === 0 ? undefined : this.assemble(items)
  }

  /** Everything a node with this vector may lack, whole. */
  deltaFor(vector: ReadonlyMap<Uid, number>): Delta {
    const lacks = (origin: Uid, seq: number): boolean => seq > (vector.get(origin) ?? 0)
    return {
      members: [...this.members.values()].filter((e) => lacks(e.origin, e.seq)),
      rows: [...this.rows.values()].filter((e) => lacks(e.observer, e.seq)),
      presences: [...this.presences.values()].filter((e) => lacks(e.uid, e.seq)),
      vector: [...this.vector].filter(([origin, seq]) => lacks(origin, seq)),
    }
  }

  /** The whole state, for a newcomer. */
  whole(): Delta {
    return this.deltaFor(new Map())
  }

  private assemble(items: readonly LogItem[]): Delta {
    const members: MemberEntry[] = []
    const rows: RowsEntry[] = []
    const presences: PresenceEntry[] = []
    const vector: VectorComponent[] = []
    for (const { kind, uid } of items) {
      if (kind === 'member') members.push(this.members.get(uid) as MemberEntry)
      else if (kind === 'rows') rows.push(this.rows.get(uid) as RowsEntry)
      else if (kind === 'presence') presences.push(this.presences.get(uid) as PresenceEntry)
      else vector.push([uid, this.vector.get(uid) as number])
    }
    return { members, rows, presences, vector }
  }

  private storeMember(entry: MemberEntry, from: Uid | undefined): void {
    this.members.set(entry.uid, entry)
    this.membersVersion++
    this.learned('member', entry.uid, from)
    if (entry.status !== 'removed') return
    if (this.rows.delete(entry.uid)) this.rowsVersion++
    this.presences.delete(entry.uid)
    this.log.forget('rows', entry.uid)
    this.log.forget('presence', entry.uid)
  }

  private storeRows(entry: RowsEntry, from: Uid | undefined): void {
    this.rows.set(entry.observer, entry)
    this.rowsVersion++
    this.learned('rows', entry.observer, from)
  }

  private storePresence(entry: PresenceEntry, from: Uid | undefined): void {
    if (this.presences.get(entry.uid)?.rollCall !== entry.rollCall) this.rollCallVersion++
    this.presences.set(entry.uid, entry)
    this.learned('presence', entry.uid, from)
  }

  private learned(kind: ItemKind, uid: Uid, from: Uid | undefined): void {
    this.version++
    this.log.append(kind, uid, from)
  }

  /** The next sequence of our own, already counted as known. */
  private stamp(): number {
    const seq = (this.vector.get(this.self) ?? 0) + 1
    this.raise(this.self, seq, undefined)
    return seq
  }

  private raise(origin: Uid, seq: number, from: Uid | undefined): void {
    const current = this.vector.get(origin) ?? 0
    if (seq <= current) return
    if (current > 0) this.digest.toggle(origin, current)
    this.digest.toggle(origin, seq)
    this.vector.set(origin, seq)
    this.learned('vector', origin, from)
  }
}
