/** What the demo tells, whichever way it is shown. */
import type { Line } from '../agent-lines.js'
import type { DemoAgent, Stamped } from './demo-agent.js'
import type { MemberRow } from './member-table.js'

/** In the order in which they run. */
export const STEP_NAMES = [
  'form',
  'kill',
  'rejoin',
  'quiet',
  'pause',
  'stall',
  'leave',
  'duplicate',
  'stray',
] as const
export type StepName = (typeof STEP_NAMES)[number]

/** Figures of one run; those of steps that were not reached are missing. Times in milliseconds. */
export interface Summary {
  ok: boolean
  nodes: number
  transport?: string
  /** From the last process listening to all up everywhere. */
  formMs?: number
  /** The most file descriptors an agent holds beyond a bare node process with the same pipes; null without /proc. */
  fdsBeyondNode?: number | null
  /** From SIGKILL to unreachable at every other node. */
  detectKillMs?: number
  /** From SIGKILL to removed at every other node; contains `stableAfterMs`. */
  removeMs?: number
  /** From listening again to up everywhere. */
  rejoinMs?: number
  quiet?: { readonly ms: number; readonly suspicionEvents: number }
  /** From SIGSTOP to unreachable at every other node. */
  pauseDetectMs?: number
  /** From SIGCONT to reachable at every other node. */
  pauseHealMs?: number
  /** `stalledEvents` as seen by each observer. */
  stall?: { readonly unreachableEvents: number; readonly stalledEvents: number; readonly skipped?: string }
  /** From SIGTERM to removed at every other node. */
  leaveMs?: number
  duplicate?: { readonly code: string; readonly memberDisturbed: boolean }
  /** Connections closed by reason. */
  stray?: Readonly<Record<string, number>>
  failedStep?: StepName | 'setup'
  error?: string
}

export interface Reporter {
  intro(text: string, facts: object): void
  begin(step: StepName, title: string): void
  /** Something the demo did or found. */
  note(text: string, facts?: object): void
  /** Something an agent told. */
  event(agent: DemoAgent, line: Stamped<Line>): void
  table(rows: readonly MemberRow[]): void
  passed(text: string, facts: object): void
  failed(text: string): void
  summary(summary: Summary): void
}

/** One object a line: `t` is milliseconds since the start of the demo, `step` the one under way. */
export function jsonReporter(write: (text: string) => void, sinceStartMs: () => number): Reporter {
  let step: StepName | 'setup' = 'setup'
  const print = (fields: object) => write(`${JSON.stringify({ t: sinceStartMs(), step, ...fields })}\n`)
  return {
    intro: (text, facts) => print({ type: 'intro', text, ...facts }),
    begin: (name, title) => {
      step = name
      print({ type: 'begin', title })
    },
    note: (text, facts = {}) => print({ type: 'note', text, ...facts }),
    event: (agent, line) => print({ type: 'event', agent: agent.name, event: line }),
    table: (rows) => print({ type: 'members', members: rows }),
    passed: (text, facts) => print({ type: 'passed', text, ...facts }),
    failed: (text) => print({ type: 'failed', text }),
    summary: (summary) => write(`${JSON.stringify({ t: sinceStartMs(), step: 'summary', ...summary })}\n`),
  }
}
