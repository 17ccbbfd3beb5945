/**
 * Checks the shape of a FlatBuffer before any generated accessor touches it: the JavaScript runtime follows
 * whatever offset it reads. Knows no message; a `TableShape` says what to expect. Meaning is checked by the decoder.
 * Reading stays linear: what tables, vectors and strings occupy may not add up to more than the buffer.
 */
import { WIRE_LIMITS } from './limits.js'

/** What one slot of a table may hold. Sizes in bytes; alignment is relative to the start of the buffer. */
export type FieldShape =
  | { readonly kind: 'inline'; readonly size: number; readonly align: number }
  | { readonly kind: 'vector'; readonly size: number; readonly align: number; readonly countMax: number }
  | { readonly kind: 'string'; readonly bytesMax: number }
  | { readonly kind: 'strings'; readonly bytesMax: number; readonly countMax: number }
  | { readonly kind: 'table'; readonly table: TableShape }

/** Fields by name, in the order of the schema: the n-th one is slot n of the vtable. */
export type TableShape = Readonly<Record<string, FieldShape>>

export function scalar(size: 1 | 2 | 4 | 8): FieldShape {
  return { kind: 'inline', size, align: size }
}

export function struct(size: number, align: number): FieldShape {
  return { kind: 'inline', size, align }
}

/** Scalars or structs, back to back. */
export function vectorOf(size: number, align: number, countMax: number): FieldShape {
  return { kind: 'vector', size, align, countMax }
}

export function string(bytesMax: number): FieldShape {
  return { kind: 'string', bytesMax }
}

export function vectorOfStrings(bytesMax: number, countMax: number): FieldShape {
  return { kind: 'strings', bytesMax, countMax }
}

export function table(shape: TableShape): FieldShape {
  return { kind: 'table', table: shape }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })
const OFFSET_BYTES = 4
const VTABLE_HEADER_BYTES = 4
const IDENTIFIER_BYTES = 4
/** The runtime reads the entries of a vtable as *signed* 16-bit numbers: above this it would read before the table. */
const TABLE_BYTES_MAX = 0x7fff

/**
 * Verifies a whole buffer whose root is `shape`. Returns undefined when every generated accessor of the shape's
 * fields stays inside the buffer, else what is wrong, as `path: reason`. Slots the shape does not name are skipped:
 * a later schema may append fields. Which fields must be present is for the caller.
 */
export function verifyBuffer(bytes: Uint8Array, shape: TableShape, identifier: string): string | undefined {
  return new Verifier(bytes).root(shape, identifier)
}

class Verifier {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private claimed = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  root(shape: TableShape, identifier: string): string | undefined {
    const { length } = this.bytes
    if (length < OFFSET_BYTES + IDENTIFIER_BYTES) return 'buffer: too short for a root'
    // The builder pads at the end to the widest alignment, never less than 4: without this, cut padding would go unseen.
    if (length % 4 !== 0) return 'buffer: length is not a multiple of 4'
    for (let i = 0; i < IDENTIFIER_BYTES; i++) {
      if (this.bytes[OFFSET_BYTES + i] !== identifier.charCodeAt(i)) return 'buffer: not this kind of message'
    }
    this.claimed = OFFSET_BYTES + IDENTIFIER_BYTES
    return this.reference(0, 'root', (at) => this.table(at, shape, 'root', 1))
  }

