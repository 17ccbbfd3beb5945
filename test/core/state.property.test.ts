import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeUid, NO_UID } from '../../src/core/address.js'
import type { Delta, MemberStatus } from '../../src/core/model.js'
import { isPlausible } from '../../src/core/plausible.js'
import { ReplicatedState, statusRank } from '../../src/core/state.js'

const UIDS = [1, 2, 3, 4].map((n) => makeUid(1_700_000_000_000 + n, n))
const STATUSES: readonly MemberStatus[] = ['weaklyUp', 'up', 'leaving', 'exiting', 'down', 'removed']

/** One thing a node may do to its own copy. */
type Action =
  | { do: 'add'; subject: number }
  | { do: 'move'; subject: number; status: MemberStatus; upNumber: number }
  | { do: 'rows'; subject: number; rollCall: number }
  | { do: 'presence'; rollCall: number; cut: number }
  | { do: 'tell'; to: number }

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), subject: fc.nat(3) }),
  fc.record({
    do: fc.constant('move' as const),
    subject: fc.nat(3),
    status: fc.constantFrom(...STATUSES),
    upNumber: fc.nat(4),
  }),
  fc.record({ do: fc.constant('rows' as const), subject: fc.nat(3), rollCall: fc.nat(5) }),
  fc.record({ do: fc.constant('presence' as const), rollCall: fc.nat(5), cut: fc.nat(5) }),
  fc.record({ do: fc.constant('tell' as const), to: fc.nat(3) }),
)

const history = fc.array(fc.tuple(fc.nat(3), action), { maxLength: 60 })

function uid(index: number): string {
  return UIDS[index] as string
}

function act(states: readonly ReplicatedState[], at: number, what: Action): void {
  const state = states[at] as ReplicatedState
  if (what.do === 'tell') {
    const to = states[what.to] as ReplicatedState
    to.merge(state.deltaFor(to.vector), state.self)
  } else if (what.do === 'add') {
    if (state.members.has(uid(what.subject))) return
    state.addMember({
      uid: uid(what.subject),
      nodeId: `n${what.subject}`,
      address: { host: 'h', port: 1 + what.subject },
      roles: [],
      status: 'joining',
      upNumber: 0,
      cause: 'none',
      downReason: 'none',
    })
  } else if (what.do === 'move') {
    const cause = what.status === 'removed' ? (what.upNumber % 2 === 0 ? 'left' : 'downed') : 'none'
    state.changeMember(uid(what.subject), { status: what.status, upNumber: what.upNumber, cause })
  } else if (state.living(state.self) !== undefined) {
    if (what.do === 'presence') {
      state.putPresence({ ...what, reportNumber: 0, reportLeader: NO_UID, exitConfirmed: false })
    } else if (uid(what.subject) !== state.self) {
      state.putRows({
        rollCall: what.rollCall,
        rows: [{ subject: uid(what.subject), status: 'unreachable' }],
      })
    }
  }
}

function play(actions: readonly (readonly [number, Action])[]): ReplicatedState[] {
  const states = UIDS.map((self) => new ReplicatedState(self))
  for (const [at, what] of actions) act(states, at, what)
  return states
}

function picture(state: ReplicatedState): unknown {
  const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    members: sorted(state.members),
    rows: sorted(state.rows),
    presences: sorted(state.presences),
    vector: sorted(state.vector),
    digest: [state.digest.high, state.digest.low],
  }
}

function blank(): ReplicatedState {
  return new ReplicatedState(makeUid(1, 1))
}

function merged(...deltas: readonly Delta[]): unknown {
  const state = blank()
  for (const delta of deltas) state.merge(delta, UIDS[0] as string)
  return picture(state)
}

