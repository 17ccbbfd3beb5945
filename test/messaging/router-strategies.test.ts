import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Routee } from '../../src/messaging/routing/routee.js'
import { ROUTING_STRATEGIES, routingStrategy } from '../../src/messaging/routing/strategy.js'
import { createRandom } from '../../src/sim/random.js'
import { member, routees } from './router-support.js'

const names = (list: readonly Routee[]): string[] => list.map((r) => r.member.nodeId)

/** How often each was chosen, by nodeId. */
function counts(chosen: readonly Routee[]): Map<string, number> {
  const byName = new Map<string, number>()
  for (const name of names(chosen)) byName.set(name, (byName.get(name) ?? 0) + 1)
  return byName
}

function take(times: number, choose: (i: number) => Routee): Routee[] {
  return Array.from({ length: times }, (_, i) => choose(i))
}

/** Routees with these loads, in the order of addresses. */
function loaded(loads: readonly number[]): Routee[] {
  const list = routees(loads.length)
  for (const [i, inFlight] of loads.entries()) list[i]!.inFlight = inFlight
  return list
}

const loads = fc.array(fc.nat(6), { minLength: 1, maxLength: 12 })

describe.each(ROUTING_STRATEGIES)('%s', (name) => {
  it('chooses one of those it is given, and writes to none', () => {
    fc.assert(
      fc.property(loads, fc.string(), fc.integer(), (inFlight, key, seed) => {
        const list = loaded(inFlight)
        const strategy = routingStrategy(name, createRandom(seed))
        for (let i = 0; i < 20; i++) expect(list).toContain(strategy.choose(list, key))
        expect(list.map((r) => r.inFlight)).toEqual(inFlight)
      }),
      { numRuns: 50 },
    )
  })

  it('repeats itself for one seed', () => {
    const run = (seed: number) => {
      const list = routees(7)
      const strategy = routingStrategy(name, createRandom(seed))
      return names(take(50, (i) => strategy.choose(list, `key-${i}`)))
    }
    expect(run(3)).toEqual(run(3))
  })
})

describe('roundRobin', () => {
  it('gives everybody one turn in each round', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer(), (count, seed) => {
        const list = routees(count)
        const strategy = routingStrategy('roundRobin', createRandom(seed))
        const chosen = take(3 * count, () => strategy.choose(list, ''))
        expect([...counts(chosen).values()]).toEqual(Array.from({ length: count }, () => 3))
        expect(new Set(names(chosen.slice(0, count))).size).toBe(count)
      }),
    )
  })

  it('goes on with the next in order when the list changes, whoever has gone', () => {
    const [a, b, c, d] = routees(4) as [Routee, Routee, Routee, Routee]
    const strategy = routingStrategy('roundRobin', () => 0)
    const all = [a, b, c, d]
    expect(names([strategy.choose(all, ''), strategy.choose(all, '')])).toEqual(['n1', 'n2'])
    expect(strategy.choose([a, c, d], '')).toBe(c)
    expect(strategy.choose([a, b], '')).toBe(a)
    expect(strategy.choose([a, b, c, d], '')).toBe(b)
  })

  it('keeps the turns of the others even when retries leave one out', () => {
    const list = routees(4)
    const strategy = routingStrategy('roundRobin', () => 0)
    const taken: Routee[] = []
    for (let i = 0; i < 300; i++) {
      const first = strategy.choose(list, '')
      if (first !== list[0]) taken.push(first)
      else taken.push(strategy.choose(list.slice(1), ''))
    }
    const shares = [...counts(taken).values()]
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
  })

  it('does not begin at the same member on every node', () => {
    const list = routees(10)
    const firsts = take(50, (seed) => routingStrategy('roundRobin', createRandom(seed)).choose(list, ''))
    expect(counts(firsts).size).toBeGreaterThan(5)
  })
})

describe('leastInFlight', () => {
  it('never chooses one that is busier than another', () => {
    fc.assert(
      fc.property(loads, fc.integer(), (inFlight, seed) => {
        const list = loaded(inFlight)
        const strategy = routingStrategy('leastInFlight', createRandom(seed))
        for (let i = 0; i < 30; i++) {
          const chosen = strategy.choose(list, '')
          expect(chosen.inFlight).toBe(Math.min(...list.map((r) => r.inFlight)))
          chosen.inFlight += 1
        }
      }),
    )
  })

  it('gives equals one turn each', () => {
    const list = loaded([0, 2, 0, 0])
    const strategy = routingStrategy('leastInFlight', createRandom(1))
    const chosen = take(300, () => strategy.choose(list, ''))
    expect(counts(chosen)).toEqual(
      new Map([
        ['n1', 100],
        ['n3', 100],
        ['n4', 100],
      ]),
    )
  })
})

