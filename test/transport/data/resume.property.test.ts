/** Two data planes over whatever may happen to their sockets, links and memories of each other. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DataLane } from '../../../src/transport/transport.js'
import { LaneWorld, raggedSockets } from './lane-world.js'
import { addPlane, type PlaneNode } from './plane-world.js'

const LANES: readonly DataLane[] = ['ordinary', 'large']

type Act =
  | {
      readonly do: 'send'
      readonly from: number
      readonly lane: number
      readonly size: number
      readonly count: number
    }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'killLanes' | 'cut' | 'heal' }
  | { readonly do: 'dial'; readonly from: number; readonly lane: number; readonly dial: number }
  | { readonly do: 'forget'; readonly from: number }

const send = fc.record({
  do: fc.constant('send' as const),
  from: fc.nat(1),
  lane: fc.nat(1),
  size: fc.oneof(fc.nat(40), fc.nat(5000), fc.constant(65_536)),
  count: fc.integer({ min: 1, max: 8 }),
})
const pass = fc.record({
  do: fc.constant('pass' as const),
  ms: fc.oneof(fc.double({ min: 0, max: 2, noNaN: true }), fc.nat(300)),
})
const kill = fc.record({ do: fc.constantFrom('killLanes' as const, 'cut' as const, 'heal' as const) })
const dial = fc.record({
  do: fc.constant('dial' as const),
  from: fc.nat(1),
  lane: fc.nat(1),
  dial: fc.integer({ min: 1, max: 6 }),
})
const forget = fc.record({ do: fc.constant('forget' as const), from: fc.nat(1) })

/** A run without amnesia; everything sent is to arrive. */
const steady: fc.Arbitrary<Act[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: send },
    { weight: 4, arbitrary: pass },
    { weight: 2, arbitrary: kill },
    dial,
  ),
  { maxLength: 30 },
)
const forgetful: fc.Arbitrary<Act[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: send },
    { weight: 4, arbitrary: pass },
    { weight: 2, arbitrary: kill },
    dial,
    forget,
  ),
  { maxLength: 30 },
)
const sockets = fc.record({ seed: fc.nat(), bytesMax: fc.integer({ min: 1, max: 70_000 }) })

class Run {
  readonly world: LaneWorld
  readonly nodes: readonly [PlaneNode, PlaneNode]
  /** Correlations that were sent, by sender and lane. */
  readonly sent = new Map<string, number[]>()
  private next = 1

  constructor({ seed, bytesMax }: { seed: number; bytesMax: number }, acts: readonly Act[]) {
    this.world = new LaneWorld(seed)
    const total = acts.reduce((sum, act) => sum + (act.do === 'send' ? act.size * act.count : 0), 0)
    this.world.prepare = raggedSockets(this.world.random, Math.max(bytesMax, Math.ceil(total / 200)))
    this.nodes = [addPlane(this.world, 0), addPlane(this.world, 1)]
  }

  async act(act: Act): Promise<void> {
    const { world, nodes } = this
    switch (act.do) {
      case 'send': {
        const from = nodes[act.from]!
        const lane = LANES[act.lane]!
        for (let index = 0; index < act.count; index += 1) {
          const correlation = this.next++
          this.listOf(act.from, lane).push(correlation)
          from.send(nodes[1 - act.from]!, correlation, bodyOf(correlation, act.size), lane)
        }
        return
      }
      case 'pass':
        return world.pass(act.ms)
      case 'killLanes':
        return world.killLanes()
      case 'cut':
        return world.cut(nodes[0].node, nodes[1].node)
      case 'heal':
        return world.heal(nodes[0].node, nodes[1].node)
      case 'dial':
        world.join(nodes[act.from]!.node, nodes[1 - act.from]!.node, LANES[act.lane]!, act.dial)
        return
      case 'forget':
        return nodes[act.from]!.plane.end(nodes[act.from]!.to(nodes[1 - act.from]!), 'left')
    }
  }

  /** Fair weather until nothing is under way any more. */
  async calm(): Promise<void> {
    const { world, nodes } = this
    world.heal(nodes[0].node, nodes[1].node)
    const isBusy = () => nodes.some(({ plane }) => [...plane.associations()].some(({ hasWork }) => hasWork))
    await world.until(() => !isBusy(), 'everything to be taken')
    await world.pass(100)
  }

  listOf(from: number, lane: DataLane): number[] {
    const key = `${from} ${lane}`
    const list = this.sent.get(key) ?? []
    this.sent.set(key, list)
    return list
  }

  received(to: number, lane: DataLane): number[] {
    const frames = this.nodes[to]!.received.filter((frame) => frame.lane === lane)
    for (const { correlation, body, topic } of frames) {
      expect(topic).toBe('t')
      expect(Buffer.compare(body, bodyOf(correlation, body.length))).toBe(0)
    }
    return frames.map(({ correlation }) => correlation)
  }
}

function bodyOf(correlation: number, size: number): Uint8Array {
  const body = new Uint8Array(size)
  for (let index = 0; index < size; index += 1) body[index] = index * 13 + correlation
  return body
}

describe('frames between two planes', () => {
  it('arrive once, in order and whole, whatever happens to sockets and links', async () => {
    await fc.assert(
      fc.asyncProperty(steady, sockets, async (acts, given) => {
        const run = new Run(given, acts)
        for (const act of acts) await run.act(act)
        await run.calm()
        for (const from of [0, 1]) {
          for (const lane of LANES) expect(run.received(1 - from, lane)).toEqual(run.listOf(from, lane))
          expect(run.nodes[from]!.letters).toEqual([])
          expect(run.nodes[from]!.faults).toEqual([])
        }
      }),
      { numRuns: 150 },
    )
  }, 110_000)

  it('arrive at most once and in order, or are told of as lost, when an end forgets', async () => {
    await fc.assert(
      fc.asyncProperty(forgetful, sockets, async (acts, given) => {
        const run = new Run(given, acts)
        for (const act of acts) await run.act(act)
        await run.calm()
        for (const from of [0, 1]) {
          const { letters, faults } = run.nodes[from]!
          expect(faults).toEqual([])
          for (const lane of LANES) {
            const received = run.received(1 - from, lane)
            const isInOrder = received.every(
              (correlation, index) => index === 0 || received[index - 1]! < correlation,
            )
            expect(isInOrder).toBe(true)
            const lost = letters.filter((letter) => letter.lane === lane)
            const told = lost.map(({ correlation }) => correlation)
            expect(new Set(told).size).toBe(told.length)
            const known = new Set([...received, ...told])
            expect(run.listOf(from, lane).filter((correlation) => !known.has(correlation))).toEqual([])
            // What was never given to a socket has not arrived.
            const unsent = lost.filter(({ sent }) => !sent).map(({ correlation }) => correlation)
            expect(received.filter((correlation) => unsent.includes(correlation))).toEqual([])
          }
        }
      }),
      { numRuns: 150 },
    )
  }, 110_000)
})
