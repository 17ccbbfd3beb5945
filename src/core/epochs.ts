/**
 * Convergence by epochs. The leader cuts an epoch by stamping its own presence; whoever knows that stamp knows
 * all the leader knew, and reports it. When all members that count have reported, the leader acts on the entries that the
 * cut covers, and only on those: a stream of joins after the cut cannot starve it.
 */
import { compareAddress, NO_UID, type Uid } from './address.js'
import type { Env } from './env.js'
import type { Blocker, MemberEntry, MemberStatus, PresenceEntry } from './model.js'
import type { Verdicts } from './reachability.js'

/** Totally ordered: by number, then by leader. */
export interface Epoch {
  readonly number: number
  readonly leader: Uid
}

interface Cut {
  readonly number: number
  /** The leader's knowledge when it cut. */
  readonly vector: ReadonlyMap<Uid, number>
  readonly membersVersion: number
  readonly rowsVersion: number
}

/** Two nodes that both take themselves for the leader must not outbid each other at the speed of the network. */
const OUTBID_INTERVAL_MS = 100

const LEADS_FIRST: ReadonlySet<MemberStatus> = new Set(['up', 'leaving'])
const FALLBACK: readonly MemberStatus[] = ['weaklyUp', 'joining', 'exiting']

function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.number !== b.number) return a.number - b.number
  return a.leader < b.leader ? -1 : a.leader > b.leader ? 1 : 0
}

function reportOf(presence: PresenceEntry): Epoch {
  return { number: presence.reportNumber, leader: presence.reportLeader }
}

export class Epochs {
  private readonly env: Env
  private cut: Cut | undefined
  private lastOutbidMs = Number.NEGATIVE_INFINITY
  private led:
    | {
        readonly membersVersion: number
        readonly verdicts: Verdicts
        readonly leader: MemberEntry | undefined
      }
    | undefined

  constructor(env: Env) {
    this.env = env
  }

  /**
   * The lowest address among confirmed, reachable, unstalled members that are up or leaving; if there is none, among
   * those on their way in, then on their way out. Every node computes it for itself: there is no election.
   */
  leader(): MemberEntry | undefined {
    const { verdicts } = this.env
    const { membersVersion } = this.env.state
    if (this.led?.membersVersion !== membersVersion || this.led.verdicts !== verdicts) {
      this.led = { membersVersion, verdicts, leader: this.findLeader() }
    }
    return this.led.leader
  }

  private findLeader(): MemberEntry | undefined {
    const eligible = this.env
      .living()
      .filter((m) => this.env.verdicts.confirmed.has(m.uid) && !this.env.verdicts.status.has(m.uid))
    const leading = eligible.filter((m) => LEADS_FIRST.has(m.status))
    if (leading.length > 0) return lowestAddress(leading)
    for (const status of FALLBACK) {
      const candidates = eligible.filter((m) => m.status === status)
      if (candidates.length > 0) return lowestAddress(candidates)
    }
    return undefined
  }

  get isLeader(): boolean {
    return this.leader()?.uid === this.env.self
  }

  /** The highest epoch any living member has cut. */
  highest(): Epoch {
    let highest: Epoch = { number: 0, leader: NO_UID }
    for (const presence of this.env.state.presences.values()) {
      const epoch = { number: presence.cut, leader: presence.uid }
      if (presence.cut > 0 && compareEpochs(epoch, highest) > 0) highest = epoch
    }
    return highest
  }

  /** Reports the highest epoch known: this node knows all that its leader knew when it cut. */
  report(): void {
    const { state, self } = this.env
    const own = state.presences.get(self)
    if (own === undefined) return
    const highest = this.highest()
    if (compareEpochs(highest, reportOf(own)) <= 0) return
    state.putPresence({ ...own, reportNumber: highest.number, reportLeader: highest.leader })
  }

