/**
 * Reads the tables of one verified message: uids, strings and role lists, each built once and shared by all that
 * refers to it. References are from 1; every one is checked here, so that the decoder proper handles values only.
 */

import { NO_UID, type Uid } from '../core/address.js'
import { CORE_LIMITS } from '../core/limits.js'
import { Halves } from './generated/halves.js'
import type { Message } from './generated/message.js'

const HEX = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
const NO_ROLES: readonly string[] = Object.freeze([])
// A byte order mark is part of a name: without `ignoreBOM` it would vanish and the name would not survive a round trip.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What is wrong with a message; never leaves this layer. */
export class MalformedError extends Error {}

export function malformed(detail: string): never {
  throw new MalformedError(detail)
}

export class DecodeTables {
  private readonly uids: readonly Uid[]
  private readonly strings: readonly string[]
  private readonly stringBytes: readonly number[]
  private readonly roleLists: readonly (readonly string[])[]

  constructor(message: Message) {
    this.uids = readUids(message)
    this.stringBytes = readLengths(message)
    this.strings = readStrings(message, this.stringBytes)
    this.roleLists = this.readRoleLists(message)
  }

  /** Number of uids; references run from 1 to it. */
  get uidCount(): number {
    return this.uids.length
  }

  uid(reference: number, path: string): Uid {
    return this.uids[reference - 1] ?? malformed(`${path}: no uid ${reference}`)
  }

  /** Where reference 0 stands for `NO_UID`. */
  uidOrNone(reference: number, path: string): Uid {
    return reference === 0 ? NO_UID : this.uid(reference, path)
  }

  string(reference: number, bytesMax: number, path: string): string {
    const text = this.strings[reference - 1] ?? malformed(`${path}: no string ${reference}`)
    if ((this.stringBytes[reference - 1] as number) > bytesMax)
      malformed(`${path}: longer than ${bytesMax} bytes`)
    return text
  }

  /** Reference 0 is the empty list. */
  roles(reference: number, path: string): readonly string[] {
    if (reference === 0) return NO_ROLES
    return this.roleLists[reference - 1] ?? malformed(`${path}: no role list ${reference}`)
  }

  private readRoleLists(message: Message): (readonly string[])[] {
    const lists: (readonly string[])[] = []
    let next = 0
    for (let i = 0; i < message.roleLengthsLength(); i++) {
      const length = message.roleLengths(i) as number
      // An empty list is reference 0, so every list takes names and their number bounds that of the lists.
      if (length === 0 || length > CORE_LIMITS.rolesPerMemberMax) malformed(`roleLengths[${i}]: ${length}`)
      if (next + length > message.roleNamesLength()) malformed('roleLengths: more than there are roleNames')
      const roles: string[] = []
      for (const end = next + length; next < end; next++) {
        roles.push(this.string(message.roleNames(next) as number, CORE_LIMITS.roleBytesMax, 'roleNames'))
      }
      lists.push(Object.freeze(roles))
    }
    if (next !== message.roleNamesLength()) malformed('roleLengths: fewer than there are roleNames')
    return lists
  }
}

function readUids(message: Message): Uid[] {
  const uids: Uid[] = []
  const halves = new Halves()
  for (let i = 0; i < message.uidsLength(); i++) {
    message.uids(i, halves)
    uids.push(formatUid(halves.high(), halves.low()))
  }
  const distinct = new Set(uids)
  if (distinct.has(NO_UID)) malformed('uids: contains 0')
  // Distinct uids let every later check for duplicates compare references.
  if (distinct.size !== uids.length) malformed('uids: not distinct')
  return uids
}

/** Sixteen hex digits. One flat string: a slice of a longer text would keep that text alive as long as the member. */
function formatUid(high: number, low: number): Uid {
  return String.fromCharCode(
    hexDigit(high >>> 28),
    hexDigit(high >>> 24),
    hexDigit(high >>> 20),
    hexDigit(high >>> 16),
    hexDigit(high >>> 12),
    hexDigit(high >>> 8),
    hexDigit(high >>> 4),
    hexDigit(high),
    hexDigit(low >>> 28),
    hexDigit(low >>> 24),
    hexDigit(low >>> 20),
    hexDigit(low >>> 16),
    hexDigit(low >>> 12),
    hexDigit(low >>> 8),
    hexDigit(low >>> 4),
    hexDigit(low),
  )
}

function hexDigit(value: number): number {
  return HEX[value & 15] as number
}

function readLengths(message: Message): number[] {
  const lengths: number[] = []
  let sum = 0
  for (let i = 0; i < message.stringLengthsLength(); i++) {
    const length = message.stringLengths(i) as number
    // No string of this protocol may be empty, so the bytes bound the number of strings.
    if (length === 0) malformed(`strings[${i}]: empty`)
    lengths.push(length)
    sum += length
  }
  if (sum !== message.stringBytesLength())
    malformed(`strings: lengths add up to ${sum}, not ${message.stringBytesLength()}`)
  return lengths
}

function readStrings(message: Message, lengths: readonly number[]): string[] {
  const view = message.stringBytesArray()
  if (view === null) return []
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
  const ascii = isAscii(bytes)
  const strings: string[] = []
  let start = 0
  for (const length of lengths) {
    const end = start + length
    strings.push(
      ascii ? bytes.toString('latin1', start, end) : decodeUtf8(bytes.subarray(start, end), strings.length),
    )
    start = end
  }
  return strings
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) >= 0x80) return false
  return true
}

/** Each string for itself: a character that straddles two of them is neither's. */
function decodeUtf8(bytes: Uint8Array, index: number): string {
  try {
    return UTF8.decode(bytes)
  } catch {
    return malformed(`strings[${index}]: not UTF-8`)
  }
}
