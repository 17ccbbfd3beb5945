/**
 * Membership messages to bytes. Structs go straight into the builder's buffer; nothing is cached and no message is
 * kept. What a peer would refuse is refused here first, so that an honest node never closes its own links; only
 * duplicates are not looked for: the core keeps entries by uid.
 */
import { Builder, type Offset } from 'flatbuffers'
import { NO_UID, type Uid } from '../core/address.js'
import { CORE_LIMITS } from '../core/limits.js'
import type { Delta, MemberEntry, Message, PresenceEntry, RowsEntry } from '../core/model.js'
import { EncodeTables, refuse, type TableOffsets } from './encode-tables.js'
import { DownReason } from './generated/down-reason.js'
import { Halves } from './generated/halves.js'
import { JoinRefusal } from './generated/join-refusal.js'
import { MemberRecord } from './generated/member-record.js'
import { MemberStatus } from './generated/member-status.js'
import { Message as Root } from './generated/message.js'
import { MessageKind } from './generated/message-kind.js'
import { NackReason } from './generated/nack-reason.js'
import { PendingReason } from './generated/pending-reason.js'
import { PresenceRecord } from './generated/presence-record.js'
import { RemovalCause } from './generated/removal-cause.js'
import { RowRecord } from './generated/row-record.js'
import { RowStatus } from './generated/row-status.js'
import { RowsRecord } from './generated/rows-record.js'
import { VectorRecord } from './generated/vector-record.js'
import { WIRE_LIMITS } from './limits.js'

type Vector = readonly (readonly [origin: Uid, seq: number])[]

/** A root with its tables. */
const ROOT_BYTES = 256
/** A member record, its uid and typical strings; names longer than that make the buffer grow, no more. */
const MEMBER_BYTES = 72

/**
 * The bytes of one message, for `decodeMessage` of any node that speaks this version. The view is the caller's.
 * Throws `RangeError` for a message outside the limits: too many entries, a counter beyond 32 bits, an empty name.
 */
export function encodeMessage(message: Message): Uint8Array {
  const builder = new Builder(sizeHint(message))
  const tables = new EncodeTables()
  switch (message.type) {
    case 'initJoin':
    case 'initJoinAck':
      break
    case 'initJoinNack':
      return finish(builder, message.type, () => Root.addNack(builder, NackReason[message.reason]))
    case 'join': {
      const roles = tables.roles(message.roles)
      return finishWith(builder, tables.write(builder), message.type, () => Root.addJoinRoles(builder, roles))
    }
    case 'welcome':
      return encodeDelta(builder, tables, message.type, message.state)
    case 'joinRefused':
      return finish(builder, message.type, () => Root.addRefusal(builder, JoinRefusal[message.reason]))
    case 'joinPending':
      return finish(builder, message.type, () => Root.addPending(builder, PendingReason[message.reason]))
    case 'gossip':
      return encodeDelta(builder, tables, message.type, message.delta)
    case 'vector': {
      const vector = writeVector(builder, tables, message.vector)
      return finishWith(builder, tables.write(builder), message.type, () => {
        Root.addVector(builder, vector)
        Root.addReply(builder, message.reply)
      })
    }
    case 'digest': {
      const { high, low } = message
      counter(high, 'digest', 0)
      counter(low, 'digest', 0)
      return finish(builder, message.type, () =>
        Root.addDigest(builder, Halves.createHalves(builder, low, high)),
      )
    }
  }
  return finish(builder, message.type, () => {})
}

function sizeHint(message: Message): number {
  if (message.type === 'vector') return ROOT_BYTES + message.vector.length * 16
  if (message.type !== 'welcome' && message.type !== 'gossip') return ROOT_BYTES
  const { members, rows, presences, vector } = message.type === 'welcome' ? message.state : message.delta
  return ROOT_BYTES + members.length * MEMBER_BYTES + (rows.length + presences.length + vector.length) * 32
}

function encodeDelta(
  builder: Builder,
  tables: EncodeTables,
  type: Message['type'],
  delta: Delta,
): Uint8Array {
  const members = writeMembers(builder, tables, delta.members)
  const rows = writeRows(builder, tables, delta.rows)
  const observers = writeObservers(builder, tables, delta.rows)
  const presences = writePresences(builder, tables, delta.presences)
  const vector = writeVector(builder, tables, delta.vector)
  return finishWith(builder, tables.write(builder), type, () => {
    Root.addMembers(builder, members)
    Root.addRows(builder, rows)
    Root.addObservers(builder, observers)
    Root.addPresences(builder, presences)
    Root.addVector(builder, vector)
  })
}

function finishWith(
  builder: Builder,
  tables: TableOffsets,
  type: Message['type'],
  fields: () => void,
): Uint8Array {
  return finish(builder, type, () => {
    fields()
    Root.addUids(builder, tables.uids)
    Root.addStringBytes(builder, tables.stringBytes)
    Root.addStringLengths(builder, tables.stringLengths)
    Root.addRoleNames(builder, tables.roleNames)
    Root.addRoleLengths(builder, tables.roleLengths)
  })
}

function finish(builder: Builder, type: Message['type'], fields: () => void): Uint8Array {
  Root.startMessage(builder)
  fields()
  Root.addKind(builder, MessageKind[type])
  Root.finishMessageBuffer(builder, Root.endMessage(builder))
  return builder.asUint8Array()
}

