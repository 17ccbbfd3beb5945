/** Reads the keys of option objects, one by one, and remembers where each value came from. */
import type { Check } from './checks.js'
import { InvalidOptionError, refuseUnknownKeys } from './invalid-option.js'
import type { OptionOrigin } from './types.js'

/** Reads the keys of one object and remembers where each value came from. */
export class Reader {
  readonly #source: Record<string, unknown>
  readonly #prefix: string
  readonly #origins: Map<string, OptionOrigin>

  constructor(source: unknown, prefix: string, known: readonly string[], origins: Map<string, OptionOrigin>) {
    if (typeof source !== 'object' || source === null || Array.isArray(source)) {
      throw new InvalidOptionError(prefix === '' ? 'options' : prefix.slice(0, -1), source, 'an object')
    }
    refuseUnknownKeys(source, known, prefix)
    this.#source = source as Record<string, unknown>
    this.#prefix = prefix
    this.#origins = origins
  }

  /** An undefined value was not given: callers may pass options through without picking. */
  given(key: string): boolean {
    return this.#source[key] !== undefined
  }

  /** The check sees undefined, too, and refuses it with its own expectation. */
  required<T>(key: string, check: Check<T>): T {
    this.#origins.set(this.#prefix + key, 'given')
    return check(this.#source[key], this.#prefix + key)
  }

  /** `fallback` is not checked: it must be valid by construction, which the rules then confirm. */
  optional<T, U = T>(key: string, check: Check<T>, fallback: U, origin: OptionOrigin = 'default'): T | U {
    if (this.given(key)) return this.required(key, check)
    this.#origins.set(this.#prefix + key, origin)
    return fallback
  }

  /** A group of options; absent is the same as empty. */
  nested(key: string, known: readonly string[]): Reader {
    return new Reader(this.#source[key] ?? {}, `${this.#prefix}${key}.`, known, this.#origins)
  }
}
