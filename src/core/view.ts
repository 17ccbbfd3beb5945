/**
 * The cluster as users see it: an immutable snapshot, and the events that lead from one snapshot to the next,
 * in a fixed order: removals, other membership, reachability, leader, links, convergence.
 */
import { compareAddress, type Uid } from './address.js'
import type { Env } from './env.js'
import type { Epochs } from './epochs.js'
import type {
  Blocker,
  ClusterEvent,
  ClusterState,
  Member,
  MemberEntry,
  MemberStatus,
  QuarantinedNode,
  RowStatus,
} from './model.js'
import type { Verdicts } from './reachability.js'

/** How long a bad link or a missing convergence lasts before it is worth an event. */
const LINK_DEGRADED_AFTER_MS = 3000
const CONVERGENCE_BLOCKED_AFTER_MS = 1000

const STATUS_EVENT = {
  joining: 'memberJoined',
  weaklyUp: 'memberWeaklyUp',
  up: 'memberUp',
  leaving: 'memberLeft',
  exiting: 'memberExited',
} as const satisfies Partial<Record<MemberStatus, ClusterEvent['type']>>

const REACHABILITY_EVENT = { unreachable: 'unreachable', stalled: 'stalled' } as const

export function memberView(entry: MemberEntry, verdicts: Verdicts): Member {
  return {
    uid: entry.uid,
    nodeId: entry.nodeId,
    address: entry.address,
    roles: entry.roles,
    status: entry.status,
    upNumber: entry.upNumber,
    reachability: verdicts.status.get(entry.uid) ?? 'reachable',
  }
}

function sameMember(a: Member, b: Member): boolean {
  return a.status === b.status && a.upNumber === b.upNumber && a.reachability === b.reachability
}

type LinkKey = `${Uid}>${Uid}`

export class View {
  private readonly env: Env
  private readonly epochs: Epochs
  private snapshot: ClusterState
  private byUid = new Map<Uid, Member>()
  private builtVersion = -1
  private builtVerdicts: Verdicts | undefined
  private readonly degradedSinceMs = new Map<LinkKey, number>()
  private readonly degradedTold = new Set<LinkKey>()
  private blockedSinceMs: number | undefined
  private blockedTold = ''

  constructor(env: Env, epochs: Epochs) {
    this.env = env
    this.epochs = epochs
    const self = this.outsider()
    this.snapshot = {
      cluster: env.settings.cluster,
      self,
      members: [],
      unreachable: [],
      stalled: [],
      leader: undefined,
      converged: false,
      blockers: [],
      quarantined: [],
    }
  }

  state(): ClusterState {
    return this.snapshot
  }

  /** Takes the next snapshot and publishes what changed since the last one. */
  refresh(): void {
    const previous = this.snapshot
    const { state, verdicts } = this.env
    if (state.version !== this.builtVersion || verdicts !== this.builtVerdicts) {
      this.builtVersion = state.version
      this.builtVerdicts = verdicts
      this.renew(previous)
    }
    this.publishLinks()
    this.publishConvergence(previous)
  }

  nextDeadline(): number | undefined {
    const due: number[] = []
    for (const [key, since] of this.degradedSinceMs) {
      if (!this.degradedTold.has(key)) due.push(since + LINK_DEGRADED_AFTER_MS)
    }
    if (this.blockedSinceMs !== undefined) due.push(this.blockedSinceMs + CONVERGENCE_BLOCKED_AFTER_MS)
    const future = due.filter((at) => at > this.env.nowMs)
    return future.length === 0 ? undefined : Math.min(...future)
  }

  private renew(previous: ClusterState): void {
    const before = this.byUid
    const next = this.build()
    this.byUid = new Map(next.members.map((m) => [m.uid, m]))
    this.snapshot = next
    this.publishMembership(before)
    this.publishReachability(before)
    if (previous.leader?.uid !== next.leader?.uid) {
      this.env.publish({ type: 'leaderChanged', leader: next.leader })
    }
  }

  private build(): ClusterState {
    const { env } = this
    const members = env
      .living()
      .toSorted((a, b) => compareAddress(a.address, b.address) || (a.uid < b.uid ? -1 : 1))
      .map((entry) => this.reuse(memberView(entry, env.verdicts)))
    const epoch = this.epochs.highest()
    const leader = this.epochs.leader()
    const blockers = env.isMember ? this.epochs.blockers(epoch) : []
    const pending = members.some((m) => m.status !== 'up')
    return {
      cluster: env.settings.cluster,
      self: members.find((m) => m.uid === env.self) ?? this.outsider(),
      members,
      unreachable: members.filter((m) => m.reachability === 'unreachable'),
      stalled: members.filter((m) => m.reachability === 'stalled'),
      leader: leader === undefined ? undefined : members.find((m) => m.uid === leader.uid),
      converged: env.isMember && !pending && blockers.length === 0 && epoch.leader === leader?.uid,
      blockers,
      quarantined: this.quarantined(),
    }
  }

