/** What the codec carries: whole messages unchanged, limits at their edges, sizes. */
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sampleDelta } from '../../bench/micro/sample-delta.js'
import { CORE_LIMITS } from '../../src/core/limits.js'
import type { Delta, MemberEntry, Message, PresenceEntry, RowsEntry } from '../../src/core/model.js'
import { WIRE_LIMITS } from '../../src/wire/limits.js'
import { MESSAGE_SHAPE } from '../../src/wire/message-shape.js'
import { decodeMessage, encodeMessage } from '../../src/wire/messages.js'
import type { FieldShape } from '../../src/wire/verify.js'
import { messages } from './message-arbitraries.js'

const EMPTY: Delta = { members: [], rows: [], presences: [], vector: [] }
const [A, B] = ['0000000000000001', 'ffffffffffffffff'] as const

const member: MemberEntry = {
  uid: A,
  nodeId: 'n',
  address: { host: 'h', port: 1 },
  roles: [],
  status: 'up',
  upNumber: 1,
  cause: 'none',
  downReason: 'none',
  origin: A,
  seq: 1,
}
const rows: RowsEntry = { observer: A, seq: 1, rollCall: 0, rows: [] }
const presence: PresenceEntry = {
  uid: A,
  seq: 1,
  rollCall: 0,
  cut: 0,
  reportNumber: 1,
  reportLeader: B,
  exitConfirmed: false,
}

function gossip(part: Partial<Delta>): Message {
  return { type: 'gossip', delta: { ...EMPTY, ...part } }
}

function distinctUids(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (i + 1).toString(16).padStart(16, '0'))
}

function roundTrip(message: Message): void {
  expect(decodeMessage(encodeMessage(message))).toEqual({ ok: true, message })
}

describe('round trip', () => {
  test('any message comes out as it went in', () => {
    fc.assert(fc.property(messages, roundTrip), { numRuns: 500 })
  })

  test('at any place of a larger buffer', () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 0, max: 9 }), (message, before) => {
        const bytes = encodeMessage(message)
        const buffer = new Uint8Array(bytes.length + before + 7).fill(0xa5)
        buffer.set(bytes, before)
        expect(decodeMessage(buffer.subarray(before, before + bytes.length))).toEqual({ ok: true, message })
      }),
      { numRuns: 50 },
    )
  })

  test('the result does not refer to the buffer', () => {
    const message = gossip(sampleDelta(20))
    const bytes = encodeMessage(message)
    const decoded = decodeMessage(bytes)
    bytes.fill(0xff)
    expect(decoded).toEqual({ ok: true, message })
  })

  test('a thousand members in at most 60 bytes each, with everything known of them in at most 100', () => {
    const delta = sampleDelta(1000)
    roundTrip({ type: 'welcome', state: delta })
    expect(encodeMessage(gossip({ members: delta.members })).length / 1000).toBeLessThanOrEqual(60)
    expect(encodeMessage({ type: 'welcome', state: delta }).length / 1000).toBeLessThanOrEqual(100)
  })

  test('members that share a host, roles or an origin share the text', () => {
    const shared = { ...member, address: { host: 'h'.repeat(200), port: 1 }, roles: ['r'.repeat(60)] }
    const members = distinctUids(50).map((uid, i) => ({ ...shared, uid, nodeId: `n${i}` }))
    expect(encodeMessage(gossip({ members })).length).toBeLessThan(50 * 48 + 512)
    roundTrip(gossip({ members }))
  })
})