function writeMembers(builder: Builder, tables: EncodeTables, members: readonly MemberEntry[]): Offset {
  if (entries(members.length, 'members') === 0) return 0
  Root.startMembersVector(builder, members.length)
  for (let i = members.length - 1; i >= 0; i--) {
    const entry = members[i] as MemberEntry
    const { host, port } = entry.address
    if ((port & 0xffff) !== port || port === 0) refuse('port', port, '1 to 65535')
    if ((entry.status === 'removed') !== (entry.cause !== 'none')) {
      refuse('cause', entry.cause, 'a removal has one, nothing else has')
    }
    MemberRecord.createMemberRecord(
      builder,
      uid(tables, entry.uid, 'member'),
      tables.string(host, CORE_LIMITS.hostBytesMax),
      tables.string(entry.nodeId, CORE_LIMITS.nodeIdBytesMax),
      tables.roles(entry.roles),
      uid(tables, entry.origin, 'origin'),
      port,
      MemberStatus[entry.status],
      RemovalCause[entry.cause],
      DownReason[entry.downReason],
      0,
      counter(entry.upNumber, 'upNumber', 0),
      counter(entry.seq, 'seq', 1),
    )
  }
  return builder.endVector()
}

/** All observers' rows, back to back, in the observers' order. */
function writeRows(builder: Builder, tables: EncodeTables, observers: readonly RowsEntry[]): Offset {
  const count = observers.reduce((sum, entry) => sum + entry.rows.length, 0)
  if (count > WIRE_LIMITS.rowsMax) refuse('rows', count, `at most ${WIRE_LIMITS.rowsMax} in one message`)
  if (count === 0) return 0
  Root.startRowsVector(builder, count)
  for (let i = observers.length - 1; i >= 0; i--) {
    const { rows } = observers[i] as RowsEntry
    if (rows.length > CORE_LIMITS.rowsPerObserverMax) {
      refuse('rows', rows.length, `at most ${CORE_LIMITS.rowsPerObserverMax} of one observer`)
    }
    for (let j = rows.length - 1; j >= 0; j--) {
      const row = rows[j] as RowsEntry['rows'][number]
      RowRecord.createRowRecord(builder, uid(tables, row.subject, 'subject'), RowStatus[row.status], 0)
    }
  }
  return builder.endVector()
}

function writeObservers(builder: Builder, tables: EncodeTables, observers: readonly RowsEntry[]): Offset {
  if (entries(observers.length, 'observers') === 0) return 0
  Root.startObserversVector(builder, observers.length)
  for (let i = observers.length - 1; i >= 0; i--) {
    const entry = observers[i] as RowsEntry
    RowsRecord.createRowsRecord(
      builder,
      uid(tables, entry.observer, 'observer'),
      entry.rows.length,
      counter(entry.seq, 'seq', 1),
      counter(entry.rollCall, 'rollCall', 0),
    )
  }
  return builder.endVector()
}

function writePresences(builder: Builder, tables: EncodeTables, presences: readonly PresenceEntry[]): Offset {
  if (entries(presences.length, 'presences') === 0) return 0
  Root.startPresencesVector(builder, presences.length)
  for (let i = presences.length - 1; i >= 0; i--) {
    const entry = presences[i] as PresenceEntry
    if ((entry.reportNumber === 0) !== (entry.reportLeader === NO_UID)) {
      refuse('report', entry.reportNumber, 'an epoch has a number and a leader, or neither')
    }
    PresenceRecord.createPresenceRecord(
      builder,
      uid(tables, entry.uid, 'presence'),
      tables.uid(entry.reportLeader),
      counter(entry.seq, 'seq', 1),
      counter(entry.rollCall, 'rollCall', 0),
      counter(entry.cut, 'cut', 0),
      counter(entry.reportNumber, 'reportNumber', 0),
      entry.exitConfirmed,
    )
  }
  return builder.endVector()
}

function writeVector(builder: Builder, tables: EncodeTables, vector: Vector): Offset {
  if (vector.length > CORE_LIMITS.vectorEntriesMax) {
    refuse('vector', vector.length, `at most ${CORE_LIMITS.vectorEntriesMax} origins`)
  }
  if (vector.length === 0) return 0
  Root.startVectorVector(builder, vector.length)
  for (let i = vector.length - 1; i >= 0; i--) {
    const [origin, seq] = vector[i] as Vector[number]
    VectorRecord.createVectorRecord(builder, uid(tables, origin, 'origin'), 0, counter(seq, 'seq', 1))
  }
  return builder.endVector()
}

function entries(count: number, what: string): number {
  if (count > WIRE_LIMITS.entriesMax) refuse(what, count, `at most ${WIRE_LIMITS.entriesMax} in one message`)
  return count
}

function uid(tables: EncodeTables, value: Uid, what: string): number {
  if (value === NO_UID) refuse(what, value, 'NO_UID names nobody')
  return tables.uid(value)
}

/** A whole number that a u32 carries. */
function counter(value: number, what: string, min: 0 | 1): number {
  if (value >>> 0 !== value || value < min) refuse(what, value, `${min} to ${WIRE_LIMITS.counterMax}, whole`)
  return value
}
