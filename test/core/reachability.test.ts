import { describe, expect, it } from 'vitest'
import { makeUid, NO_UID } from '../../src/core/address.js'
import { Overlay } from '../../src/core/overlay.js'
import { computeVerdicts, type Verdicts } from '../../src/core/reachability.js'
import { ReplicatedState } from '../../src/core/state.js'

const NAMES = ['A', 'B', 'C', 'D', 'E'] as const
type Name = (typeof NAMES)[number]
const uidOf = (name: string): string => makeUid(1_700_000_000_000 + name.charCodeAt(0), 1)
const nameOf = (uid: string): string => NAMES.find((n) => uidOf(n) === uid) ?? '?'

interface Situation {
  readonly size: number
  readonly self?: Name
  /** `A>B` accuses; `A~B` calls stalled. */
  readonly rows: readonly string[]
  readonly rollCall?: number
  /** Who has answered the roll call. */
  readonly answered?: string
  readonly down?: string
  readonly policy?: 'quorum' | 'any'
  readonly over?: boolean
}

function judge(s: Situation): Verdicts {
  const names = NAMES.slice(0, s.size)
  const state = new ReplicatedState(uidOf(s.self ?? 'A'))
  const member = (n: string) => ({
    uid: uidOf(n),
    nodeId: n,
    address: { host: 'h', port: n.charCodeAt(0) },
    roles: [],
    status: s.down?.includes(n) ? ('down' as const) : ('up' as const),
    upNumber: 1,
    cause: 'none' as const,
    downReason: 'none' as const,
    origin: uidOf(n),
    seq: 1,
  })
  state.merge(
    {
      members: names.map(member),
      rows: names.map((observer) => ({
        observer: uidOf(observer),
        seq: 2,
        rollCall: s.rows.some((r) => r.startsWith(observer)) ? (s.rollCall ?? 1) : 0,
        rows: s.rows
          .filter((r) => r.startsWith(observer))
          .map((r) => ({
            subject: uidOf(r.charAt(2)),
            status: r.charAt(1) === '~' ? ('stalled' as const) : ('unreachable' as const),
          })),
      })),
      presences: names.map((n) => ({
        uid: uidOf(n),
        seq: 3,
        rollCall: (s.answered ?? '').includes(n) ? (s.rollCall ?? 1) : 0,
        cut: 0,
        reportNumber: 0,
        reportLeader: NO_UID,
        exitConfirmed: false,
      })),
      vector: names.map((n) => [uidOf(n), 3] as const),
    },
    uidOf('B'),
  )
  const overlay = new Overlay(10)
  overlay.update(state.members.keys())
  const unheard = new Set(s.over ? names.filter((n) => !(s.answered ?? '').includes(n)).map(uidOf) : [])
  const living = [...state.members.values()]
  return computeVerdicts({ state, overlay, policy: s.policy ?? 'quorum', living, unheard })
}

function words(verdicts: Verdicts): string {
  return [...verdicts.status]
    .map(([uid, status]) => `${nameOf(uid)}:${status}`)
    .sort()
    .join(' ')
}

function links(verdicts: Verdicts): string {
  return verdicts.degraded.map(([o, s]) => `${nameOf(o)}>${nameOf(s)}`).join(' ')
}

