/** What the verifier has to know of `schema/messages.fbs`: a test holds the two equal, field by field. */
import { CORE_LIMITS } from '../core/limits.js'
import { Halves } from './generated/halves.js'
import { MemberRecord } from './generated/member-record.js'
import { PresenceRecord } from './generated/presence-record.js'
import { RowRecord } from './generated/row-record.js'
import { RowsRecord } from './generated/rows-record.js'
import { VectorRecord } from './generated/vector-record.js'
import { WIRE_LIMITS } from './limits.js'
import { scalar, struct, type TableShape, vectorOf } from './verify.js'

export const MESSAGE_IDENTIFIER = 'SKM1'

const { referencesMax, entriesMax, rowsMax, stringBytesMax } = WIRE_LIMITS

export const MESSAGE_SHAPE: TableShape = {
  kind: scalar(1),
  nack: scalar(1),
  refusal: scalar(1),
  pending: scalar(1),
  reply: scalar(1),
  digest: struct(Halves.sizeOf(), 4),
  uids: vectorOf(Halves.sizeOf(), 4, referencesMax),
  stringBytes: vectorOf(1, 1, referencesMax * stringBytesMax),
  stringLengths: vectorOf(2, 2, referencesMax),
  roleNames: vectorOf(2, 2, referencesMax * CORE_LIMITS.rolesPerMemberMax),
  roleLengths: vectorOf(1, 1, referencesMax),
  members: vectorOf(MemberRecord.sizeOf(), 4, entriesMax),
  observers: vectorOf(RowsRecord.sizeOf(), 4, entriesMax),
  rows: vectorOf(RowRecord.sizeOf(), 2, rowsMax),
  presences: vectorOf(PresenceRecord.sizeOf(), 4, entriesMax),
  vector: vectorOf(VectorRecord.sizeOf(), 4, CORE_LIMITS.vectorEntriesMax),
  joinRoles: scalar(2),
}
