/**
 * Downing strategies: pure functions from an observation to a decision, the same on every side of a cut. They
 * decide only after `stableAfterMs` without a change, and only where the leader of a side asks them.
 */

import type { Address, Uid } from './address.js'
import type { DowningDecision, DowningEvidence, MemberStatus } from './model.js'

export interface ObservedMember {
  readonly uid: Uid
  readonly address: Address
  readonly status: MemberStatus
  readonly roles: readonly string[]
  readonly upNumber: number
  readonly reachable: boolean
}

/** What one side of a cut sees: every member that is not removed, ordered by address. */
export interface Observation {
  readonly members: readonly ObservedMember[]
}

export interface Verdict {
  readonly decision: DowningDecision
  readonly evidence: DowningEvidence
}

export interface DowningStrategy {
  /** Appears in events, logs and metrics. */
  readonly name: string
  /** Quiet time before a decision; 0 where the strategy never decides. */
  readonly stableAfterMs: number
  decide(observation: Observation): Verdict
}

export interface KeepMajorityOptions {
  /** Default 20_000; 1_000 to 600_000. Larger clusters need longer: 20 s suits up to 100 members. */
  readonly stableAfterMs?: number
  /** Count only members with this role; whole sides are downed all the same. */
  readonly role?: string
}

const COUNTED: ReadonlySet<MemberStatus> = new Set(['up', 'leaving'])
const NEWCOMERS: ReadonlySet<MemberStatus> = new Set(['joining', 'weaklyUp'])

/** Nothing is ever downed automatically: a person decides, with `cluster.down`. */
export function manual(): DowningStrategy {
  return {
    name: 'manual',
    stableAfterMs: 0,
    decide: () => ({ decision: 'downNothing', evidence: {} }),
  }
}

/**
 * The side with more members survives; at a tie the side that holds the member with the lowest address.
 *
 * Up and leaving members count. A side that would survive asks again pessimistically, as Akka's split brain resolver does: its own
 * leaving members may be gone already, and the other side's newcomers and leaving members may be up there. If
 * that changes the answer, both sides might believe they won, so everybody goes down.
 */
export function keepMajority(options: KeepMajorityOptions = {}): DowningStrategy {
  const { stableAfterMs = 20_000, role } = options
  return {
    name: 'keepMajority',
    stableAfterMs,
    decide: (observation) => decideMajority(observation.members, role),
  }
}

function decideMajority(members: readonly ObservedMember[], role: string | undefined): Verdict {
  const eligible = members.filter((m) => role === undefined || m.roles.includes(role))
  const counted = eligible.filter((m) => COUNTED.has(m.status))
  const here = counted.filter((m) => m.reachable)
  const there = counted.filter((m) => !m.reachable)
  const plain = majority(here, there, counted)
  if (plain.decision !== 'downUnreachable') return plain
  const staying = counted.filter((m) => m.status !== 'leaving')
  const again = majority(
    here.filter((m) => m.status !== 'leaving'),
    eligible.filter((m) => !m.reachable && (COUNTED.has(m.status) || NEWCOMERS.has(m.status))),
    staying,
  )
  if (again.decision === 'downUnreachable') return plain
  return { decision: 'downAll', evidence: { ...plain.evidence, pessimistic: again.decision } }
}

/** `tieBreakers` are ordered by address; the side that holds the first of them wins a tie. */
function majority(
  here: readonly ObservedMember[],
  there: readonly ObservedMember[],
  tieBreakers: readonly ObservedMember[],
): Verdict {
  const evidence = { reachable: here.length, unreachable: there.length }
  if (here.length > there.length) return { decision: 'downUnreachable', evidence }
  if (here.length < there.length) return { decision: 'downReachable', evidence }
  const lowest = tieBreakers[0]
  if (lowest === undefined) return { decision: 'downAll', evidence }
  return {
    decision: lowest.reachable ? 'downUnreachable' : 'downReachable',
    evidence: { ...evidence, tieBreaker: lowest.uid },
  }
}
