/**
 * How many retries there may be, so that they cannot double the load of a service that is failing under it: a
 * share of the requests, and a few per second besides (as Finagle's `RetryBudget`).
 *
 * With every retry that is granted, the retries of the `retryWindowMs` up to it, as the slots count them, come to at most
 * `retryRatio` x requests + `retryPerSecondMin` x seconds. Time is an argument.
 */
import { ROUTING_LIMITS } from './limits.js'

/** Whole numbers only, so that nothing is gained or lost by rounding. */
const UNITS_PER_RETRY = 1000

export interface RetryBudgetOptions {
  readonly retryRatio: number
  readonly retryPerSecondMin: number
}

export class RetryBudget {
  readonly #depositUnits: number
  readonly #reserveUnits: number
  readonly #slotMs = ROUTING_LIMITS.retryWindowMs / ROUTING_LIMITS.retryWindowSlots
  /** Earned less spent in each slot of the window, and their sum. */
  readonly #slots = new Float64Array(ROUTING_LIMITS.retryWindowSlots)
  #balanceUnits = 0
  /** Number of the newest slot, counted from the first call. */
  #slot = 0
  #originMs: number | undefined

  constructor(options: RetryBudgetOptions) {
    this.#depositUnits = Math.round(options.retryRatio * UNITS_PER_RETRY)
    const windowSeconds = ROUTING_LIMITS.retryWindowMs / 1000
    this.#reserveUnits = Math.round(options.retryPerSecondMin * windowSeconds * UNITS_PER_RETRY)
  }

  /** A request is made; its retries do not count as requests. */
  deposit(nowMs: number): void {
    this.#put(nowMs, this.#depositUnits)
  }

  /** Takes one retry out; false when there is none, and then nothing is taken. */
  withdraw(nowMs: number): boolean {
    this.#turnTo(nowMs)
    if (this.#balanceUnits + this.#reserveUnits < UNITS_PER_RETRY) return false
    this.#put(nowMs, -UNITS_PER_RETRY)
    return true
  }

  #put(nowMs: number, units: number): void {
    this.#turnTo(nowMs)
    const at = this.#slot % this.#slots.length
    this.#slots[at] = this.#slots[at]! + units
    this.#balanceUnits += units
  }

  /** Forgets what has left the window. A clock that steps back stays in the newest slot. */
  #turnTo(nowMs: number): void {
    this.#originMs ??= nowMs
    const slot = Math.floor((nowMs - this.#originMs) / this.#slotMs)
    if (slot <= this.#slot) return
    const { length } = this.#slots
    const first = Math.max(this.#slot + 1, slot - length + 1)
    for (let passed = first; passed <= slot; passed++) {
      const at = passed % length
      this.#balanceUnits -= this.#slots[at]!
      this.#slots[at] = 0
    }
    this.#slot = slot
  }
}
