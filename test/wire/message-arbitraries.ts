/** Whole messages as the core may build them: every list, every enum value, names of any script, counters at their edges. */
import fc from 'fast-check'
import { NO_UID, type Uid } from '../../src/core/address.js'
import { CORE_LIMITS } from '../../src/core/limits.js'
import {
  type Delta,
  DOWN_REASONS,
  MEMBER_STATUSES,
  type MemberEntry,
  type Message,
  type PresenceEntry,
  type RowsEntry,
} from '../../src/core/model.js'
import { WIRE_LIMITS } from '../../src/wire/limits.js'

const counter = (min: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min, max: 50 }),
    fc.integer({ min, max: WIRE_LIMITS.counterMax }),
    fc.constant(WIRE_LIMITS.counterMax),
  )

export const uids: fc.Arbitrary<Uid> = fc
  .bigInt({ min: 1n, max: 0xffff_ffff_ffff_ffffn })
  .map((value) => value.toString(16).padStart(16, '0'))

/** Well-formed text whose UTF-8 is 1 to `bytesMax` bytes; mostly the names people give to machines. */
function name(bytesMax: number): fc.Arbitrary<string> {
  const fits = (text: string): boolean => text !== '' && Buffer.byteLength(text) <= bytesMax
  return fc.oneof(
    { weight: 6, arbitrary: fc.nat(9999).map((n) => `node-${n}`) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter(fits) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('x'.repeat(bytesMax), '\ufeffmarked', '0', 'é'.repeat(bytesMax >> 1)),
    },
  )
}

const roles = fc.oneof(
  fc.array(name(CORE_LIMITS.roleBytesMax), { maxLength: 3 }),
  fc.constant(Array.from({ length: CORE_LIMITS.rolesPerMemberMax }, (_, i) => `role-${i}`)),
)

function member(uid: Uid, pool: readonly Uid[]): fc.Arbitrary<MemberEntry> {
  const life = fc.oneof(
    fc.record({
      status: fc.constantFrom(...MEMBER_STATUSES.slice(0, -1)),
      cause: fc.constant('none' as const),
    }),
    fc.record({
      status: fc.constant('removed' as const),
      cause: fc.constantFrom('left' as const, 'downed' as const),
    }),
  )
  const rest = fc.record({
    uid: fc.constant(uid),
    nodeId: name(CORE_LIMITS.nodeIdBytesMax),
    address: fc.record({ host: name(CORE_LIMITS.hostBytesMax), port: fc.integer({ min: 1, max: 65_535 }) }),
    roles,
    upNumber: counter(0),
    downReason: fc.constantFrom(...DOWN_REASONS),
    origin: fc.constantFrom(...pool),
    seq: counter(1),
  })
  return fc.tuple(rest, life).map(([own, lived]) => ({ ...own, ...lived }))
}

function rowsOf(observer: Uid, pool: readonly Uid[]): fc.Arbitrary<RowsEntry> {
  const others = pool.filter((uid) => uid !== observer)
  return fc.record({
    observer: fc.constant(observer),
    seq: counter(1),
    rollCall: counter(0),
    rows: fc.subarray(others).chain((subjects) =>
      fc.tuple(
        ...subjects.map((subject) =>
          fc.record({
            subject: fc.constant(subject),
            status: fc.constantFrom('stalled' as const, 'unreachable' as const),
          }),
        ),
      ),
    ),
  })
}

function presence(uid: Uid, pool: readonly Uid[]): fc.Arbitrary<PresenceEntry> {
  const report = fc.oneof(
    fc.constant({ reportNumber: 0, reportLeader: NO_UID }),
    fc.record({ reportNumber: counter(1), reportLeader: fc.constantFrom(...pool) }),
  )
  const rest = fc.record({
    uid: fc.constant(uid),
    seq: counter(1),
    rollCall: counter(0),
    cut: counter(0),
    exitConfirmed: fc.boolean(),
  })
  return fc.tuple(rest, report).map(([own, reported]) => ({ ...own, ...reported }))
}

/** One entry for each of a subset of `pool`. */
function entriesOf<T>(
  pool: readonly Uid[],
  entry: (uid: Uid, pool: readonly Uid[]) => fc.Arbitrary<T>,
): fc.Arbitrary<T[]> {
  return fc.shuffledSubarray([...pool]).chain((chosen) => fc.tuple(...chosen.map((uid) => entry(uid, pool))))
}

const uidPool = fc.uniqueArray(uids, { minLength: 1, maxLength: 8 })

export const deltas: fc.Arbitrary<Delta> = uidPool.chain((pool) =>
  fc.record({
    members: entriesOf(pool, member),
    rows: entriesOf(pool, rowsOf),
    presences: entriesOf(pool, presence),
    vector: entriesOf(pool, (uid) => fc.tuple(fc.constant(uid), counter(1))),
  }),
)

export const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.constantFrom<Message>(
    { type: 'initJoin' },
    { type: 'initJoinAck' },
    { type: 'initJoinNack', reason: 'notJoined' },
    { type: 'initJoinNack', reason: 'closing' },
    { type: 'joinPending', reason: 'verifying' },
    { type: 'joinPending', reason: 'replacing' },
    { type: 'joinRefused', reason: 'duplicateNodeId' },
    { type: 'joinRefused', reason: 'olderIncarnation' },
    { type: 'joinRefused', reason: 'removedIncarnation' },
    { type: 'joinRefused', reason: 'uidCollision' },
    { type: 'joinRefused', reason: 'addressInUse' },
    { type: 'joinRefused', reason: 'clusterFull' },
  ),
  fc.record({ type: fc.constant('join' as const), roles }),
  fc.record({ type: fc.constant('digest' as const), high: counter(0), low: counter(0) }),
  deltas.map((state) => ({ type: 'welcome' as const, state })),
  deltas.map((delta) => ({ type: 'gossip' as const, delta })),
  fc.tuple(deltas, fc.boolean()).map(([{ vector }, reply]) => ({ type: 'vector' as const, vector, reply })),
)