describe('limits: the edge passes, one more does not leave', () => {
  const many = (count: number): string[] => distinctUids(count)
  const accepted: readonly (readonly [string, Message])[] = [
    ['entries', gossip({ members: many(WIRE_LIMITS.entriesMax).map((uid) => ({ ...member, uid })) })],
    ['presences', gossip({ presences: many(WIRE_LIMITS.entriesMax).map((uid) => ({ ...presence, uid })) })],
    ['observers', gossip({ rows: many(WIRE_LIMITS.entriesMax).map((observer) => ({ ...rows, observer })) })],
    ['rows of one observer', gossip({ rows: [rowsAgainst(CORE_LIMITS.rowsPerObserverMax)] })],
    [
      'rows of all',
      gossip({
        rows: many(100).map((observer) => ({ ...rowsAgainst(4096), observer: `f${observer.slice(1)}` })),
      }),
    ],
    [
      'vector',
      { type: 'vector', reply: true, vector: many(CORE_LIMITS.vectorEntriesMax).map((uid) => [uid, 1]) },
    ],
    ['roles', { type: 'join', roles: many(CORE_LIMITS.rolesPerMemberMax) }],
    ['role bytes', { type: 'join', roles: ['é'.repeat(32)] }],
    ['nodeId bytes', gossip({ members: [{ ...member, nodeId: 'n'.repeat(255) }] })],
    ['host bytes', gossip({ members: [{ ...member, address: { host: 'h'.repeat(255), port: 65_535 } }] })],
    ['counter', gossip({ vector: [[A, WIRE_LIMITS.counterMax]] })],
  ]
  test.each(accepted)('%s', (_, message) => {
    const decoded = decodeMessage(encodeMessage(message))
    // Not `toEqual`, which takes seconds for 20,000 entries.
    expect(isDeepStrictEqual(decoded, { ok: true, message })).toBe(true)
  })

  const refused: readonly (readonly [string, Message])[] = [
    ['entries + 1', gossip({ members: many(WIRE_LIMITS.entriesMax + 1).map((uid) => ({ ...member, uid })) })],
    [
      'presences',
      gossip({ presences: many(WIRE_LIMITS.entriesMax + 1).map((uid) => ({ ...presence, uid })) }),
    ],
    [
      'observers',
      gossip({ rows: many(WIRE_LIMITS.entriesMax + 1).map((observer) => ({ ...rows, observer })) }),
    ],
    ['rows of one observer + 1', gossip({ rows: [rowsAgainst(CORE_LIMITS.rowsPerObserverMax + 1)] })],
    [
      'rows of all',
      gossip({
        rows: [...many(100).map((observer) => ({ ...rowsAgainst(4096), observer })), rowsAgainst(1)],
      }),
    ],
    [
      'vector',
      { type: 'vector', reply: true, vector: many(CORE_LIMITS.vectorEntriesMax + 1).map((uid) => [uid, 1]) },
    ],
    ['roles + 1', { type: 'join', roles: many(CORE_LIMITS.rolesPerMemberMax + 1) }],
    ['role bytes + 1', { type: 'join', roles: [`${'é'.repeat(32)}x`] }],
    ['nodeId bytes + 1', gossip({ members: [{ ...member, nodeId: 'n'.repeat(256) }] })],
    ['host bytes + 1', gossip({ members: [{ ...member, address: { host: 'h'.repeat(256), port: 1 } }] })],
    ['counter + 1', gossip({ vector: [[A, WIRE_LIMITS.counterMax + 1]] })],
    ['counter that is no whole number', gossip({ vector: [[A, 1.5]] })],
    ['sequence 0', gossip({ vector: [[A, 0]] })],
    ['port 0', gossip({ members: [{ ...member, address: { host: 'h', port: 0 } }] })],
    ['empty host', gossip({ members: [{ ...member, address: { host: '', port: 1 } }] })],
    ['empty role', { type: 'join', roles: [''] }],
    ['removal without a cause', gossip({ members: [{ ...member, status: 'removed' }] })],
    ['cause without a removal', gossip({ members: [{ ...member, cause: 'left' }] })],
    ['epoch without a leader', gossip({ presences: [{ ...presence, reportLeader: '0000000000000000' }] })],
    ['leader without an epoch', gossip({ presences: [{ ...presence, reportNumber: 0 }] })],
    ['uid 0', gossip({ members: [{ ...member, uid: '0000000000000000' }] })],
    ['uid in capitals', gossip({ members: [{ ...member, uid: 'ABCDEF0123456789' }] })],
  ]
  test.each(refused)('not %s', (_, message) => {
    expect(() => encodeMessage(message)).toThrow(RangeError)
  })
})

describe('the schema', () => {
  test('is what the verifier is told of it', () => {
    const schema = readFileSync(new URL('../../src/wire/schema/messages.fbs', import.meta.url), 'utf8')
    const body = /table Message \{([^}]*)\}/.exec(schema)?.[1] ?? ''
    const fields = [...body.matchAll(/^ {2}(\w+): (\[?)(\w+)\]?;/gm)]
    const sizes = structSizes(schema)
    const expected = fields.map(([, name, bracket, type]) => {
      const [size, align] = sizes.get(type as string) as [number, number]
      const camel = (name as string).replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
      return [camel, bracket === '[' ? 'vector' : 'inline', size, align]
    })
    const told = Object.entries(MESSAGE_SHAPE).map(([name, field]) => [name, field.kind, ...sizeOf(field)])
    expect(told).toEqual(expected)
    expect(expected).toHaveLength(17)
  })
})

function rowsAgainst(count: number): RowsEntry {
  return {
    ...rows,
    observer: B,
    rows: distinctUids(count).map((subject) => ({ subject, status: 'stalled' })),
  }
}

function sizeOf(field: FieldShape): readonly number[] {
  return field.kind === 'inline' || field.kind === 'vector' ? [field.size, field.align] : []
}

/** Size and alignment of every scalar, enum and struct of a schema, by the rules of FlatBuffers. */
function structSizes(schema: string): Map<string, [size: number, align: number]> {
  const sizes = new Map<string, [number, number]>(
    Object.entries({ bool: [1, 1], ubyte: [1, 1], ushort: [2, 2], uint32: [4, 4] }),
  )
  for (const [, name, type] of schema.matchAll(/enum (\w+) : (\w+)/g)) {
    sizes.set(name as string, sizes.get(type as string) as [number, number])
  }
  for (const [, name, body] of schema.matchAll(/struct (\w+) \{([^}]*)\}/g)) {
    let end = 0
    let widest = 1
    for (const [, type] of (body as string).matchAll(/^ {2}\w+: (\w+);/gm)) {
      const [size, align] = sizes.get(type as string) as [number, number]
      end = Math.ceil(end / align) * align + size
      widest = Math.max(widest, align)
    }
    sizes.set(name as string, [Math.ceil(end / widest) * widest, widest])
  }
  return sizes
}
