/** What the codec makes of bytes no honest peer sends: nothing throws, nothing out of bounds comes out. */

import fc from 'fast-check'
import { Builder } from 'flatbuffers'
import { describe, expect, test } from 'vitest'
import { Halves } from '../../src/wire/generated/halves.js'
import { MemberRecord } from '../../src/wire/generated/member-record.js'
import { MemberStatus } from '../../src/wire/generated/member-status.js'
import { Message as Root } from '../../src/wire/generated/message.js'
import { MessageKind } from '../../src/wire/generated/message-kind.js'
import { PresenceRecord } from '../../src/wire/generated/presence-record.js'
import { RowRecord } from '../../src/wire/generated/row-record.js'
import { RowsRecord } from '../../src/wire/generated/rows-record.js'
import { VectorRecord } from '../../src/wire/generated/vector-record.js'
import { decodeMessage, encodeMessage } from '../../src/wire/messages.js'
import { messages } from './message-arbitraries.js'

/** Whatever is accepted must be a message this node could have sent itself: the encoder checks every bound. */
function acceptedOnlyIfSound(bytes: Uint8Array): boolean {
  const decoded = decodeMessage(bytes)
  if (!decoded.ok) return false
  expect(decodeMessage(encodeMessage(decoded.message))).toEqual(decoded)
  return true
}

describe('damage', () => {
  test('every truncation is refused', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = encodeMessage(message)
        for (let length = 0; length < bytes.length; length++) {
          expect(decodeMessage(bytes.subarray(0, length)).ok).toBe(false)
        }
      }),
      { numRuns: 80 },
    )
  })

  test('any flipped bits leave a sound message or none', () => {
    let accepted = 0
    fc.assert(
      fc.property(
        messages,
        fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 4 }),
        (message, flips) => {
          const bytes = encodeMessage(message)
          for (const [at, bit] of flips)
            bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ (1 << bit)
          if (acceptedOnlyIfSound(bytes)) accepted++
        },
      ),
      { numRuns: 3000 },
    )
    // Flips inside a number are valid: were none accepted, this would test nothing.
    expect(accepted).toBeGreaterThan(0)
  })

  test('every single byte set to each of its extremes leaves a sound message or none', () => {
    const [message] = fc.sample(
      messages.filter((m) => m.type === 'welcome' && m.state.members.length > 0 && m.state.rows.length > 0),
      { numRuns: 1, seed: 7 },
    )
    const bytes = encodeMessage(message as NonNullable<typeof message>)
    for (let at = 0; at < bytes.length; at++) {
      const original = bytes[at] as number
      for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
        bytes[at] = value
        acceptedOnlyIfSound(bytes)
      }
      bytes[at] = original
    }
  })

  test('random bytes are refused, with or without a plausible start', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, plausible) => {
        if (plausible) bytes.set([16, 0, 0, 0, 0x53, 0x4b, 0x4d, 0x31].slice(0, bytes.length))
        acceptedOnlyIfSound(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})

type Numbers = readonly number[]

interface Raw {
  readonly kind?: number
  /** Halves: low, high. */
  readonly uids?: readonly Numbers[]
  readonly strings?: readonly string[]
  readonly stringLengths?: Numbers
  readonly stringBytes?: Numbers
  readonly roleNames?: Numbers
  readonly roleLengths?: Numbers
  /** uid, host, nodeId, roles, origin, port, status, cause, downReason, reserved, upNumber, seq */
  readonly members?: readonly Numbers[]
  /** observer, rowCount, seq, rollCall */
  readonly observers?: readonly Numbers[]
  /** subject, status, reserved */
  readonly rows?: readonly Numbers[]
  /** uid, reportLeader, seq, rollCall, cut, reportNumber */
  readonly presences?: readonly Numbers[]
  /** origin, reserved, seq */
  readonly vector?: readonly Numbers[]
  readonly joinRoles?: number
  readonly reason?: number
}

type Create = (builder: Builder, ...numbers: number[]) => number

