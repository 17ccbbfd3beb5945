/** The kinds of value that only a cluster's options have. */
import type { DowningStrategy } from '../core/downing.js'
import { CORE_LIMITS } from '../core/limits.js'
import { type Check, text } from '../options/checks.js'
import { InvalidOptionError } from '../options/invalid-option.js'

export const role: Check<string> = text(CORE_LIMITS.roleBytesMax)

/** The bounds of a decisive strategy's quiet time; 0 where it never decides. */
const STABLE_AFTER_MS = { min: 1000, max: 600_000 } as const

/** Also strategies of the user's own: only their shape can be checked. */
export const downingStrategy: Check<DowningStrategy> = (value, path) => {
  const strategy = value as Partial<DowningStrategy> | null
  if (
    typeof strategy !== 'object' ||
    strategy === null ||
    typeof strategy.decide !== 'function' ||
    typeof strategy.name !== 'string'
  ) {
    throw new InvalidOptionError(
      path,
      value,
      'a downing strategy: keepMajority(), manual(), or one of your own',
    )
  }
  const { stableAfterMs } = strategy
  const { min, max } = STABLE_AFTER_MS
  if (
    !Number.isInteger(stableAfterMs) ||
    (stableAfterMs !== 0 && (stableAfterMs! < min || stableAfterMs! > max))
  ) {
    const expectation = `an integer from ${min} to ${max} (0 for a strategy that never decides)`
    throw new InvalidOptionError(`${path}.stableAfterMs`, stableAfterMs, expectation)
  }
  return value as DowningStrategy
}
