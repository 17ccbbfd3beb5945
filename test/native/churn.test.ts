import { describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { BINARY, fixture, runNode } from './support.js'

interface Census {
  descriptors: number
  threads: number
  rssMb: number
}

/** Noise of the allocator and of V8's heap; a leaked ring (64 KiB, two a round) adds 25 MB in 200 rounds, an environment more. */
const RSS_GROWTH_MB_MAX = 12

async function churn(how: string, rounds: number): Promise<{ before: Census; after: Census }> {
  const finished = await runNode(['--expose-gc', fixture('churn.mjs'), BINARY, how, String(rounds)], 240_000)
  expect(finished.stderr).toBe('')
  expect(finished).toMatchObject({ code: 0, signal: null })
  return JSON.parse(finished.stdout)
}

describe.skipIf(NATIVE_MISSING)('opening and closing again and again', () => {
  it.each([
    ['closed', 200],
    ['workers', 50],
    ['terminated', 50],
  ])(
    '%s: %d rounds leave no descriptor, no thread and no memory behind',
    async (how, rounds) => {
      const { before, after } = await churn(how, rounds)
      expect(after.descriptors).toBeLessThanOrEqual(before.descriptors)
      expect(after.threads).toBeLessThanOrEqual(before.threads)
      expect(after.rssMb - before.rssMb).toBeLessThan(RSS_GROWTH_MB_MAX)
    },
    250_000,
  )
})