  /** The same object as before where nothing changed, so that users can compare by identity. */
  private reuse(member: Member): Member {
    const known = this.byUid.get(member.uid)
    return known !== undefined && sameMember(known, member) ? known : member
  }

  private quarantined(): readonly QuarantinedNode[] {
    const nodes: QuarantinedNode[] = []
    for (const entry of this.env.state.members.values()) {
      if (entry.status !== 'removed' || entry.cause !== 'downed') continue
      nodes.push({ uid: entry.uid, nodeId: entry.nodeId, address: entry.address, reason: 'removedAfterDown' })
    }
    return nodes.sort((a, b) => (a.uid < b.uid ? -1 : 1))
  }

  /** This node when it is not, or no longer, a member. */
  private outsider(): Member {
    const { self, roles } = this.env.settings
    const entry = this.env.selfEntry
    const status = entry?.status ?? 'joining'
    return { ...self, roles, status, upNumber: entry?.upNumber ?? 0, reachability: 'reachable' }
  }

  private publishMembership(before: ReadonlyMap<Uid, Member>): void {
    for (const [uid, member] of before) {
      const entry = this.env.state.members.get(uid)
      if (entry?.status !== 'removed') continue
      this.env.publish({
        type: 'memberRemoved',
        member: { ...member, status: 'removed' },
        cause: entry.cause,
      })
    }
    for (const member of this.snapshot.members) {
      if (before.get(member.uid)?.status === member.status) continue
      const { status } = member
      if (status === 'down') {
        const reason = this.env.state.members.get(member.uid)?.downReason ?? 'none'
        this.env.publish({ type: 'memberDowned', member, reason })
      } else if (status !== 'removed') this.env.publish({ type: STATUS_EVENT[status], member })
    }
  }

  private publishReachability(before: ReadonlyMap<Uid, Member>): void {
    const was = (m: Member): RowStatus => before.get(m.uid)?.reachability ?? 'reachable'
    const changed = this.snapshot.members.filter((m) => m.reachability !== was(m))
    const tell = (type: 'unreachable' | 'reachable' | 'stalled' | 'recovered', members: Member[]): void => {
      if (members.length > 0) this.env.publish({ type, members })
    }
    tell(
      REACHABILITY_EVENT.unreachable,
      changed.filter((m) => m.reachability === 'unreachable'),
    )
    tell(
      'reachable',
      changed.filter((m) => was(m) === 'unreachable'),
    )
    tell(
      REACHABILITY_EVENT.stalled,
      changed.filter((m) => m.reachability === 'stalled'),
    )
    tell(
      'recovered',
      changed.filter((m) => was(m) === 'stalled' && m.reachability === 'reachable'),
    )
  }

  private publishLinks(): void {
    const { nowMs, verdicts } = this.env
    const current = new Set<LinkKey>(verdicts.degraded.map(([o, s]) => `${o}>${s}` as const))
    for (const key of current) {
      const since = this.degradedSinceMs.get(key) ?? nowMs
      this.degradedSinceMs.set(key, since)
      if (nowMs < since + LINK_DEGRADED_AFTER_MS || this.degradedTold.has(key)) continue
      this.degradedTold.add(key)
      this.tellLink('linkDegraded', key)
    }
    for (const key of [...this.degradedSinceMs.keys()]) {
      if (current.has(key)) continue
      this.degradedSinceMs.delete(key)
      if (this.degradedTold.delete(key)) this.tellLink('linkRestored', key)
    }
  }

  private tellLink(type: 'linkDegraded' | 'linkRestored', key: LinkKey): void {
    const [observer, subject] = key.split('>').map((uid) => this.byUid.get(uid))
    if (observer !== undefined && subject !== undefined) this.env.publish({ type, observer, subject })
  }

  private publishConvergence(previous: ClusterState): void {
    const { converged, blockers } = this.snapshot
    if (converged) {
      this.blockedSinceMs = undefined
      this.blockedTold = ''
      if (!previous.converged) this.env.publish({ type: 'convergenceReached' })
      return
    }
    if (blockers.length === 0) {
      this.blockedSinceMs = undefined
      this.blockedTold = ''
      return
    }
    this.blockedSinceMs ??= this.env.nowMs
    if (this.env.nowMs < this.blockedSinceMs + CONVERGENCE_BLOCKED_AFTER_MS) return
    const told = blockers.map((b: Blocker) => `${b.uid}${b.reason}`).join()
    if (told === this.blockedTold) return
    this.blockedTold = told
    this.env.publish({ type: 'convergenceBlocked', by: blockers })
  }
}
