/**
 * Seeded generator for simulations, jitter and tests: sfc32 (Chris Doty-Humphrey, PractRand), state filled by
 * splitmix32. One seed gives one sequence on every platform. Not for secrets.
 */

/** Next number in [0, 1). */
export type Random = () => number

/** A generator for `seed`; any number will do, its low 32 bits count. */
export function createRandom(seed: number): Random {
  let mix = seed >>> 0
  const splitmix = () => {
    mix = (mix + 0x9e3779b9) | 0
    let z = mix ^ (mix >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return z ^ (z >>> 15)
  }
  let a = splitmix()
  let b = splitmix()
  let c = splitmix()
  let counter = 1
  return () => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
}

/** An independent generator drawn from `random`, so that one part's draws do not shift another's. */
export function forkRandom(random: Random): Random {
  return createRandom(Math.floor(random() * 2 ** 32))
}

/** Uniform integer in [min, max], both included. */
export function randomInteger(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1))
}

/** One of `items`, uniformly. Throws when there is none: a bug of the caller. */
export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[randomInteger(random, 0, items.length - 1)]
  if (item === undefined) throw new Error('pick: nothing to pick from')
  return item
}
