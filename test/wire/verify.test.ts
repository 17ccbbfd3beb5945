/** The verifier on shapes of its own: what it must pass, and every way of lying about an offset or a size. */
import { Builder } from 'flatbuffers'
import { describe, expect, test } from 'vitest'
import { WIRE_LIMITS } from '../../src/wire/limits.js'
import {
  scalar,
  string,
  struct,
  type TableShape,
  table,
  vectorOf,
  vectorOfStrings,
  verifyBuffer,
} from '../../src/wire/verify.js'

const LEAF: TableShape = { value: scalar(4), wide: scalar(8) }
const SHAPE: TableShape = {
  flag: scalar(1),
  pair: struct(8, 4),
  numbers: vectorOf(8, 8, 10),
  name: string(12),
  names: vectorOfStrings(12, 3),
  child: table(LEAF),
}

function check(bytes: Uint8Array): string | undefined {
  return verifyBuffer(bytes, SHAPE, 'TEST')
}

/** A buffer that uses every kind of field, as the library's builder writes it. */
function everyKind(): Uint8Array {
  const builder = new Builder(64)
  const names = ['one', 'zwei', 'три'].map((name) => builder.createString(name))
  builder.startVector(4, names.length, 4)
  for (const name of names.reverse()) builder.addOffset(name)
  const list = builder.endVector()
  const name = builder.createString('añadir')
  builder.startVector(8, 2, 8)
  for (const value of [1n, 2n]) builder.addInt64(value)
  const numbers = builder.endVector()
  builder.startObject(2)
  builder.addFieldInt32(0, 5, 0)
  builder.addFieldInt64(1, 6n, 0n)
  const child = builder.endObject()
  builder.startObject(6)
  builder.addFieldOffset(2, numbers, 0)
  builder.addFieldOffset(3, name, 0)
  builder.addFieldOffset(4, list, 0)
  builder.addFieldOffset(5, child, 0)
  builder.prep(4, 8)
  builder.writeInt32(1)
  builder.writeInt32(2)
  builder.addFieldStruct(1, builder.offset(), 0)
  builder.addFieldInt8(0, 1, 0)
  builder.finish(builder.endObject(), 'TEST')
  return builder.asUint8Array()
}

/** A buffer written number by number: `[at, bits, value]`. The root table stands at 24, its vtable at 8. */
function raw(
  length: number,
  writes: readonly (readonly [at: number, bits: 8 | 16 | 32, value: number])[],
): Uint8Array {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 24, true)
  bytes.set(Buffer.from('TEST'), 4)
  view.setUint16(8, 16, true)
  view.setUint16(10, 28, true)
  view.setInt32(24, 16, true)
  for (const [at, bits, value] of writes) {
    if (bits === 8) bytes[at] = value
    else if (bits === 16) view.setUint16(at, value, true)
    else view.setUint32(at, value, true)
  }
  return bytes
}

// Slots of the vtable at 8, and where the cases below put each field in the table at 24.
const SLOT = { flag: 12, pair: 14, numbers: 16, name: 18, names: 20, child: 22 }
const NUMBERS = [SLOT.numbers, 16, 4] as const
const NAME = [SLOT.name, 16, 8] as const
const NAMES = [SLOT.names, 16, 12] as const
const CHILD = [SLOT.child, 16, 16] as const

describe('passes', () => {
  test('what the builder writes', () => {
    expect(check(everyKind())).toBeUndefined()
  })

  test('an empty table, and absent fields', () => {
    expect(check(raw(52, []))).toBeUndefined()
  })

  test('slots appended by a later schema', () => {
    const shorter: TableShape = { flag: scalar(1), pair: struct(8, 4) }
    expect(verifyBuffer(everyKind(), shorter, 'TEST')).toBeUndefined()
  })

  test('a vtable shorter than the shape, from an earlier schema', () => {
    expect(
      verifyBuffer(everyKind(), { ...SHAPE, later: vectorOf(4, 4, 1), last: string(1) }, 'TEST'),
    ).toBeUndefined()
  })

  test('a vector, a string and a list of strings, each at its bound', () => {
    const full = [NUMBERS, [28, 32, 32], [60, 32, 10]] as const
    expect(check(raw(144, full))).toBeUndefined()
    expect(check(raw(72, [NAME, [32, 32, 20], [52, 32, 12]]))).toBeUndefined()
    expect(check(raw(96, [NAMES, [36, 32, 16], [52, 32, 3], ...[0, 1, 2].map((i) => [56 + 4 * i, 32, 12 + 4 * i] as const)]))).toBeUndefined() // biome-ignore format: one write a line would hide the layout
  })
})

describe('every truncation of what the builder writes', () => {
  const bytes = everyKind()
  test.each(Array.from({ length: bytes.length }, (_, length) => length))(
    'to %i bytes is refused',
    (length) => {
      expect(check(bytes.subarray(0, length))).toBeTypeOf('string')
    },
  )
})

