// What a soak sends, drawn from a seed: both ends derive the n-th message of a lane alone, so that the receiver knows which
// one must come next and can tell a lost one from one that came twice or too early.

export const MESSAGE_BYTES_MAX = 1024 * 1024
/** Up to here a message takes the ordinary lane by itself. */
export const ORDINARY_BYTES_MAX = 64 * 1024
const POOL_BYTES = 4 * 1024 * 1024
/** How far around the expected message a received one is looked for. */
const SEARCH_MESSAGES = 200
const EXAMPLES_MAX = 5

/** mulberry32: small, seeded, good enough to draw sizes. */
export function generator(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Messages of one direction and lane, by number from 0. */
export class Plan {
  #pool
  #seed

  constructor(seed, lane) {
    this.lane = lane
    this.#seed = (seed ^ (lane === 'large' ? 0x9e3779b9 : 0)) >>> 0
    const random = generator(seed)
    const words = new Uint32Array(POOL_BYTES / 4)
    for (let i = 0; i < words.length; i += 1) words[i] = random() * 2 ** 32
    this.#pool = new Uint8Array(words.buffer)
  }

  message(number) {
    const random = generator(this.#seed + Math.imul(number, 0x85ebca6b))
    const bytes = this.lane === 'large' ? largeSize(random) : ordinarySize(random)
    const at = Math.floor(random() * (POOL_BYTES - MESSAGE_BYTES_MAX))
    return this.#pool.subarray(at, at + bytes)
  }
}

function ordinarySize(random) {
  const kind = random()
  if (kind < 0.05) return 0
  if (kind < 0.5) return Math.floor(random() * 200)
  return Math.floor(random() * (kind < 0.85 ? 4096 : ORDINARY_BYTES_MAX + 1))
}

function largeSize(random) {
  return random() < 0.2 ? Math.floor(random() * 2000) : Math.floor(random() * (MESSAGE_BYTES_MAX + 1))
}

/** Holds what arrives on one lane against the plan. */
export class Checker {
  received = 0
  bytes = 0
  lost = 0
  duplicated = 0
  reordered = 0
  corrupted = 0
  /** Chunked messages interleave, so that a shorter one may be complete before one that was sent earlier. */
  overtaken = 0
  /** The first damaged ones: where they differ from what was expected, for whoever looks into it. */
  examples = []
  /** Numbers that were passed over and may still come late. */
  #missing = new Set()

  constructor(plan) {
    this.plan = plan
    this.expected = 0
  }

  take(bytes) {
    this.received += 1
    this.bytes += bytes.length
    if (same(bytes, this.plan.message(this.expected))) {
      this.expected += 1
      return
    }
    const number = this.#find(bytes)
    if (number === undefined) {
      this.corrupted += 1
      if (this.examples.length < EXAMPLES_MAX) this.examples.push(this.#difference(bytes))
      this.expected += 1
    } else if (number > this.expected) {
      for (let i = this.expected; i < number; i += 1) this.#missing.add(i)
      this.expected = number + 1
    } else if (!this.#missing.delete(number)) this.duplicated += 1
    else if (bytes.length > ORDINARY_BYTES_MAX) this.overtaken += 1
    else this.reordered += 1
  }

  /** At the end: what of `sent` messages has never come is lost. */
  finish(sent) {
    this.lost = this.#missing.size + Math.max(0, sent - this.expected)
    const { received, bytes, lost, duplicated, reordered, corrupted, overtaken } = this
    return { sent, received, bytes, lost, duplicated, reordered, corrupted, overtaken }
  }

  #difference(bytes) {
    const wanted = this.plan.message(this.expected)
    const differs = [...bytes.keys()].filter((i) => bytes[i] !== wanted[i])
    const [first, last] = [differs[0], differs.at(-1)]
    const { lane } = this.plan
    const { length } = bytes
    return {
      lane,
      number: this.expected,
      length,
      expected: wanted.length,
      first,
      last,
      differing: differs.length,
    }
  }

  /** The nearest that is like it: of several missing ones with the same bytes the wrong one may be named, never one too few. */
  #find(bytes) {
    for (let distance = 1; distance <= SEARCH_MESSAGES; distance += 1) {
      for (const number of [this.expected + distance, this.expected - distance]) {
        if (number >= 0 && same(bytes, this.plan.message(number))) return number
      }
    }
    return undefined
  }
}

function same(a, b) {
  return a.length === b.length && Buffer.compare(a, b) === 0
}
