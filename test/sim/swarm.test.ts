import { describe, expect, it } from 'vitest'
import { runSwarm } from '../../src/sim/swarm.js'

const SEEDS = 100

describe('swarm', () => {
  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))('seed %i: faults, healing, one view', (seed) => {
    const result = runSwarm({ seed, sizeMin: 3, sizeMax: 9, faults: 12 })
    expect(result.virtualMs).toBeGreaterThan(0)
  })
})