describe('refuses', () => {
  const cases: readonly (readonly [wrong: string, bytes: Uint8Array])[] = [
    ['buffer: too short for a root', new Uint8Array(4)],
    ['buffer: length is not a multiple of 4', raw(53, [])],
    ['buffer: not this kind of message', raw(52, [[4, 8, 0x54 ^ 1]])],
    ['root: offset is outside', raw(52, [[0, 32, 0]])],
    ['root: offset is outside', raw(52, [[0, 32, 52]])],
    ['root: offset is outside', raw(52, [[0, 32, 0xffff_ffff]])],
    ['root: misaligned', raw(52, [[0, 32, 22]])],
    ['root: vtable is outside', raw(52, [[24, 32, 25]])],
    ['root: vtable is outside', raw(52, [[24, 32, 0x8000_0000]])],
    ['root: vtable is outside', raw(52, [[24, 32, 15]])],
    ['root: vtable is outside', raw(52, [[24, 32, -26 >>> 0]])],
    ['root: vtable has no valid size', raw(52, [[8, 16, 2]])],
    ['root: vtable has no valid size', raw(52, [[8, 16, 5]])],
    ['root: vtable has no valid size', raw(52, [[8, 16, 0x8000]])],
    ['root: vtable runs past the end', raw(52, [[8, 16, 46]])],
    ['root: table has no valid size', raw(52, [[10, 16, 3]])],
    ['root: table has no valid size', raw(70_000, [[10, 16, 0x8004]])],
    ['root: runs past the end', raw(52, [[10, 16, 29]])],
    ['flag: outside its table', raw(52, [[SLOT.flag, 16, 28]])],
    ['flag: outside its table', raw(52, [[SLOT.flag, 16, 3]])],
    ['pair: outside its table', raw(52, [[SLOT.pair, 16, 24]])],
    ['pair: misaligned', raw(52, [[SLOT.pair, 16, 18]])],
    ['numbers: outside its table', raw(52, [[SLOT.numbers, 16, 26]])],
    ['numbers: misaligned', raw(72, [[SLOT.numbers, 16, 6]])],
    ['numbers: offset is outside', raw(72, [NUMBERS, [28, 32, 44]])],
    ['numbers: offset is outside', raw(72, [NUMBERS, [28, 32, 0]])],
    ['numbers: offset is outside', raw(72, [NUMBERS, [28, 32, 0xffff_fff0]])],
    ['numbers: misaligned', raw(72, [NUMBERS, [28, 32, 28]])],
    ['numbers: runs past the end', raw(72, [NUMBERS, [28, 32, 32], [60, 32, 2]])],
    ['numbers: 11 elements, at most 10', raw(160, [NUMBERS, [28, 32, 32], [60, 32, 11]])],
    ['numbers: 4294967295 elements, at most 10', raw(160, [NUMBERS, [28, 32, 32], [60, 32, 0xffff_ffff]])],
    ['name: 13 elements, at most 12', raw(72, [NAME, [32, 32, 20], [52, 32, 13]])],
    ['name: runs past the end', raw(68, [NAME, [32, 32, 20], [52, 32, 12]])],
    ['name: string is not terminated', raw(72, [NAME, [32, 32, 20], [52, 32, 3], [59, 8, 1]])],
    ['name: string is not UTF-8', raw(72, [NAME, [32, 32, 20], [52, 32, 3], [57, 8, 0xc3]])],
    ['names: 4 elements, at most 3', raw(96, [NAMES, [36, 32, 16], [52, 32, 4]])],
    ['names: offset is outside', raw(96, [NAMES, [36, 32, 16], [52, 32, 1], [56, 32, 40]])],
    ['names: string is not terminated', raw(96, [NAMES, [36, 32, 16], [52, 32, 1], [56, 32, 4], [64, 8, 1]])],
    // Three names that are one and the same: together longer than the buffer.
    [
      'names: overlaps something else',
      raw(80, [NAMES, [36, 32, 16], [52, 32, 3], [56, 32, 12], [60, 32, 8], [64, 32, 4], [68, 32, 7]]),
    ],
    ['child: offset is outside', raw(52, [CHILD, [40, 32, 12]])],
    ['child: vtable is outside', raw(56, [CHILD, [40, 32, 12], [52, 32, 56]])],
    // The child is the root again: its slots mean other things there, and it cannot be claimed twice.
    ['child: offset is outside', raw(52, [CHILD, [40, 32, -16 >>> 0]])],
  ]
  test.each(cases)('%s (%#)', (wrong, bytes) => {
    expect(check(bytes)).toBe(wrong)
  })
})

describe('depth', () => {
  /** A chain of tables, each the only field of the one before. */
  function chain(depth: number): Uint8Array {
    const builder = new Builder(64)
    let inner = 0
    for (let i = 0; i < depth; i++) {
      builder.startObject(1)
      builder.addFieldOffset(0, inner, 0)
      inner = builder.endObject()
    }
    builder.finish(inner, 'TEST')
    return builder.asUint8Array()
  }
  const nested: { next?: ReturnType<typeof table> } = {}
  nested.next = table(nested as TableShape)

  test('stands at its bound', () => {
    expect(verifyBuffer(chain(WIRE_LIMITS.depthMax), nested as TableShape, 'TEST')).toBeUndefined()
  })

  test('is refused beyond it', () => {
    expect(verifyBuffer(chain(WIRE_LIMITS.depthMax + 1), nested as TableShape, 'TEST')).toMatch(
      /nested deeper than 8$/,
    )
  })
})
