/**
 * From observers' rows to verdicts, as seen from one node. Reachability is not membership: nothing here changes
 * a status. Pure functions of the state, the overlay and the roll call.
 *
 * Under `quorum` a subject is unreachable when more than half of its trustworthy observers say so: of two observers one
 * that still hears it clears it. An observer is trustworthy when it is *confirmed* (alive by fresh evidence, see
 * `confirmedMembers`) and not one end of a bad link: of two confirmed nodes that accuse each other neither is
 * believed about the other. Where no such observer is left the confirmed accusers decide alone.
 */
import type { Uid } from './address.js'
import type { RowStatus } from './model.js'
import type { Overlay } from './overlay.js'
import type { AggregationPolicy } from './settings.js'
import type { ReplicatedState } from './state.js'

export interface Verdicts {
  /** Newest roll call known; 0 when nobody was ever suspected. */
  readonly rollCall: number
  /** Members known to be alive by fresh evidence. */
  readonly confirmed: ReadonlySet<Uid>
  /** Members that are not reachable; a uid that is absent is reachable. */
  readonly status: ReadonlyMap<Uid, Exclude<RowStatus, 'reachable'>>
  /** Accusations that the aggregate does not share: bad links, not bad nodes. */
  readonly degraded: readonly (readonly [observer: Uid, subject: Uid])[]
}

export interface ReachabilityInputs {
  readonly state: ReplicatedState
  readonly overlay: Overlay
  readonly policy: AggregationPolicy
  /** True once the newest roll call has waited its time: the unconfirmed are unheard and count as unreachable. */
  readonly rollCallOver: boolean
}

type Accusations = ReadonlyMap<Uid, ReadonlyMap<Uid, Exclude<RowStatus, 'reachable'>>>

export function newestRollCall(state: ReplicatedState): number {
  let newest = 0
  for (const entry of state.rows.values()) newest = Math.max(newest, entry.rollCall)
  return newest
}

export function computeVerdicts(inputs: ReachabilityInputs): Verdicts {
  const { state } = inputs
  const living = [...state.members.values()].filter((m) => m.status !== 'removed').map((m) => m.uid)
  const bySubject = collectAccusations(state)
  const rollCall = newestRollCall(state)
  if (bySubject.size === 0) {
    return { rollCall, confirmed: new Set(living), status: new Map(), degraded: [] }
  }
  const confirmed = confirmedMembers(inputs, living, bySubject, rollCall)
  const status = new Map<Uid, Exclude<RowStatus, 'reachable'>>()
  for (const uid of living) {
    if (uid === state.self) continue
    const verdict = verdictOn(uid, inputs, bySubject, confirmed)
    if (verdict !== 'reachable') status.set(uid, verdict)
  }
  return { rollCall, confirmed, status, degraded: degradedLinks(state.self, bySubject, confirmed, status) }
}

/** Rows by living observers that are not down, about living subjects. */
function collectAccusations(state: ReplicatedState): Accusations {
  const bySubject = new Map<Uid, Map<Uid, Exclude<RowStatus, 'reachable'>>>()
  for (const entry of state.rows.values()) {
    const observer = state.living(entry.observer)
    if (observer === undefined || observer.status === 'down') continue
    for (const row of entry.rows) {
      if (state.living(row.subject) === undefined) continue
      const accusers = bySubject.get(row.subject) ?? new Map()
      accusers.set(entry.observer, row.status)
      bySubject.set(row.subject, accusers)
    }
  }
  return bySubject
}

function accuses(bySubject: Accusations, observer: Uid, subject: Uid): boolean {
  return bySubject.get(subject)?.get(observer) === 'unreachable'
}

/**
 * The overlay's silence is not evidence: after a cut one side hears nothing bad of members that only the other
 * side watches. So a member counts as alive only if it has answered the newest roll call, or if a confirmed
 * member watches it and does not accuse it. The least such set that contains this node.
 */
function confirmedMembers(
  inputs: ReachabilityInputs,
  living: readonly Uid[],
  bySubject: Accusations,
  rollCall: number,
): ReadonlySet<Uid> {
  const { state, overlay } = inputs
  const confirmed = new Set<Uid>([state.self])
  const queue: Uid[] = [state.self]
  for (const uid of living) {
    if (uid === state.self || (state.presences.get(uid)?.rollCall ?? 0) < rollCall) continue
    confirmed.add(uid)
    queue.push(uid)
  }
  for (let i = 0; i < queue.length; i++) {
    const observer = queue[i] as Uid
    for (const subject of overlay.subjectsOf(observer)) {
      if (confirmed.has(subject) || accuses(bySubject, observer, subject)) continue
      confirmed.add(subject)
      queue.push(subject)
    }
  }
  return confirmed
}

function verdictOn(
  subject: Uid,
  inputs: ReachabilityInputs,
  bySubject: Accusations,
  confirmed: ReadonlySet<Uid>,
): RowStatus {
  if (inputs.rollCallOver && !confirmed.has(subject)) return 'unreachable'
  const accusers = bySubject.get(subject)
  if (accusers === undefined) return 'reachable'
  return inputs.policy === 'any'
    ? verdictOfAny(accusers)
    : verdictOfQuorum(subject, inputs.overlay, bySubject, confirmed)
}

function verdictOfAny(accusers: ReadonlyMap<Uid, RowStatus>): RowStatus {
  const statuses = [...accusers.values()]
  return statuses.includes('unreachable') ? 'unreachable' : 'stalled'
}

function verdictOfQuorum(
  subject: Uid,
  overlay: Overlay,
  bySubject: Accusations,
  confirmed: ReadonlySet<Uid>,
): RowStatus {
  const accusers = bySubject.get(subject) as ReadonlyMap<Uid, RowStatus>
  const badLink = (uid: Uid): boolean =>
    accusers.get(uid) === 'unreachable' && confirmed.has(subject) && accuses(bySubject, subject, uid)
  const trusted = overlay.observersOf(subject).filter((uid) => confirmed.has(uid) && !badLink(uid))
  const voices = trusted.length > 0 ? trusted : [...accusers.keys()].filter((uid) => confirmed.has(uid))
  const unreachable = voices.filter((uid) => accusers.get(uid) === 'unreachable').length
  const stalled = voices.filter((uid) => accusers.get(uid) === 'stalled').length
  if (unreachable * 2 > voices.length) return 'unreachable'
  return stalled > 0 && (unreachable + stalled) * 2 > voices.length ? 'stalled' : 'reachable'
}

function degradedLinks(
  self: Uid,
  bySubject: Accusations,
  confirmed: ReadonlySet<Uid>,
  status: ReadonlyMap<Uid, RowStatus>,
): (readonly [Uid, Uid])[] {
  const links: (readonly [Uid, Uid])[] = []
  for (const [subject, accusers] of bySubject) {
    if (subject !== self && status.get(subject) === 'unreachable') continue
    for (const [observer, row] of accusers) {
      if (row === 'unreachable' && confirmed.has(observer)) links.push([observer, subject])
    }
  }
  return links.sort(([a, b], [c, d]) => (a === c ? (b < d ? -1 : 1) : a < c ? -1 : 1))
}