/** A well-formed buffer with whatever values: what a peer with a broken or evil encoder can send. */
function craft(raw: Raw): Uint8Array {
  const builder = new Builder(1024)
  const structs = (
    records: readonly Numbers[] | undefined,
    start: (b: Builder, n: number) => void,
    create: Create,
  ) => {
    if (records === undefined) return 0
    start(builder, records.length)
    for (const record of [...records].reverse()) create(builder, ...record)
    return builder.endVector()
  }
  const text = Buffer.from((raw.strings ?? []).join(''))
  const lengths = raw.stringLengths ?? (raw.strings ?? []).map((s) => Buffer.byteLength(s))
  const offsets = {
    uids: structs(raw.uids, Root.startUidsVector, Halves.createHalves as Create),
    members: structs(raw.members, Root.startMembersVector, MemberRecord.createMemberRecord as Create),
    observers: structs(raw.observers, Root.startObserversVector, RowsRecord.createRowsRecord as Create),
    rows: structs(raw.rows, Root.startRowsVector, RowRecord.createRowRecord as Create),
    presences: structs(
      raw.presences,
      Root.startPresencesVector,
      PresenceRecord.createPresenceRecord as unknown as Create,
    ),
    vector: structs(raw.vector, Root.startVectorVector, VectorRecord.createVectorRecord as Create),
    bytes: Root.createStringBytesVector(builder, Uint8Array.from(raw.stringBytes ?? text)),
    lengths: Root.createStringLengthsVector(builder, [...lengths]),
    roleNames: Root.createRoleNamesVector(builder, [...(raw.roleNames ?? [])]),
    roleLengths: Root.createRoleLengthsVector(builder, [...(raw.roleLengths ?? [])]),
  }
  Root.startMessage(builder)
  Root.addUids(builder, offsets.uids)
  Root.addMembers(builder, offsets.members)
  Root.addObservers(builder, offsets.observers)
  Root.addRows(builder, offsets.rows)
  Root.addPresences(builder, offsets.presences)
  Root.addVector(builder, offsets.vector)
  Root.addStringBytes(builder, offsets.bytes)
  Root.addStringLengths(builder, offsets.lengths)
  Root.addRoleNames(builder, offsets.roleNames)
  Root.addRoleLengths(builder, offsets.roleLengths)
  Root.addJoinRoles(builder, raw.joinRoles ?? 0)
  Root.addNack(builder, raw.reason ?? 0)
  Root.addRefusal(builder, raw.reason ?? 0)
  Root.addPending(builder, raw.reason ?? 0)
  Root.addKind(builder, raw.kind ?? MessageKind.gossip)
  Root.finishMessageBuffer(builder, Root.endMessage(builder))
  return builder.asUint8Array()
}

const uids: readonly Numbers[] = [
  [1, 0],
  [2, 0],
]
const strings = ['host', 'node']
const { up, removed } = MemberStatus

/** One good member, with the numbers at the given places replaced. */
function member(changes: Readonly<Record<number, number>> = {}): Numbers {
  return [1, 1, 2, 0, 2, 7355, up, 0, 0, 0, 1, 1].map((value, i) => changes[i] ?? value)
}

