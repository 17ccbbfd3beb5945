/**
 * The tables of one message: each uid, string and role list is written once and referred to by its index, from 1.
 * Filled while the records are written, written last.
 */
import type { Builder, Offset } from 'flatbuffers'
import { NO_UID, type Uid } from '../core/address.js'
import { CORE_LIMITS } from '../core/limits.js'
import { Halves } from './generated/halves.js'
import { Message } from './generated/message.js'
import { WIRE_LIMITS } from './limits.js'

const UTF8 = new TextEncoder()

/** Throws `RangeError`: a message of ours that no peer would take is a defect here, not an event on the wire. */
export function refuse(what: string, value: unknown, bound: string): never {
  throw new RangeError(`cannot encode ${what} ${String(value)}: ${bound}`)
}

/** A reference that fits a u16. */
function nextReference(count: number, what: string): number {
  if (count >= WIRE_LIMITS.referencesMax)
    refuse(what, count + 1, `at most ${WIRE_LIMITS.referencesMax} in one message`)
  return count + 1
}

/** Offsets of the tables in the buffer; 0 where a table is empty. */
export interface TableOffsets {
  readonly uids: Offset
  readonly stringBytes: Offset
  readonly stringLengths: Offset
  readonly roleNames: Offset
  readonly roleLengths: Offset
}

export class EncodeTables {
  private readonly uids = new Map<Uid, number>()
  private readonly strings = new Map<string, number>()
  private readonly roleLists = new Map<string, number>()
  private readonly roleNames: number[] = []
  private readonly roleLengths: number[] = []

  /** Reference to a uid; 0 for `NO_UID`. */
  uid(uid: Uid): number {
    const known = this.uids.get(uid)
    if (known !== undefined) return known
    if (uid === NO_UID) return 0
    const reference = nextReference(this.uids.size, 'uid')
    this.uids.set(uid, reference)
    return reference
  }

  /** Reference to a string of 1 to `bytesMax` bytes. */
  string(text: string, bytesMax: number): number {
    const known = this.strings.get(text)
    if (known !== undefined) return known
    // A code unit is at most 3 bytes, so most names need no count.
    const fits = text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax
    if (text === '' || !fits) refuse('string', JSON.stringify(text), `1 to ${bytesMax} bytes`)
    const reference = nextReference(this.strings.size, 'string')
    this.strings.set(text, reference)
    return reference
  }

  /** Reference to a list of roles; 0 for the empty one. */
  roles(roles: readonly string[]): number {
    if (roles.length === 0) return 0
    if (roles.length > CORE_LIMITS.rolesPerMemberMax) {
      refuse('roles', roles.length, `at most ${CORE_LIMITS.rolesPerMemberMax} of one member`)
    }
    const names = roles.map((role) => this.string(role, CORE_LIMITS.roleBytesMax))
    const key = names.join()
    const known = this.roleLists.get(key)
    if (known !== undefined) return known
    const reference = nextReference(this.roleLists.size, 'role list')
    this.roleLists.set(key, reference)
    this.roleNames.push(...names)
    this.roleLengths.push(names.length)
    return reference
  }

  write(builder: Builder): TableOffsets {
    const { roleNames, roleLengths } = this
    return {
      uids: this.writeUids(builder),
      ...this.writeStrings(builder),
      roleNames: roleNames.length === 0 ? 0 : Message.createRoleNamesVector(builder, roleNames),
      roleLengths: roleLengths.length === 0 ? 0 : Message.createRoleLengthsVector(builder, roleLengths),
    }
  }

  private writeStrings(builder: Builder): Pick<TableOffsets, 'stringBytes' | 'stringLengths'> {
    if (this.strings.size === 0) return { stringBytes: 0, stringLengths: 0 }
    const texts = [...this.strings.keys()]
    const joined = texts.join('')
    const bytes = UTF8.encode(joined)
    const isAscii = bytes.length === joined.length
    const lengths = texts.map((text) => (isAscii ? text.length : Buffer.byteLength(text)))
    return {
      stringBytes: builder.createByteVector(bytes),
      stringLengths: Message.createStringLengthsVector(builder, lengths),
    }
  }

  private writeUids(builder: Builder): Offset {
    if (this.uids.size === 0) return 0
    const uids = [...this.uids.keys()]
    Message.startUidsVector(builder, uids.length)
    for (let i = uids.length - 1; i >= 0; i--) {
      const uid = uids[i] as Uid
      Halves.createHalves(builder, parseHex32(uid, 8), parseHex32(uid, 0))
    }
    return builder.endVector()
  }
}

/** Eight hex digits as a u32. A uid that is not 16 lower-case hex digits is refused: it would name somebody else. */
function parseHex32(uid: Uid, start: number): number {
  let value = 0
  for (let i = start; i < start + 8; i++) {
    const code = uid.charCodeAt(i)
    const digit = code >= 0x30 && code <= 0x39 ? code - 0x30 : code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
    if (digit < 0) refuse('uid', uid, '16 lower-case hex digits')
    value = (value << 4) | digit
  }
  return value >>> 0
}
