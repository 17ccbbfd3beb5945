import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ROUTING_LIMITS } from '../../src/messaging/routing/limits.js'
import { RetryBudget } from '../../src/messaging/routing/retry-budget.js'

const { retryWindowMs, retryWindowSlots } = ROUTING_LIMITS
const slotMs = retryWindowMs / retryWindowSlots

function withdrawn(budget: RetryBudget, nowMs: number, wanted: number): number {
  let got = 0
  for (let i = 0; i < wanted; i++) if (budget.withdraw(nowMs)) got += 1
  return got
}

describe('retry budget', () => {
  it('grants the floor without any request, and no more until the window has passed', () => {
    const budget = new RetryBudget({ retryRatio: 0.2, retryPerSecondMin: 10 })
    expect(withdrawn(budget, 5000, 1000)).toBe(100)
    expect(withdrawn(budget, 5000 + retryWindowMs - 1, 10)).toBe(0)
    expect(withdrawn(budget, 5000 + retryWindowMs, 1000)).toBe(100)
  })

  it('grants a fifth of the requests, exactly', () => {
    const budget = new RetryBudget({ retryRatio: 0.2, retryPerSecondMin: 0 })
    expect(budget.withdraw(0)).toBe(false)
    for (let i = 0; i < 4; i++) budget.deposit(0)
    expect(budget.withdraw(0)).toBe(false)
    budget.deposit(0)
    expect(budget.withdraw(0)).toBe(true)
    expect(budget.withdraw(0)).toBe(false)
  })

  it('forgets what was earned when it leaves the window', () => {
    const budget = new RetryBudget({ retryRatio: 1, retryPerSecondMin: 0 })
    budget.deposit(0)
    expect(budget.withdraw(retryWindowMs)).toBe(false)
    budget.deposit(retryWindowMs)
    expect(budget.withdraw(2 * retryWindowMs - 1)).toBe(true)
  })

  it('never gives what was denied to a later call, and works through long silences', () => {
    const budget = new RetryBudget({ retryRatio: 0, retryPerSecondMin: 1 })
    expect(withdrawn(budget, 0, 50)).toBe(10)
    expect(withdrawn(budget, 1e12, 50)).toBe(10)
    expect(withdrawn(budget, 1e12 + 1, 50)).toBe(0)
  })

  it('is off with nothing to give', () => {
    const budget = new RetryBudget({ retryRatio: 0, retryPerSecondMin: 0 })
    for (let i = 0; i < 100; i++) budget.deposit(i)
    expect(budget.withdraw(100)).toBe(false)
  })

  it('grants no retry beyond what ratio and floor allow in the window up to it, and withholds none within', () => {
    const step = fc.record({ waitMs: fc.nat(3000), requests: fc.nat(40), retries: fc.nat(40) })
    const options = fc.record({
      retryRatio: fc.constantFrom(0, 0.1, 0.2, 0.333, 1),
      retryPerSecondMin: fc.constantFrom(0, 0.5, 1, 10),
    })
    fc.assert(
      fc.property(options, fc.array(step, { maxLength: 60 }), (given, steps) => {
        const budget = new RetryBudget(given)
        // The first call sets where slots begin.
        budget.deposit(0)
        const history = [{ slot: 0, requests: 1, retries: 0 }]
        let nowMs = 0
        for (const { waitMs, requests, retries } of steps) {
          nowMs += waitMs
          const slot = Math.floor(nowMs / slotMs)
          for (let i = 0; i < requests; i++) budget.deposit(nowMs)
          const got = withdrawn(budget, nowMs, retries)
          history.push({ slot, requests, retries: got })
          const window = history.filter((entry) => entry.slot > slot - retryWindowSlots)
          const sum = (key: 'requests' | 'retries') => window.reduce((total, entry) => total + entry[key], 0)
          const allowed =
            given.retryRatio * sum('requests') + given.retryPerSecondMin * (retryWindowMs / 1000)
          if (got > 0) expect(sum('retries')).toBeLessThanOrEqual(allowed + 1e-6)
          if (got < retries) expect(sum('retries') + 1).toBeGreaterThan(allowed - 1e-6)
        }
      }),
      { numRuns: 200 },
    )
  })
})