describe('powerOfTwoChoices', () => {
  it('never chooses the busiest of all while another is less busy', () => {
    fc.assert(
      fc.property(loads, fc.integer(), (others, seed) => {
        const list = loaded([...others, 100])
        const strategy = routingStrategy('powerOfTwoChoices', createRandom(seed))
        for (let i = 0; i < 30; i++) expect(strategy.choose(list, '').inFlight).toBeLessThan(100)
      }),
    )
  })

  it('draws every pair: each member is chosen as often as it is the less busy one', () => {
    const list = loaded([0, 1, 2, 3])
    const strategy = routingStrategy('powerOfTwoChoices', createRandom(5))
    const chosen = counts(take(60_000, () => strategy.choose(list, '')))
    // Of the 6 pairs of four members, n1 wins 3, n2 wins 2, n3 wins 1.
    expect(chosen.get('n1')! / 60_000).toBeCloseTo(1 / 2, 1)
    expect(chosen.get('n2')! / 60_000).toBeCloseTo(1 / 3, 1)
    expect(chosen.get('n3')! / 60_000).toBeCloseTo(1 / 6, 1)
    expect(chosen.has('n4')).toBe(false)
  })

  it('keeps the greatest load near the mean, where a single draw does not', () => {
    const throwBalls = (choose: (list: Routee[]) => Routee): number => {
      const list = routees(50)
      for (let i = 0; i < 5000; i++) choose(list).inFlight += 1
      return Math.max(...list.map((r) => r.inFlight))
    }
    const random = createRandom(9)
    const strategy = routingStrategy('powerOfTwoChoices', random)
    expect(throwBalls((list) => strategy.choose(list, ''))).toBeLessThanOrEqual(105)
    expect(throwBalls((list) => list[Math.floor(random() * list.length)]!)).toBeGreaterThan(115)
  })
})

describe('rendezvous', () => {
  const strategy = routingStrategy('rendezvous', () => 0)
  const keys = Array.from({ length: 300 }, (_, i) => `user:${i}`)
  const count = fc.integer({ min: 2, max: 30 })

  it('moves only the keys of a member that goes, and takes for one that comes only what it wins', () => {
    fc.assert(
      fc.property(count, fc.nat(), fc.array(fc.string(), { maxLength: 100 }), (size, pick, texts) => {
        const all = routees(size)
        const gone = all[pick % size]!
        const rest = all.filter((routee) => routee !== gone)
        for (const key of [...keys, ...texts]) {
          const before = strategy.choose(all, key)
          const after = strategy.choose(rest, key)
          if (before !== gone) expect(after).toBe(before)
          else expect(rest).toContain(after)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('does not depend on the order of the list, on load or on who asks', () => {
    const list = routees(9)
    const elsewhere = loaded([3, 1, 4, 1, 5, 9, 2, 6, 5]).reverse()
    const other = routingStrategy('rendezvous', createRandom(77))
    for (const key of keys) {
      expect(other.choose(elsewhere, key).member.nodeId).toBe(strategy.choose(list, key).member.nodeId)
    }
  })

  it('gives a restarted node its keys back: the nodeId decides, not the incarnation', () => {
    const list = routees(5)
    const again = list.map((r, i) => {
      return i === 2 ? new Routee({ ...r.member, uid: member(500).uid }) : r
    })
    for (const key of keys) {
      expect(strategy.choose(again, key).member.nodeId).toBe(strategy.choose(list, key).member.nodeId)
    }
  })

  it('shares keys evenly, consecutive ones too, and what one leaves among all others', () => {
    const list = routees(10)
    const many = Array.from({ length: 20_000 }, (_, i) => `k${i}`)
    const owners = many.map((key) => strategy.choose(list, key))
    // 2000 each; four standard deviations of a binomial are 170.
    expect(counts(owners).size).toBe(10)
    for (const share of counts(owners).values()) expect(Math.abs(share - 2000)).toBeLessThan(170)
    const orphans = many.filter((_, i) => owners[i] === list[4])
    const rest = list.filter((_, i) => i !== 4)
    const heirs = counts(orphans.map((key) => strategy.choose(rest, key)))
    // About 222 each; four standard deviations are 57.
    expect(heirs.size).toBe(9)
    for (const share of heirs.values()) expect(Math.abs(share - orphans.length / 9)).toBeLessThan(60)
  })

  it('decides a tie by uid, so that the order of the list never shows', () => {
    const [one] = routees(1) as [Routee]
    const twin = new Routee({ ...one.member, uid: member(2).uid })
    expect(strategy.choose([one, twin], 'k')).toBe(one)
    expect(strategy.choose([twin, one], 'k')).toBe(one)
  })
})
