/**
 * From observers' rows to verdicts, as seen from one node. Reachability is not membership: nothing here changes a
 * status. Pure functions of the state, the overlay and the roll call.
 *
 * Under `quorum` a subject is unreachable when more than half of its voices say so: of two observers one that still
 * hears it clears it. Whose voice counts is `isVoice`; where nobody's does, the confirmed accusers decide alone.
 */
import type { Uid } from './address.js'
import type { MemberEntry, RowStatus } from './model.js'
import type { Overlay } from './overlay.js'
import { newestRollCall } from './roll-call.js'
import type { AggregationPolicy } from './settings.js'
import type { ReplicatedState } from './state.js'

type BadStatus = Exclude<RowStatus, 'reachable'>

export interface Verdicts {
  /** Members known to be alive by fresh evidence. */
  readonly confirmed: ReadonlySet<Uid>
  /** Members that are not reachable; a uid that is absent is reachable. */
  readonly status: ReadonlyMap<Uid, BadStatus>
  /** Accusations that the aggregate does not share: bad links, not bad nodes. */
  readonly degraded: readonly (readonly [observer: Uid, subject: Uid])[]
}

export interface ReachabilityInputs {
  readonly state: ReplicatedState
  readonly overlay: Overlay
  readonly policy: AggregationPolicy
  /** Members, none of them a tombstone, in a defined order. */
  readonly living: readonly MemberEntry[]
  /** Members that have left a roll call unanswered for its whole time. */
  readonly unheard: ReadonlySet<Uid>
}

/** What the judgement of one moment looks things up in. */
interface Evidence extends ReachabilityInputs {
  /** By subject: what each observer that is not down says of it. */
  readonly accusations: ReadonlyMap<Uid, ReadonlyMap<Uid, BadStatus>>
  readonly rollCall: number
}

export function computeVerdicts(inputs: ReachabilityInputs): Verdicts {
  const accusations = collectAccusations(inputs.state)
  const evidence = { ...inputs, accusations, rollCall: newestRollCall(inputs.state) }
  if (accusations.size === 0 && evidence.rollCall === 0) {
    return { confirmed: new Set(inputs.living.map((m) => m.uid)), status: new Map(), degraded: [] }
  }
  const confirmed = confirmedMembers(evidence)
  const status = new Map<Uid, BadStatus>()
  for (const { uid } of inputs.living) {
    const verdict = uid === inputs.state.self ? 'reachable' : verdictOn(uid, evidence, confirmed)
    if (verdict !== 'reachable') status.set(uid, verdict)
  }
  return { confirmed, status, degraded: degradedLinks(inputs.state.self, accusations, confirmed, status) }
}

/** Rows by living observers that are not down, about living subjects. */
function collectAccusations(state: ReplicatedState): Map<Uid, Map<Uid, BadStatus>> {
  const accusations = new Map<Uid, Map<Uid, BadStatus>>()
  for (const entry of state.rows.values()) {
    const observer = state.living(entry.observer)
    if (observer === undefined || observer.status === 'down') continue
    for (const row of entry.rows) {
      if (state.living(row.subject) === undefined) continue
      const accusers = accusations.get(row.subject) ?? new Map<Uid, BadStatus>()
      accusers.set(entry.observer, row.status)
      accusations.set(row.subject, accusers)
    }
  }
  return accusations
}

function accuses(evidence: Evidence, observer: Uid, subject: Uid): boolean {
  return evidence.accusations.get(subject)?.get(observer) === 'unreachable'
}

function hasAnswered(evidence: Evidence, uid: Uid): boolean {
  return (evidence.state.presences.get(uid)?.rollCall ?? 0) >= evidence.rollCall
}

/**
 * Whether the *absence* of an accusation by `observer` says anything. A process whose loop stands still goes on beating
 * and accuses nobody; one that is unheard may be behind a cut; a newcomer has hardly begun to watch.
 */
function isWitness(evidence: Evidence, observer: Uid): boolean {
  if (observer === evidence.state.self) return true
  if (evidence.unheard.has(observer)) return false
  for (const status of evidence.accusations.get(observer)?.values() ?? [])
    if (status === 'stalled') return false
  const status = evidence.state.living(observer)?.status
  return status === 'up' || status === 'leaving' || status === 'exiting'
}