describe('verdicts under quorum', () => {
  it.each<[string, Situation, string, string]>([
    ['nobody is accused', { size: 5, rows: [] }, '', ''],
    [
      '{A,B,C,D} | {E}: all four accuse',
      { size: 5, rows: ['A>E', 'B>E', 'C>E', 'D>E'], answered: 'ABCD' },
      'E:unreachable',
      '',
    ],
    [
      'three of four suffice',
      { size: 5, rows: ['A>E', 'B>E', 'C>E'], answered: 'ABCD' },
      'E:unreachable',
      '',
    ],
    ['half is not more than half', { size: 5, rows: ['A>E', 'B>E'], answered: 'ABCDE' }, '', 'A>E B>E'],
    [
      'one bad link A-B: neither end is believed',
      { size: 5, rows: ['A>B', 'B>A'], answered: 'ABCDE' },
      '',
      'A>B B>A',
    ],
    ['one bad link among three', { size: 3, rows: ['A>B', 'B>A'], answered: 'ABC' }, '', 'A>B B>A'],
    [
      'a deaf node that still speaks convicts nobody',
      { size: 5, rows: ['E>A', 'E>B', 'E>C', 'E>D'], answered: 'ABCDE' },
      '',
      'E>A E>B E>C E>D',
    ],
    [
      'a deaf node among three convicts nobody',
      { size: 3, rows: ['C>A', 'C>B'], answered: 'ABC' },
      '',
      'C>A C>B',
    ],
    ['two nodes cut: the only observer decides', { size: 2, rows: ['A>B'] }, 'B:unreachable', ''],
    [
      '{A,B,C} | {D,E} as A sees it',
      { size: 5, rows: ['A>D', 'A>E', 'B>D', 'B>E', 'C>D', 'C>E'], answered: 'ABC' },
      'D:unreachable E:unreachable',
      '',
    ],
    [
      '{A,B,C} | {D,E} as E sees it',
      { size: 5, self: 'E', rows: ['D>A', 'D>B', 'D>C', 'E>A', 'E>B', 'E>C'], answered: 'DE' },
      'A:unreachable B:unreachable C:unreachable',
      '',
    ],
    [
      'a crash beside a bad link',
      { size: 5, rows: ['A>E', 'B>E', 'C>E', 'D>E', 'A>B', 'B>A'], answered: 'ABCD' },
      'E:unreachable',
      'A>B B>A',
    ],
    ['stalled by all', { size: 5, rows: ['A~E', 'B~E', 'C~E', 'D~E'], answered: 'ABCDE' }, 'E:stalled', ''],
    ['a word of the down does not count', { size: 3, rows: ['B>C'], down: 'B', answered: 'ABC' }, '', ''],
  ])('%s', (_, situation, expected, degraded) => {
    const verdicts = judge(situation)
    expect(words(verdicts)).toBe(expected)
    expect(links(verdicts)).toBe(degraded)
  })

  it('takes a stalled observer for no witness: among three the other one decides alone', () => {
    expect(words(judge({ size: 3, rows: ['A~B', 'A>C'], answered: 'A' }))).toBe('B:stalled C:unreachable')
  })

  it('lets a stalled member vouch for nobody behind a cut', () => {
    const rows = ['A~C', 'B~C', 'A>D', 'A>E', 'B>D', 'B>E']
    const verdicts = judge({ size: 5, rows, answered: 'ABC' })
    expect([...verdicts.confirmed].map(nameOf).sort().join('')).toBe('ABC')
    expect(words(verdicts)).toBe('C:stalled D:unreachable E:unreachable')
  })

  it('takes a single word for a bad link when the subject has answered the roll call', () => {
    expect(words(judge({ size: 3, rows: ['A>B', 'A~C', 'B~C'], answered: 'AB' }))).toBe('C:stalled')
    expect(words(judge({ size: 3, rows: ['A>B', 'A~C', 'B~C'], answered: 'A' }))).toBe(
      'B:unreachable C:stalled',
    )
  })

  it('remembers a roll call whose opener has left: answers keep its number', () => {
    const rows = ['A>E', 'B>E']
    const verdicts = judge({ size: 5, rows, rollCall: 7, answered: 'AB', over: true })
    expect([...verdicts.confirmed].map(nameOf).sort().join('')).toBe('ABCD')
  })

  it('counts as unheard, once the roll call is over, whom no confirmed member hears', () => {
    const rows = ['A>D', 'A>E', 'B>D', 'B>E', 'C>D', 'C>E']
    const verdicts = judge({ size: 5, rows, answered: 'ABC', over: true })
    expect([...verdicts.confirmed].map(nameOf).sort().join('')).toBe('ABC')
    expect(words(verdicts)).toBe('D:unreachable E:unreachable')
  })

  it('never counts itself unreachable, whoever says so', () => {
    expect(judge({ size: 3, rows: ['B>A', 'C>A'], answered: 'ABC' }).status.has(uidOf('A'))).toBe(false)
  })
})

describe('verdicts under any', () => {
  it.each<[string, Situation, string]>([
    ['one observer suffices', { size: 5, rows: ['B>E'], answered: 'ABCDE', policy: 'any' }, 'E:unreachable'],
    ['unless it is down', { size: 5, rows: ['B>E'], down: 'B', answered: 'ABCDE', policy: 'any' }, ''],
    ['a stall is a stall', { size: 5, rows: ['B~E'], answered: 'ABCDE', policy: 'any' }, 'E:stalled'],
  ])('%s', (_, situation, expected) => {
    expect(words(judge(situation))).toBe(expected)
  })
})