describe('a well-formed message that means nothing', () => {
  test('the parts used below are good', () => {
    const good: readonly Raw[] = [
      { uids, strings, members: [member()] },
      { uids, strings, members: [member(), member({ 0: 2 })] },
      {
        uids,
        strings: [...strings, 'api'],
        roleNames: [3, 3],
        roleLengths: [2],
        members: [member({ 3: 1 })],
      },
      { uids, observers: [[1, 1, 1, 0]], rows: [[2, 1, 0]] },
      { uids, presences: [[1, 2, 1, 0, 0, 5, 0]] },
      { uids, vector: [[1, 0, 1]] },
      { kind: MessageKind.join },
      { kind: MessageKind.joinRefused, reason: 1 },
    ]
    for (const raw of good) expect(decodeMessage(craft(raw))).toMatchObject({ ok: true })
  })

  const cases: readonly (readonly [detail: string, raw: Raw])[] = [
    ['kind: 0', { kind: 0 }],
    ['kind: 11', { kind: 11 }],
    ['uids: contains 0', { uids: [...uids, [0, 0]] }],
    ['uids: not distinct', { uids: [...uids, [1, 0]] }],
    ['strings[0]: empty', { stringLengths: [0] }],
    ['strings: lengths add up to 9, not 8', { strings, stringLengths: [4, 5] }],
    ['strings: lengths add up to 4, not 8', { strings, stringLengths: [4] }],
    ['strings[0]: not UTF-8', { stringBytes: [0xff], stringLengths: [1] }],
    ['strings[0]: not UTF-8', { stringBytes: [0xc3, 0xa9], stringLengths: [1, 1] }],
    ['strings[0]: not UTF-8', { stringBytes: [0xed, 0xa0, 0x80], stringLengths: [3] }],
    ['roleLengths[0]: 0', { roleLengths: [0] }],
    ['roleLengths[0]: 33', { strings, roleLengths: [33], roleNames: Array.from({ length: 33 }, () => 1) }],
    ['roleLengths: more than there are roleNames', { strings, roleLengths: [2], roleNames: [1] }],
    ['roleLengths: fewer than there are roleNames', { strings, roleLengths: [1], roleNames: [1, 1] }],
    ['roleNames: no string 3', { strings, roleLengths: [1], roleNames: [3] }],
    ['roleNames: no string 0', { strings, roleLengths: [1], roleNames: [0] }],
    ['roleNames: longer than 64 bytes', { strings: ['r'.repeat(65)], roleLengths: [1], roleNames: [1] }],
    ['joinRoles: no role list 1', { kind: MessageKind.join, joinRoles: 1 }],
    ['members.uid: no uid 0', { uids, strings, members: [member({ 0: 0 })] }],
    ['members.uid: no uid 3', { uids, strings, members: [member({ 0: 3 })] }],
    ['members.uid: twice', { uids, strings, members: [member(), member()] }],
    ['members.host: no string 9', { uids, strings, members: [member({ 1: 9 })] }],
    ['members.host: longer than 255 bytes', { uids, strings: ['h'.repeat(256), 'n'], members: [member()] }],
    ['members.nodeId: no string 0', { uids, strings, members: [member({ 2: 0 })] }],
    ['members.nodeId: longer than 255 bytes', { uids, strings: ['h', 'n'.repeat(256)], members: [member()] }],
    ['members.roles: no role list 1', { uids, strings, members: [member({ 3: 1 })] }],
    ['members.origin: no uid 0', { uids, strings, members: [member({ 4: 0 })] }],
    ['members.port: 0', { uids, strings, members: [member({ 5: 0 })] }],
    ['members.status: unknown value 7', { uids, strings, members: [member({ 6: 7 })] }],
    ['members.cause: unknown value 3', { uids, strings, members: [member({ 7: 3 })] }],
    ['members.cause: none of removed', { uids, strings, members: [member({ 6: removed })] }],
    ['members.cause: left of up', { uids, strings, members: [member({ 7: 1 })] }],
    ['members.downReason: unknown value 4', { uids, strings, members: [member({ 8: 4 })] }],
    ['members.seq: 0', { uids, strings, members: [member({ 11: 0 })] }],
    ['observers.observer: no uid 3', { uids, observers: [[3, 0, 1, 0]] }],
    ['observers.observer: twice', { uids, observers: [[1, 0, 1, 0], [1, 0, 2, 0]] }], // biome-ignore format: one case a line
    ['observers.seq: 0', { uids, observers: [[1, 0, 0, 0]] }],
    ['observers.rowCount: 4097', { uids, observers: [[1, 4097, 1, 0]] }],
    ['observers.rowCount: more than there are rows', { uids, observers: [[1, 2, 1, 0]], rows: [[2, 1, 0]] }],
    ['observers.rowCount: fewer than there are rows', { uids, observers: [[1, 0, 1, 0]], rows: [[2, 1, 0]] }],
    ['rows.subject: no uid 3', { uids, observers: [[1, 1, 1, 0]], rows: [[3, 1, 0]] }],
    ['rows.subject: its own observer', { uids, observers: [[1, 1, 1, 0]], rows: [[1, 1, 0]] }],
    ['rows.subject: twice', { uids, observers: [[1, 2, 1, 0]], rows: [[2, 1, 0], [2, 2, 0]] }], // biome-ignore format: one case a line
    ['rows.status: reachable has no row', { uids, observers: [[1, 1, 1, 0]], rows: [[2, 0, 0]] }],
    ['rows.status: unknown value 3', { uids, observers: [[1, 1, 1, 0]], rows: [[2, 3, 0]] }],
    ['presences.uid: twice', { uids, presences: [[1, 2, 1, 0, 0, 5, 0], [1, 2, 2, 0, 0, 5, 0]] }], // biome-ignore format: one case a line
    ['presences.reportLeader: no uid 3', { uids, presences: [[1, 3, 1, 0, 0, 5, 0]] }],
    ['presences.report: half an epoch', { uids, presences: [[1, 2, 1, 0, 0, 0, 0]] }],
    ['presences.report: half an epoch', { uids, presences: [[1, 0, 1, 0, 0, 5, 0]] }],
    ['presences.seq: 0', { uids, presences: [[1, 2, 0, 0, 0, 5, 0]] }],
    ['vector.origin: no uid 0', { uids, vector: [[0, 0, 1]] }],
    ['vector.origin: twice', { uids, vector: [[1, 0, 1], [1, 0, 2]] }], // biome-ignore format: one case a line
    ['vector.seq: 0', { uids, vector: [[1, 0, 0]] }],
    ['vector.origin: no uid 3', { kind: MessageKind.vector, uids, vector: [[3, 0, 1]] }],
    ['digest: missing', { kind: MessageKind.digest }],
    ['nack: missing', { kind: MessageKind.initJoinNack }],
    ['nack: unknown value 3', { kind: MessageKind.initJoinNack, reason: 3 }],
    ['refusal: missing', { kind: MessageKind.joinRefused }],
    ['refusal: unknown value 7', { kind: MessageKind.joinRefused, reason: 7 }],
    ['pending: missing', { kind: MessageKind.joinPending }],
    ['pending: unknown value 3', { kind: MessageKind.joinPending, reason: 3 }],
  ]
  test.each(cases)('%s', (detail, raw) => {
    expect(decodeMessage(craft(raw))).toEqual({ ok: false, reason: 'malformed', detail })
  })
})
