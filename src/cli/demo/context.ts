/** What every step of the demo works with. */
import type { Fleet } from './fleet.js'
import type { Reporter, Summary } from './report.js'

export interface DemoContext {
  readonly fleet: Fleet
  readonly report: Reporter
  /** Filled step by step. */
  readonly summary: Summary
  readonly nodes: number
  readonly clusterName: string
  readonly stableAfterMs: number
  readonly quietMs: number
  /** A port that nobody uses yet. */
  takePort(): number
  /** Shows the member table now, where a change would be over before it is shown by itself. */
  showTable(): Promise<void>
}

/** Bounds of waiting. A step that needs longer has failed, whatever the machine is busy with. */
export const WAIT = {
  formMs: 30_000,
  detectMs: 15_000,
  /** On top of `stableAfterMs`. */
  removeMs: 15_000,
  rejoinMs: 20_000,
  healMs: 10_000,
  exitMs: 20_000,
  closeMs: 5_000,
} as const

/** How long the JavaScript thread of one agent is blocked. */
export const BLOCK_MS = 5000
