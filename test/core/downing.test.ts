import { describe, expect, it } from 'vitest'
import { keepMajority, manual, type Observation } from '../../src/core/downing.js'
import type { MemberStatus } from '../../src/core/model.js'

/** `A B* C? | D`: left of the bar reachable; `?` joining, `*` leaving, `!` exiting. */
function observe(partition: string): Observation {
  const [here = '', there = ''] = partition.split('|')
  const STATUS: Record<string, MemberStatus> = { '?': 'joining', '*': 'leaving', '!': 'exiting' }
  const parse = (side: string, reachable: boolean) =>
    side
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '')
      .map((word) => ({
        uid: word.charAt(0),
        address: { host: word.charAt(0).toLowerCase(), port: 1 },
        status: STATUS[word.charAt(1)] ?? ('up' as const),
        roles: word.charAt(0) < 'D' ? ['core'] : [],
        upNumber: word.charCodeAt(0),
        reachable,
      }))
  const members = [...parse(here, true), ...parse(there, false)]
  return { members: members.sort((a, b) => (a.uid < b.uid ? -1 : 1)) }
}

/** The same cut as the other side sees it. */
function mirrored(partition: string): string {
  return partition.split('|').reverse().join('|')
}

describe('keepMajority', () => {
  it.each([
    ['A B C | D E', 'downUnreachable', 'downReachable'],
    ['A B | C D', 'downUnreachable', 'downReachable'],
    ['B D | A C', 'downReachable', 'downUnreachable'],
    ['A | B C D E', 'downReachable', 'downUnreachable'],
    // The other side's newcomers may be up there: this side is not sure to be the larger one.
    ['A B | C D? E?', 'downAll', 'downReachable'],
    // The lowest is leaving: it may be gone on its own side.
    ['A* B | C D', 'downAll', 'downReachable'],
    ['C D E* | A B', 'downAll', 'downReachable'],
    ['A B C! | D', 'downUnreachable', 'downReachable'],
  ])('{%s}: %s here, %s there', (partition, here, there) => {
    const strategy = keepMajority()
    expect(strategy.decide(observe(partition)).decision).toBe(here)
    expect(strategy.decide(observe(mirrored(partition))).decision).toBe(there)
  })

  it('never lets both sides of a cut survive, whatever the statuses', () => {
    const marks = ['', '*', '?', '!']
    const strategy = keepMajority()
    const survives = (partition: string) => strategy.decide(observe(partition)).decision === 'downUnreachable'
    for (let code = 0; code < 4 ** 4 * 2 ** 4; code++) {
      const sides: [string[], string[]] = [[], []]
      for (let i = 0; i < 4; i++) {
        const mark = marks[Math.floor(code / 4 ** i) % 4] as string
        const side = Math.floor(code / 4 ** 4 / 2 ** i) % 2
        sides[side as 0 | 1].push(`${'ABCD'.charAt(i)}${mark}`)
      }
      const partition = sides.map((s) => s.join(' ')).join(' | ')
      expect(survives(partition) && survives(mirrored(partition)), partition).toBe(false)
    }
  })

  it('counts only the role asked for, and still downs whole sides', () => {
    expect(keepMajority({ role: 'core' }).decide(observe('A B | C D E')).decision).toBe('downUnreachable')
    expect(keepMajority().decide(observe('A B | C D E')).decision).toBe('downReachable')
  })

  it('goes down when nobody counts on either side', () => {
    expect(keepMajority().decide(observe('A? | B?')).decision).toBe('downAll')
  })

  it('shows what it counted', () => {
    expect(keepMajority().decide(observe('A B | C D')).evidence).toEqual({
      reachable: 2,
      unreachable: 2,
      tieBreaker: 'A',
    })
  })
})

describe('manual', () => {
  it('decides nothing, ever', () => {
    expect(manual().decide(observe('A | B C')).decision).toBe('downNothing')
    expect(manual().stableAfterMs).toBe(0)
  })
})