/**
 * The overlay's silence is not evidence: after a cut one side hears nothing bad of members that only the other
 * side watches. So a member counts as alive only if it has answered the newest roll call, or if a confirmed
 * witness watches it and does not accuse it. The least such set that contains this node.
 */
function confirmedMembers(evidence: Evidence): ReadonlySet<Uid> {
  const { state, overlay, living } = evidence
  const queue = living.filter((m) => m.uid === state.self || hasAnswered(evidence, m.uid)).map((m) => m.uid)
  const confirmed = new Set<Uid>(queue)
  for (let i = 0; i < queue.length; i++) {
    const observer = queue[i] as Uid
    if (!isWitness(evidence, observer)) continue
    for (const subject of overlay.subjectsOf(observer)) {
      if (confirmed.has(subject) || accuses(evidence, observer, subject)) continue
      confirmed.add(subject)
      queue.push(subject)
    }
  }
  return confirmed
}

function verdictOn(subject: Uid, evidence: Evidence, confirmed: ReadonlySet<Uid>): RowStatus {
  if (evidence.unheard.has(subject) && !confirmed.has(subject)) return 'unreachable'
  const accusers = evidence.accusations.get(subject)
  if (accusers === undefined) return 'reachable'
  return evidence.policy === 'any'
    ? verdictOfAny(accusers)
    : verdictOfQuorum(subject, accusers, evidence, confirmed)
}

function verdictOfAny(accusers: ReadonlyMap<Uid, RowStatus>): RowStatus {
  const statuses = [...accusers.values()]
  return statuses.includes('unreachable') ? 'unreachable' : 'stalled'
}

function verdictOfQuorum(
  subject: Uid,
  accusers: ReadonlyMap<Uid, BadStatus>,
  evidence: Evidence,
  confirmed: ReadonlySet<Uid>,
): RowStatus {
  const observers = evidence.overlay.observersOf(subject)
  const heard = observers.filter(
    (uid) => confirmed.has(uid) && isVoice(uid, subject, accusers, evidence, confirmed),
  )
  const voices = heard.length > 0 ? heard : [...accusers.keys()].filter((uid) => confirmed.has(uid))
  const unreachable = voices.filter((uid) => accusers.get(uid) === 'unreachable').length
  const stalled = voices.filter((uid) => accusers.get(uid) === 'stalled').length
  // Who has answered the newest call is alive through somebody: one word alone is about a link.
  const alive = hasAnswered(evidence, subject) && unreachable < 2 && evidence.living.length > 2
  if (unreachable * 2 > voices.length && !alive) return 'unreachable'
  return stalled > 0 && (unreachable + stalled) * 2 > voices.length ? 'stalled' : 'reachable'
}

/** An accuser, unless subject and accuser are confirmed and accuse each other: the two ends of a bad link. Else a witness. */
function isVoice(
  observer: Uid,
  subject: Uid,
  accusers: ReadonlyMap<Uid, BadStatus>,
  evidence: Evidence,
  confirmed: ReadonlySet<Uid>,
): boolean {
  const word = accusers.get(observer)
  if (word === undefined) return isWitness(evidence, observer)
  return !(word === 'unreachable' && confirmed.has(subject) && accuses(evidence, subject, observer))
}

function degradedLinks(
  self: Uid,
  accusations: Evidence['accusations'],
  confirmed: ReadonlySet<Uid>,
  status: ReadonlyMap<Uid, RowStatus>,
): (readonly [Uid, Uid])[] {
  const links: (readonly [Uid, Uid])[] = []
  for (const [subject, accusers] of accusations) {
    if (subject !== self && status.get(subject) === 'unreachable') continue
    for (const [observer, row] of accusers) {
      if (row === 'unreachable' && confirmed.has(observer)) links.push([observer, subject])
    }
  }
  return links.sort(([a, b], [c, d]) => (a === c ? (b < d ? -1 : 1) : a < c ? -1 : 1))
}