  /** Who stands in the way of convergence on `epoch`, tested now; ordered by uid. */
  blockers(epoch: Epoch): Blocker[] {
    const { verdicts, state, self } = this.env
    const living = this.env.living()
    const counts = countingMembers(living)
    const blockers: Blocker[] = []
    for (const member of living) {
      if (member.status === 'down' || member.status === 'exiting') continue
      const presence = state.presences.get(member.uid)
      const unreachable = member.uid !== self && verdicts.status.get(member.uid) === 'unreachable'
      const reported = presence !== undefined && compareEpochs(reportOf(presence), epoch) === 0
      if (unreachable) blockers.push(block(member, 'unreachable'))
      else if (!counts.has(member.uid)) continue
      else if (!verdicts.confirmed.has(member.uid)) blockers.push(block(member, 'unconfirmed'))
      else if (!reported) {
        blockers.push(block(member, verdicts.status.get(member.uid) === 'stalled' ? 'stalled' : 'unseen'))
      }
    }
    return blockers
  }

  /** True when this node's own newest cut is the highest epoch and everybody who counts has reported it. */
  get hasConverged(): boolean {
    const highest = this.highest()
    return (
      this.cut !== undefined &&
      highest.leader === this.env.self &&
      highest.number === this.cut.number &&
      this.blockers(highest).length === 0
    )
  }

  /** True for an entry that everybody knew when the cut converged. */
  covers(entry: MemberEntry): boolean {
    return this.cut !== undefined && (this.cut.vector.get(entry.origin) ?? 0) >= entry.seq
  }

  /** Cuts a new epoch when there is something that the last one, now done or outbid, does not cover. */
  cutIfNeeded(): void {
    if (!this.isLeader) return
    const { state } = this.env
    const own = state.presences.get(this.env.self)
    if (own === undefined) return
    const ceiling = this.ceiling()
    const current = this.cut !== undefined && own.cut === this.cut.number ? this.cut : undefined
    const outbid =
      current !== undefined && compareEpochs(ceiling, { number: current.number, leader: this.env.self }) > 0
    if (outbid && this.env.nowMs < this.lastOutbidMs + OUTBID_INTERVAL_MS) return
    if (outbid) this.lastOutbidMs = this.env.nowMs
    if (current !== undefined && !outbid && !(this.hasConverged && this.isStale(current))) return
    const number = ceiling.number + 1
    state.putPresence({ ...own, cut: number, reportNumber: number, reportLeader: this.env.self })
    this.cut = {
      number,
      vector: new Map(state.vector),
      membersVersion: state.membersVersion,
      rowsVersion: state.rowsVersion,
    }
  }

  nextDeadline(): number | undefined {
    const at = this.lastOutbidMs + OUTBID_INTERVAL_MS
    return at > this.env.nowMs ? at : undefined
  }

  private isStale(cut: Cut): boolean {
    const { state } = this.env
    return cut.membersVersion !== state.membersVersion || cut.rowsVersion !== state.rowsVersion
  }

  /** The highest epoch that anybody has cut or reported, those of removed leaders included. */
  private ceiling(): Epoch {
    let ceiling = this.highest()
    for (const presence of this.env.state.presences.values()) {
      const reported = reportOf(presence)
      if (compareEpochs(reported, ceiling) > 0) ceiling = reported
    }
    return ceiling
  }
}

/** Members whose report an epoch waits for: up and leaving ones; in a cluster without any, the newcomers. */
function countingMembers(living: readonly MemberEntry[]): ReadonlySet<Uid> {
  const settled = living.filter((m) => m.status === 'up' || m.status === 'leaving')
  const counted =
    settled.length > 0 ? settled : living.filter((m) => m.status === 'joining' || m.status === 'weaklyUp')
  return new Set(counted.map((m) => m.uid))
}

function block(member: MemberEntry, reason: Blocker['reason']): Blocker {
  return { uid: member.uid, nodeId: member.nodeId, address: member.address, reason }
}

function lowestAddress(members: readonly MemberEntry[]): MemberEntry | undefined {
  return members.reduce<MemberEntry | undefined>((low, m) => {
    if (low === undefined) return m
    const order = compareAddress(m.address, low.address)
    return order < 0 || (order === 0 && m.uid < low.uid) ? m : low
  }, undefined)
}