describe('replicated state', () => {
  it('merges commutatively, associatively and idempotently', () => {
    fc.assert(
      fc.property(history, (actions) => {
        const [a, b, c] = play(actions).map((s) => s.whole()) as [Delta, Delta, Delta, Delta]
        expect(merged(a, b)).toEqual(merged(b, a))
        expect(merged(a, b, c)).toEqual(merged(c, a, b))
        expect(merged(a, b, a, b)).toEqual(merged(a, b))
      }),
    )
  })

  it('is monotone: no status falls, no tombstone returns, no sequence sinks', () => {
    fc.assert(
      fc.property(history, (actions) => {
        const states = UIDS.map((self) => new ReplicatedState(self))
        for (const [at, what] of actions) {
          const touched = states[what.do === 'tell' ? what.to : at] as ReplicatedState
          const members = new Map(touched.members)
          const vector = new Map(touched.vector)
          act(states, at, what)
          for (const [id, before] of members) {
            const after = touched.members.get(id)
            expect(after).toBeDefined()
            if (after === undefined) return
            expect(statusRank(after.status)).toBeGreaterThanOrEqual(statusRank(before.status))
            if (before.cause === 'downed') expect(after.cause).toBe('downed')
          }
          for (const [origin, seq] of vector)
            expect(touched.vector.get(origin) ?? 0).toBeGreaterThanOrEqual(seq)
        }
      }),
    )
  })

  it('converges to one state by exchanging what vectors say is missing, and then digests agree', () => {
    fc.assert(
      fc.property(history, (actions) => {
        const states = play(actions)
        for (let round = 0; round < UIDS.length; round++) {
          for (const a of states) for (const b of states) b.merge(a.deltaFor(b.vector), a.self)
        }
        const pictures = states.map(picture)
        for (const other of pictures) expect(other).toEqual(pictures[0])
      }),
    )
  })

  it('makes only plausible deltas, whole or since a cursor', () => {
    fc.assert(
      fc.property(history, fc.nat(3), fc.nat(3), (actions, from, to) => {
        const states = play(actions)
        const [a, b] = [states[from], states[to]] as [ReplicatedState, ReplicatedState]
        expect(isPlausible(b, a.deltaFor(b.vector))).toBe(true)
        expect(isPlausible(b, a.whole())).toBe(true)
      }),
    )
  })

  it('tells by cursor exactly what came after it and not from that neighbour', () => {
    fc.assert(
      fc.property(history, history, (before, after) => {
        const states = play(before)
        const [source, other] = states as [ReplicatedState, ReplicatedState]
        const copy = blank()
        copy.merge(source.whole(), source.self)
        const cursor = source.log.end
        for (const [at, what] of after) act(states, at, what)
        const delta = source.deltaSince(cursor, NO_UID)
        if (delta !== undefined) copy.merge(delta, source.self)
        expect({ ...(picture(copy) as object) }).toEqual(picture(source))
        const withoutOther = source.log.since(0, other.self)
        expect(withoutOther.every((item) => item.from !== other.self)).toBe(true)
      }),
    )
  })
})

describe('plausibility', () => {
  const base = (): ReplicatedState => {
    const state = new ReplicatedState(UIDS[0] as string)
    state.addMember({
      uid: uid(0),
      nodeId: 'n0',
      address: { host: 'h', port: 1 },
      roles: [],
      status: 'up',
      upNumber: 1,
      cause: 'none',
      downReason: 'none',
    })
    return state
  }
  const entry = {
    uid: uid(1),
    nodeId: 'n1',
    address: { host: 'h', port: 2 },
    roles: [],
    status: 'up' as const,
    upNumber: 2,
    cause: 'none' as const,
    downReason: 'none' as const,
    origin: uid(1),
    seq: 1,
  }
  const nothing: Delta = { members: [], rows: [], presences: [], vector: [[uid(1), 1]] }

  it.each<[string, Delta]>([
    ['a removal without a cause', { ...nothing, members: [{ ...entry, status: 'removed' }] }],
    ['a cause without a removal', { ...nothing, members: [{ ...entry, cause: 'downed' }] }],
    ['a stamp beyond the vector', { ...nothing, members: [{ ...entry, seq: 2 }] }],
    [
      'a stamp of ours that we never made',
      { ...nothing, members: [{ ...entry, origin: uid(0), seq: 99 }], vector: [[uid(0), 99]] },
    ],
    ['a sequence beyond the bound', { ...nothing, vector: [[uid(1), 2 ** 31 + 1]] }],
    ['an incarnation that moves', { ...nothing, members: [{ ...entry, uid: uid(0), nodeId: 'n0' }] }],
    ['an incarnation that changes its node', { ...nothing, members: [{ ...entry, uid: uid(0) }] }],
    [
      'an observer that accuses itself',
      {
        ...nothing,
        rows: [{ observer: uid(1), seq: 1, rollCall: 0, rows: [{ subject: uid(1), status: 'stalled' }] }],
      },
    ],
    ['an entry without an origin', { ...nothing, members: [{ ...entry, origin: NO_UID }] }],
  ])('rejects %s', (_, delta) => {
    expect(isPlausible(base(), delta)).toBe(false)
  })

  it('accepts the same entry when it is sound', () => {
    expect(isPlausible(base(), { ...nothing, members: [entry] })).toBe(true)
  })

  it('never lets others move our own sequence', () => {
    const state = base()
    state.merge(
      {
        ...nothing,
        vector: [
          [uid(0), 99],
          [uid(1), 1],
        ],
      },
      uid(1),
    )
    expect(state.vector.get(uid(0))).toBe(1)
    expect(state.vector.get(uid(1))).toBe(1)
  })
})
