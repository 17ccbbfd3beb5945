import { describe, expect, it } from 'vitest'
import { runSwarm, type SwarmResult } from '../../src/sim/swarm.js'

const SEEDS = 120

describe('swarm', () => {
  const results: SwarmResult[] = []

  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))('seed %i: faults, healing, one view', (seed) => {
    results.push(runSwarm({ seed, sizeMin: 3, sizeMax: 12, faults: 10 }))
  })

  it('proves something: most runs have survivors, and all kinds of configuration occur', () => {
    expect(results.filter((r) => r.survivors >= 2).length).toBeGreaterThan(results.length / 2)
    for (const value of [4, 10, 'any', 'quorum', 50]) {
      expect(results.some((r) => Object.values(r.configuration).includes(value))).toBe(true)
    }
  })
})
