/** What a machine is told once, at its start. The shell validates and fills it; the simulator writes it by hand. */
import type { Address, UniqueAddress } from './address.js'
import type { DowningStrategy } from './downing.js'

/** How observers' rows become one verdict. `quorum`: more than half of those whose word counts; `any`: one suffices. */
export type AggregationPolicy = 'quorum' | 'any'

/** A number in [0, 1); seeded, so that a run can be repeated. */
export type Random = () => number

export interface MachineSettings {
  readonly cluster: string
  readonly self: UniqueAddress
  readonly roles: readonly string[]
  /** Where to ask for admission; may contain this node's own address. The first of the list may found a cluster. */
  readonly seeds: readonly Address[]
  readonly downing: DowningStrategy
  readonly aggregation: AggregationPolicy
  /** K: rings of the overlay, and members each node watches once the cluster has more than K + 1. */
  readonly observersMax: number
  /** A member whose loop has not turned for this long is reported unreachable. */
  readonly maxLoopStallMs: number
  /** How long the first seed looks for a cluster before it founds one. */
  readonly seedNodeTimeoutMs: number
  /** Pause between two attempts to be admitted. */
  readonly joinRetryMs: number
  /** Membership must be granted within this time. */
  readonly joinTimeoutMs: number
  /** How long a roll call waits before the silent count as unreachable. */
  readonly rollCallTimeoutMs: number
  /** Pushes on one link are at least this far apart; what happens between goes out together. */
  readonly pushIntervalMinMs: number
  /** Pause between two comparisons of digests with a neighbour. */
  readonly digestIntervalMs: number
  readonly random: Random
  /** Check the invariants after every step: for tests and simulations, O(members) a step. */
  readonly assertInvariants?: boolean
}

/** Defaults of all that has one; times in milliseconds. */
export const MACHINE_DEFAULTS = {
  aggregation: 'quorum',
  observersMax: 10,
  maxLoopStallMs: 30_000,
  seedNodeTimeoutMs: 5000,
  joinRetryMs: 500,
  joinTimeoutMs: 30_000,
  rollCallTimeoutMs: 1000,
  pushIntervalMinMs: 5,
  digestIntervalMs: 1000,
} as const
