/** Correlations: which answer belongs to which question. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { Office } from '../../src/messaging/office.js'
import { type PendingRequest, RequestTable } from '../../src/messaging/request-table.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { OPTIONS } from './office-world.js'

function request(deadlineMs = 0): PendingRequest {
  return {
    topic: 't',
    deadlineMs,
    resolve: () => {},
    reject: () => {},
    signal: undefined,
    onAbort: undefined,
  }
}

describe('a table of requests', () => {
  it('gives back each request once, by its correlation', () => {
    const table = new RequestTable()
    const requests = [request(), request(), request()]
    const correlations = requests.map((one) => table.add(one)!)
    expect(table.size).toBe(3)
    expect(table.take(correlations[1]!)).toBe(requests[1])
    expect(table.take(correlations[1]!)).toBeUndefined()
    expect(table.take(correlations[0]!)).toBe(requests[0])
    expect(table.take(correlations[2]!)).toBe(requests[2])
    expect(table.size).toBe(0)
  })

  it('does not take a late answer for that of the next request in the same slot', () => {
    const table = new RequestTable()
    const first = table.add(request())!
    table.take(first)
    const next = request()
    const second = table.add(next)!
    expect(second).not.toBe(first)
    expect(table.take(first)).toBeUndefined()
    expect(table.take(second)).toBe(next)
  })

  it('uses a correlation again only after all others of its slot', () => {
    const table = new RequestTable()
    const seen = new Set<number>()
    for (let use = 0; use < 65_536; use += 1) {
      const correlation = table.add(request())!
      seen.add(correlation)
      table.take(correlation)
    }
    expect(seen.size).toBe(65_536)
    expect(seen.has(table.add(request())!)).toBe(true)
  })

  it('gives correlations of 32 bits without a sign', () => {
    const table = new RequestTable(65_535)
    const correlation = table.add(request())!
    expect(correlation).toBe(0xffff_0000)
    expect(table.take(correlation)).toBeDefined()
    expect(table.take(table.add(request())!)).toBeDefined()
  })

  it('holds as many as the bound', () => {
    const table = new RequestTable()
    let last = 0
    for (let index = 0; index < MESSAGING_LIMITS.requestsInFlightMax; index += 1) {
      const correlation = table.add(request())
      expect(correlation).toBeDefined()
      last = correlation!
    }
    expect(table.add(request())).toBeUndefined()
    table.take(last)
    expect(table.add(request())).toBeDefined()
    expect(table.add(request())).toBeUndefined()
  })

  it('takes out what is due, and says when the next one is', () => {
    const table = new RequestTable()
    for (const deadlineMs of [30, 10, 20, 40]) table.add(request(deadlineMs))
    const due: number[] = []
    expect(table.takeDue(20, (_, { deadlineMs }) => due.push(deadlineMs))).toBe(30)
    expect(due.sort()).toEqual([10, 20])
    expect(table.size).toBe(2)
    table.takeAll(({ deadlineMs }) => due.push(deadlineMs))
    expect(due.sort()).toEqual([10, 20, 30, 40])
    expect(table.takeDue(100, () => {})).toBe(Number.POSITIVE_INFINITY)
  })

  it('is right after any history', () => {
    const acts = fc.array(fc.record({ isAdd: fc.boolean(), which: fc.nat() }), { maxLength: 300 })
    fc.assert(
      fc.property(acts, fc.nat(65_535), (history, origin) => {
        const table = new RequestTable(origin)
        const waiting = new Map<number, PendingRequest>()
        const done: number[] = []
        for (const { isAdd, which } of history) {
          if (isAdd || waiting.size === 0) {
            const one = request()
            const correlation = table.add(one)!
            expect(waiting.has(correlation) || done.includes(correlation)).toBe(false)
            waiting.set(correlation, one)
          } else {
            const [correlation, one] = [...waiting][which % waiting.size]!
            expect(table.take(correlation)).toBe(one)
            waiting.delete(correlation)
            done.push(correlation)
          }
          if (done.length > 0) expect(table.take(done[which % done.length]!)).toBeUndefined()
          expect(table.size).toBe(waiting.size)
        }
      }),
    )
  })
})

describe('tables of one office', () => {
  it('begin far from each other, so that no answer of an old one fits a new one', () => {
    const world = new LaneWorld()
    const node = world.addNode(0)
    const office = new Office(OPTIONS, node.ports, node, () => {})
    const origins = Array.from({ length: 100 }, () => office.takeRequestOrigin() & 0xffff)
    for (const [index, origin] of origins.entries()) {
      // A slot of the old table may be used so often before it meets those of the later one.
      for (const later of origins.slice(index + 1)) expect((later - origin) & 0xffff).toBeGreaterThan(250)
    }
  })
})
