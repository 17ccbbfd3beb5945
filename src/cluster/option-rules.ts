/** Rules between options. Each says which option to change and why the pair cannot work. */
import { InvalidOptionError } from '../options/invalid-option.js'
import type { ResolvedOptions } from './options.js'

interface Rule {
  /** The option named as the one at fault. */
  readonly path: string
  readonly value: (o: ResolvedOptions) => number
  /** Sees resolved values, so that a given option is held against defaults too. */
  readonly holds: (o: ResolvedOptions) => boolean
  readonly expectation: (o: ResolvedOptions) => string
}

/** In order of how early they matter: the detector, then dialling, then joining, then downing. */
const RULES: readonly Rule[] = [
  {
    path: 'heartbeat.acceptablePauseMs',
    value: (o) => o.heartbeat.acceptablePauseMs,
    holds: (o) => o.heartbeat.acceptablePauseMs >= o.heartbeat.intervalMs,
    expectation: (o) =>
      `at least heartbeat.intervalMs (${o.heartbeat.intervalMs}): one lost beat must accuse nobody`,
  },
  {
    path: 'heartbeat.stalledAfterMs',
    value: (o) => o.heartbeat.stalledAfterMs,
    holds: (o) => o.heartbeat.stalledAfterMs >= o.heartbeat.intervalMs,
    expectation: (o) =>
      `at least heartbeat.intervalMs (${o.heartbeat.intervalMs}): the loop is asked once a beat, so nothing shorter can be told`,
  },
  {
    path: 'maxLoopStallMs',
    value: (o) => o.maxLoopStallMs,
    holds: (o) => o.maxLoopStallMs > o.heartbeat.stalledAfterMs,
    expectation: (o) =>
      `more than heartbeat.stalledAfterMs (${o.heartbeat.stalledAfterMs}): a loop is stalled before it is given up`,
  },
  {
    path: 'dial.backoffWatchedMaxMs',
    value: (o) => o.dial.backoffWatchedMaxMs,
    holds: (o) => o.dial.backoffWatchedMaxMs >= o.dial.backoffMinMs,
    expectation: (o) => `at least dial.backoffMinMs (${o.dial.backoffMinMs})`,
  },
  {
    path: 'dial.backoffMaxMs',
    value: (o) => o.dial.backoffMaxMs,
    holds: (o) => o.dial.backoffMaxMs >= o.dial.backoffWatchedMaxMs,
    expectation: (o) =>
      `at least dial.backoffWatchedMaxMs (${o.dial.backoffWatchedMaxMs}): watched peers are dialled no less often`,
  },
  {
    path: 'seedNodeTimeoutMs',
    value: (o) => o.seedNodeTimeoutMs,
    holds: (o) => o.seedNodeTimeoutMs < o.joinTimeoutMs,
    expectation: (o) =>
      `less than joinTimeoutMs (${o.joinTimeoutMs}): the first seed would give up before it may found a cluster`,
  },
  {
    path: 'dial.connectTimeoutMs',
    value: (o) => o.dial.connectTimeoutMs,
    holds: (o) => o.dial.connectTimeoutMs < o.joinTimeoutMs || o.seeds === undefined,
    expectation: (o) =>
      `less than joinTimeoutMs (${o.joinTimeoutMs}): one dead seed would use up the whole time`,
  },
  {
    path: 'rollCallTimeoutMs',
    value: (o) => o.rollCallTimeoutMs,
    holds: (o) => o.downing.stableAfterMs === 0 || o.rollCallTimeoutMs < o.downing.stableAfterMs / 2,
    expectation: (o) =>
      `less than half of downing.stableAfterMs (${o.downing.stableAfterMs}): a strategy must not decide before the silent are known`,
  },
]

/** Throws `InvalidOptionError` for the first rule that does not hold. */
export function checkRules(options: ResolvedOptions): void {
  for (const rule of RULES) {
    if (!rule.holds(options))
      throw new InvalidOptionError(rule.path, rule.value(options), rule.expectation(options))
  }
}
