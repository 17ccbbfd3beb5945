import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Deadline, DeadlineHeap } from '../../src/transport/control/deadlines.js'

type Step =
  | { readonly do: 'set'; which: number; atMs: number }
  | { readonly do: 'clear' | 'pop'; which: number; atMs: number }

const COUNT = 12
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('set', 'set', 'clear', 'pop'),
  which: fc.nat(COUNT - 1),
  atMs: fc.nat(50),
})

describe('deadline heap', () => {
  it('behaves like a list sorted by time and then by the order of setting', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new DeadlineHeap()
        const deadlines = Array.from({ length: COUNT }, () => new Deadline(() => {}))
        let model: { which: number; atMs: number }[] = []
        for (const each of steps) {
          if (each.do !== 'pop') model = model.filter((entry) => entry.which !== each.which)
          if (each.do === 'clear') heap.clear(deadlines[each.which]!)
          if (each.do === 'set') {
            heap.set(deadlines[each.which]!, each.atMs)
            model.push({ which: each.which, atMs: each.atMs })
            model.sort((a, b) => a.atMs - b.atMs)
          }
          if (each.do === 'pop') {
            const due = heap.popDue(each.atMs)
            const expected = model[0] !== undefined && model[0].atMs <= each.atMs ? model.shift() : undefined
            expect(due).toBe(expected === undefined ? undefined : deadlines[expected.which])
          }
          expect(heap.size).toBe(model.length)
          expect(heap.firstMs).toBe(model[0]?.atMs ?? Number.POSITIVE_INFINITY)
        }
      }),
    )
  })
})
