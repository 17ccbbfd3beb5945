/** The one error of option validation, and the words it is made of. */
import { inspect } from 'node:util'
import { SkeinError } from '../errors.js'

/** Characters of an option's value quoted in an error. */
const QUOTED_VALUE_MAX = 80

/** `ERR_SKEIN_INVALID_OPTION`: which option, what it is, what was expected. Nothing was started. */
export class InvalidOptionError extends SkeinError {
  /** Dotted path, as in `heartbeat.intervalMs` or `seeds[1]`. */
  readonly path: string
  readonly value: unknown
  readonly expectation: string

  constructor(path: string, value: unknown, expectation: string) {
    super('ERR_SKEIN_INVALID_OPTION', `option ${path} is ${quote(value)}: expected ${expectation}`)
    this.path = path
    this.value = value
    this.expectation = expectation
  }
}

/** Enough of a value to recognise it, and never a page of it. */
function quote(value: unknown): string {
  const text = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY })
  return text.length <= QUOTED_VALUE_MAX ? text : `${text.slice(0, QUOTED_VALUE_MAX)}...`
}

/** Throws for the first key that is not known, naming the nearest one that is. */
export function refuseUnknownKeys(source: object, known: readonly string[], prefix: string): void {
  for (const key of Object.keys(source)) {
    if (known.includes(key)) continue
    const near = nearest(key, known)
    const hint =
      near === undefined ? `one of ${known.join(', ')}` : `${prefix}${near} (no option has this name)`
    throw new InvalidOptionError(`${prefix}${key}`, (source as Record<string, unknown>)[key], hint)
  }
}

/** The known name a typing error away, if there is one: at most a third of its letters differ. */
function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const name of known) {
    const distance = editDistance(key.toLowerCase(), name.toLowerCase())
    if (distance < bestDistance && distance <= Math.max(2, name.length / 3)) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein's distance; names are short, so the quadratic table does not matter. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(substituted, previous[j]! + 1, current[j - 1]! + 1))
    }
    previous = current
  }
  return previous[b.length]!
}
