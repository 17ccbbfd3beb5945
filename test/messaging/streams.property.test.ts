/** Streams over sockets that take and deliver any number of bytes and die at any time. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import type { MessageStream } from '../../src/messaging/messaging.js'
import { LaneWorld, raggedSockets } from '../transport/data/lane-world.js'
import { addOffice, type OfficeNode, pattern } from './office-world.js'

const WINDOW = MESSAGING_LIMITS.streamWindowBytes
const CHUNK_BYTES_MAX = 150_000

interface HalfPlan {
  readonly chunks: readonly number[]
  /** Milliseconds the reader rests after each chunk, in turn. */
  readonly rests: readonly number[]
}

interface StreamPlan {
  readonly byFirst: boolean
  readonly opened: HalfPlan
  readonly answered: HalfPlan
}

const half: fc.Arbitrary<HalfPlan> = fc.record({
  chunks: fc.array(
    fc.oneof(
      fc.constantFrom(0, 1, 65_535, 65_536, 65_537, CHUNK_BYTES_MAX),
      fc.integer({ min: 0, max: 300 }),
      fc.nat(30_000),
    ),
    { maxLength: 12 },
  ),
  rests: fc.array(fc.nat(15), { minLength: 1, maxLength: 4 }),
})

const stream: fc.Arbitrary<StreamPlan> = fc.record({ byFirst: fc.boolean(), opened: half, answered: half })

const weather = fc.record({
  seed: fc.nat(),
  bytesMax: fc.integer({ min: 1, max: 100_000 }),
  deathsAtMs: fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 8 }),
})

/** One direction: what goes in, what comes out, and how far apart the two ever were. */
class Half {
  readonly whole: Uint8Array
  readonly received: Uint8Array[] = []
  givenBytes = 0
  readBytes = 0
  aheadMost = 0

  constructor(
    private readonly plan: HalfPlan,
    private readonly world: LaneWorld,
    seed: number,
  ) {
    this.whole = pattern(
      plan.chunks.reduce((sum, size) => sum + size, 0),
      seed,
    )
  }

  async *source(): AsyncGenerator<Uint8Array> {
    for (const size of this.plan.chunks) {
      // Asked for one more: all before is written, so the peer had credit for it.
      this.aheadMost = Math.max(this.aheadMost, this.givenBytes - this.readBytes)
      this.givenBytes += size
      yield this.whole.slice(this.givenBytes - size, this.givenBytes)
    }
  }

  async read(from: AsyncIterable<Uint8Array>): Promise<void> {
    let reads = 0
    for await (const chunk of from) {
      this.received.push(chunk)
      this.readBytes += chunk.length
      const restMs = this.plan.rests[reads % this.plan.rests.length]!
      reads += 1
      if (restMs > 0) await new Promise<void>((resolve) => this.world.clock.schedule(restMs, resolve))
    }
  }

  check(): void {
    expect(Buffer.compare(Buffer.concat(this.received), this.whole)).toBe(0)
    expect(this.aheadMost).toBeLessThanOrEqual(WINDOW)
  }
}

interface Weather {
  readonly seed: number
  readonly bytesMax: number
  readonly deathsAtMs: number[]
}

function makeWorld({ seed, bytesMax, deathsAtMs }: Weather, plans: readonly StreamPlan[]) {
  const world = new LaneWorld(seed)
  const total = plans
    .flatMap(({ opened, answered }) => [...opened.chunks, ...answered.chunks])
    .reduce((sum, size) => sum + size, 0)
  // A run of a few hundred events, however much there is to carry.
  world.prepare = raggedSockets(world.random, Math.max(bytesMax, Math.ceil(total / 300)))
  const nodes = [addOffice(world, 0), addOffice(world, 1)] as const
  for (const atMs of deathsAtMs) world.clock.schedule(atMs, () => world.killLanes())
  return { world, nodes }
}

/** Runs the plans; resolves with both halves of each when its opener and its handler are done. */
function run(world: LaneWorld, nodes: readonly [OfficeNode, OfficeNode], plans: readonly StreamPlan[]) {
  const halves: Half[] = []
  const done: Promise<unknown>[] = []
  const failures: unknown[] = []
  const note = (promise: Promise<unknown>) => done.push(promise.catch((error) => failures.push(error)))
  const opened: MessageStream[] = []
  plans.forEach(({ byFirst, opened: out, answered }, index) => {
    const [from, to] = byFirst ? nodes : [nodes[1], nodes[0]]
    const there = new Half(out, world, 2 * index)
    const back = new Half(answered, world, 2 * index + 1)
    halves.push(there, back)
    to.office.topics.handleStream(`t${index}`, (incoming) => {
      note(there.read(incoming))
      return back.source()
    })
    const made = from.to(to).stream(`t${index}`, there.source())
    opened.push(made)
    note(back.read(made))
    note(made.sent)
  })
  return { halves, opened, failures, done: () => Promise.all(done) }
}

describe('streams over bad sockets', () => {
  it('bring every byte once and in order, and never more than the window ahead', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stream, { minLength: 1, maxLength: 4 }), weather, async (plans, given) => {
        const { world, nodes } = makeWorld(given, plans)
        const { halves, failures, done } = run(world, nodes, plans)
        const [a, b] = nodes
        await world.until(
          () => b.office.counters.streamsOpened + a.office.counters.streamsOpened === 2 * plans.length,
          'handlers',
        )
        await world.settle(done())
        expect(failures).toEqual([])
        for (const one of halves) one.check()
        expect(a.office.counters.streamsReset + b.office.counters.streamsReset).toBe(0)
        await world.pass(100)
        expect([a.to(b).association.large!.held, b.to(a).association.large!.held]).toEqual([0, 0])
      }),
      { numRuns: 60 },
    )
  }, 110_000)

  it('are over at both ends, and all that wait are told, whoever gives up and when', async () => {
    const cancels = fc.array(fc.record({ which: fc.nat(3), atMs: fc.nat(80) }), {
      minLength: 1,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(stream, { minLength: 1, maxLength: 4 }),
        weather,
        cancels,
        async (plans, given, stops) => {
          const { world, nodes } = makeWorld(given, plans)
          const { opened, done } = run(world, nodes, plans)
          for (const { which, atMs } of stops)
            world.clock.schedule(atMs, () => opened[which % opened.length]!.cancel('enough'))
          await world.pass(100)
          await world.settle(done())
          await world.pass(1000)
          const [a, b] = nodes
          expect([a.to(b).association.large!.held, b.to(a).association.large!.held]).toEqual([0, 0])
          expect(a.office.counters.handlersFailed + b.office.counters.handlersFailed).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  }, 110_000)
})
