/** Questions to what the agents have told: who saw what of whom, and when, by the agents' own clocks. */
import type { Member } from '../../core/model.js'
import type { Line } from '../agent-lines.js'
import type { DemoAgent, Stamped } from './demo-agent.js'
import { type Fleet, StepFailure } from './fleet.js'

/** Events that accuse somebody, rightly or wrongly. */
export const SUSPICIONS: readonly Line['type'][] = [
  'unreachable',
  'stalled',
  'linkDegraded',
  'downingDecision',
]

/** Events by which a member's membership moves. */
export const MEMBERSHIP_CHANGES: readonly Line['type'][] = [
  'memberJoined',
  'memberWeaklyUp',
  'memberUp',
  'memberLeft',
  'memberExited',
  'memberDowned',
  'memberRemoved',
]

/** The members an event is about. */
function subjects(line: Line): readonly Pick<Member, 'uid'>[] {
  if ('member' in line) return [line.member]
  if ('members' in line) return line.members
  if (line.type === 'quarantined') return [line.node]
  return []
}

/** True when the event names this incarnation, alone or among others. */
export function isAbout(line: Line, uid: string): boolean {
  return subjects(line).some((member) => member.uid === uid)
}

/** Events of these types that `agent` told at or after `sinceMs`; about `uid`, if given. */
export function told(
  agent: DemoAgent,
  types: readonly Line['type'][],
  sinceMs: number,
  uid?: string,
): Stamped<Line>[] {
  return agent.lines.filter(
    (line) => line.at >= sinceMs && types.includes(line.type) && (uid === undefined || isAbout(line, uid)),
  )
}

/** When the first and the last of `observers` saw it. */
export interface SeenAt {
  readonly firstMs: number
  readonly lastMs: number
}

/** Waits until every observer has told an event of this type about `uid`. */
export async function seenByAll(
  fleet: Fleet,
  observers: readonly DemoAgent[],
  type: Line['type'],
  uid: string,
  sinceMs: number,
  timeoutMs: number,
): Promise<SeenAt> {
  const first = (agent: DemoAgent) => told(agent, [type], sinceMs, uid)[0]
  const names = observers.map((agent) => agent.name).join(', ')
  await fleet.until(`${type} of ${uid} at ${names}`, timeoutMs, () =>
    observers.every((agent) => first(agent) !== undefined),
  )
  const times = observers.map((agent) => first(agent)!.at)
  return { firstMs: Math.min(...times), lastMs: Math.max(...times) }
}

/** Fails with the first event of these types; `what` says what should have happened instead. */
export function mustNotHaveTold(
  agents: readonly DemoAgent[],
  types: readonly Line['type'][],
  sinceMs: number,
  what: string,
  uid?: string,
): void {
  for (const agent of agents) {
    const [line] = told(agent, types, sinceMs, uid)
    if (line !== undefined) throw new StepFailure(`${what}, but ${agent.name} told ${JSON.stringify(line)}`)
  }
}

/** The step has failed unless `holds`; `what` says what was seen instead. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new StepFailure(what)
}