  private table(at: number, shape: TableShape, path: string, depth: number): string | undefined {
    if (depth > WIRE_LIMITS.depthMax) return `${path}: nested deeper than ${WIRE_LIMITS.depthMax}`
    const { length } = this.bytes
    if (at % 4 !== 0) return `${path}: misaligned`
    if (at + OFFSET_BYTES > length) return `${path}: runs past the end`
    const vtable = at - this.view.getInt32(at, true)
    if (vtable < 0 || vtable % 2 !== 0 || vtable + VTABLE_HEADER_BYTES > length)
      return `${path}: vtable is outside`
    const vtableBytes = this.view.getUint16(vtable, true)
    const tableBytes = this.view.getUint16(vtable + 2, true)
    if (vtableBytes < VTABLE_HEADER_BYTES || vtableBytes % 2 !== 0 || vtableBytes > TABLE_BYTES_MAX) {
      return `${path}: vtable has no valid size`
    }
    if (vtable + vtableBytes > length) return `${path}: vtable runs past the end`
    if (tableBytes < OFFSET_BYTES || tableBytes > TABLE_BYTES_MAX) return `${path}: table has no valid size`
    const overrun = this.claim(at, tableBytes, path)
    if (overrun !== undefined) return overrun
    let slot = vtable + VTABLE_HEADER_BYTES
    for (const name in shape) {
      if (slot >= vtable + vtableBytes) return undefined
      const offset = this.view.getUint16(slot, true)
      slot += 2
      if (offset === 0) continue
      const field = shape[name] as FieldShape
      const fieldPath = depth === 1 ? name : `${path}.${name}`
      const size = field.kind === 'inline' ? field.size : OFFSET_BYTES
      if (offset < OFFSET_BYTES || offset + size > tableBytes) return `${fieldPath}: outside its table`
      const wrong = this.field(at + offset, field, fieldPath, depth)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  private field(at: number, field: FieldShape, path: string, depth: number): string | undefined {
    switch (field.kind) {
      case 'inline':
        return at % field.align === 0 ? undefined : `${path}: misaligned`
      case 'vector':
        return this.reference(at, path, (to) =>
          this.vector(to, field.size, field.align, field.countMax, path),
        )
      case 'string':
        return this.reference(at, path, (to) => this.string(to, field.bytesMax, path))
      case 'strings':
        return this.reference(at, path, (to) => this.strings(to, field.bytesMax, field.countMax, path))
      case 'table':
        return this.reference(at, path, (to) => this.table(to, field.table, path, depth + 1))
    }
  }

  /** Follows the offset at `at`. Offsets are unsigned and never 0, so what refers always precedes what it refers to. */
  private reference(at: number, path: string, visit: (to: number) => string | undefined): string | undefined {
    if (at % OFFSET_BYTES !== 0) return `${path}: misaligned`
    const offset = this.view.getUint32(at, true)
    const to = at + offset
    if (offset === 0 || to + OFFSET_BYTES > this.bytes.length) return `${path}: offset is outside`
    return visit(to)
  }

  private vector(
    at: number,
    size: number,
    align: number,
    countMax: number,
    path: string,
  ): string | undefined {
    if (at % OFFSET_BYTES !== 0 || (at + OFFSET_BYTES) % align !== 0) return `${path}: misaligned`
    const count = this.view.getUint32(at, true)
    if (count > countMax) return `${path}: ${count} elements, at most ${countMax}`
    return this.claim(at, OFFSET_BYTES + count * size, path)
  }

  private string(at: number, bytesMax: number, path: string): string | undefined {
    const wrong = this.vector(at, 1, 1, bytesMax, path)
    if (wrong !== undefined) return wrong
    const start = at + OFFSET_BYTES
    const end = start + this.view.getUint32(at, true)
    const unterminated = this.claim(end, 1, path)
    if (unterminated !== undefined) return unterminated
    if (this.bytes[end] !== 0) return `${path}: string is not terminated`
    try {
      UTF8.decode(this.bytes.subarray(start, end))
      return undefined
    } catch {
      return `${path}: string is not UTF-8`
    }
  }

  private strings(at: number, bytesMax: number, countMax: number, path: string): string | undefined {
    const wrong = this.vector(at, OFFSET_BYTES, OFFSET_BYTES, countMax, path)
    if (wrong !== undefined) return wrong
    const count = this.view.getUint32(at, true)
    for (let i = 0; i < count; i++) {
      const element = at + OFFSET_BYTES * (i + 1)
      const broken = this.reference(element, path, (to) => this.string(to, bytesMax, path))
      if (broken !== undefined) return broken
    }
    return undefined
  }

  /** Takes `size` bytes at `at` for one object; the sum can only exceed the buffer when objects overlap. */
  private claim(at: number, size: number, path: string): string | undefined {
    if (at + size > this.bytes.length) return `${path}: runs past the end`
    this.claimed += size
    if (this.claimed > this.bytes.length) return `${path}: overlaps something else`
    return undefined
  }
}
