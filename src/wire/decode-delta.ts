/**
 * The lists of a verified delta as core entries. Lists are read front to back with one reused accessor each; a member
 * that is named twice in one list is malformed, since the core folds entries by uid.
 */
import { CORE_LIMITS } from '../core/limits.js'
import type { Delta, MemberEntry, PresenceEntry, Row, RowsEntry } from '../core/model.js'
import { nameOf } from './decode-names.js'
import { type DecodeTables, malformed } from './decode-tables.js'
import { DownReason } from './generated/down-reason.js'
import { MemberRecord } from './generated/member-record.js'
import { MemberStatus } from './generated/member-status.js'
import type { Message } from './generated/message.js'
import { PresenceRecord } from './generated/presence-record.js'
import { RemovalCause } from './generated/removal-cause.js'
import { RowRecord } from './generated/row-record.js'
import { RowStatus } from './generated/row-status.js'
import { RowsRecord } from './generated/rows-record.js'
import { VectorRecord } from './generated/vector-record.js'

export function readDelta(root: Message, tables: DecodeTables): Delta {
  return {
    members: readMembers(root, tables),
    rows: readObservers(root, tables),
    presences: readPresences(root, tables),
    vector: readVector(root, tables),
  }
}

export function readVector(root: Message, tables: DecodeTables): Delta['vector'] {
  const vector: [origin: string, seq: number][] = []
  const record = new VectorRecord()
  const seen = new SeenOnce(tables.uidCount)
  for (let i = 0; i < root.vectorLength(); i++) {
    root.vector(i, record)
    const origin = record.origin()
    const uid = tables.uid(origin, 'vector.origin')
    seen.add(origin, 1, 'vector.origin')
    vector.push([uid, sequence(record.seq(), 'vector.seq')])
  }
  return vector
}

function readMembers(root: Message, tables: DecodeTables): MemberEntry[] {
  const members: MemberEntry[] = []
  const record = new MemberRecord()
  const seen = new SeenOnce(tables.uidCount)
  for (let i = 0; i < root.membersLength(); i++) {
    root.members(i, record)
    const uid = tables.uid(record.uid(), 'members.uid')
    seen.add(record.uid(), 1, 'members.uid')
    const port = record.port()
    if (port === 0) malformed('members.port: 0')
    const status = nameOf(MemberStatus, record.status(), 'members.status')
    const cause = nameOf(RemovalCause, record.cause(), 'members.cause')
    if ((status === 'removed') !== (cause !== 'none')) malformed(`members.cause: ${cause} of ${status}`)
    members.push({
      uid,
      nodeId: tables.string(record.nodeId(), CORE_LIMITS.nodeIdBytesMax, 'members.nodeId'),
      address: { host: tables.string(record.host(), CORE_LIMITS.hostBytesMax, 'members.host'), port },
      roles: tables.roles(record.roles(), 'members.roles'),
      status,
      upNumber: record.upNumber(),
      cause,
      downReason: nameOf(DownReason, record.downReason(), 'members.downReason'),
      origin: tables.uid(record.origin(), 'members.origin'),
      seq: sequence(record.seq(), 'members.seq'),
    })
  }
  return members
}

function readObservers(root: Message, tables: DecodeTables): RowsEntry[] {
  const observers: RowsEntry[] = []
  const record = new RowsRecord()
  const seen = new SeenOnce(tables.uidCount)
  const rows = new RowReader(root, tables)
  for (let i = 0; i < root.observersLength(); i++) {
    root.observers(i, record)
    const reference = record.observer()
    const observer = tables.uid(reference, 'observers.observer')
    seen.add(reference, 1, 'observers.observer')
    observers.push({
      observer,
      seq: sequence(record.seq(), 'observers.seq'),
      rollCall: record.rollCall(),
      rows: rows.take(record.rowCount(), reference),
    })
  }
  rows.finish()
  return observers
}

/** Hands out `rows`, which lie back to back for all observers. */
class RowReader {
  private readonly root: Message
  private readonly tables: DecodeTables
  private readonly record = new RowRecord()
  private readonly seen: SeenOnce
  private next = 0
  private turn = 0

  constructor(root: Message, tables: DecodeTables) {
    this.root = root
    this.tables = tables
    this.seen = new SeenOnce(tables.uidCount)
  }

  take(count: number, observer: number): Row[] {
    if (count > CORE_LIMITS.rowsPerObserverMax) malformed(`observers.rowCount: ${count}`)
    if (this.next + count > this.root.rowsLength()) malformed('observers.rowCount: more than there are rows')
    this.turn++
    const rows: Row[] = []
    for (const end = this.next + count; this.next < end; this.next++) {
      this.root.rows(this.next, this.record)
      const reference = this.record.subject()
      const subject = this.tables.uid(reference, 'rows.subject')
      if (reference === observer) malformed('rows.subject: its own observer')
      this.seen.add(reference, this.turn, 'rows.subject')
      const status = nameOf(RowStatus, this.record.status(), 'rows.status')
      if (status === 'reachable') malformed('rows.status: reachable has no row')
      rows.push({ subject, status })
    }
    return rows
  }

  finish(): void {
    if (this.next !== this.root.rowsLength()) malformed('observers.rowCount: fewer than there are rows')
  }
}

function readPresences(root: Message, tables: DecodeTables): PresenceEntry[] {
  const presences: PresenceEntry[] = []
  const record = new PresenceRecord()
  const seen = new SeenOnce(tables.uidCount)
  for (let i = 0; i < root.presencesLength(); i++) {
    root.presences(i, record)
    const uid = tables.uid(record.uid(), 'presences.uid')
    seen.add(record.uid(), 1, 'presences.uid')
    const reportNumber = record.reportNumber()
    if ((reportNumber === 0) !== (record.reportLeader() === 0)) malformed('presences.report: half an epoch')
    presences.push({
      uid,
      seq: sequence(record.seq(), 'presences.seq'),
      rollCall: record.rollCall(),
      cut: record.cut(),
      reportNumber,
      reportLeader: tables.uidOrNone(record.reportLeader(), 'presences.reportLeader'),
      exitConfirmed: record.exitConfirmed(),
    })
  }
  return presences
}

/** References already used in this turn: one array for a whole list, no set to clear between observers. */
class SeenOnce {
  private readonly lastTurn: Uint32Array

  constructor(uidCount: number) {
    this.lastTurn = new Uint32Array(uidCount + 1)
  }

  add(reference: number, turn: number, path: string): void {
    if (this.lastTurn[reference] === turn) malformed(`${path}: twice`)
    this.lastTurn[reference] = turn
  }
}

/** Sequences start at 1; 0 is "nothing known" and is never sent. */
function sequence(seq: number, path: string): number {
  return seq > 0 ? seq : malformed(`${path}: 0`)
}
