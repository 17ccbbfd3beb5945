/**
 * Bytes of a peer to membership messages. Total: any bytes give a message or say what is malformed, nothing throws.
 * The shape is verified before any accessor runs; then values, references, duplicates and counts are checked here, so
 * that the core may rely on them.
 */
import { ByteBuffer } from 'flatbuffers'
import type { Message } from '../core/model.js'
import { readDelta, readVector } from './decode-delta.js'
import { reasonOf } from './decode-names.js'
import { DecodeTables, MalformedError, malformed } from './decode-tables.js'
import { JoinRefusal } from './generated/join-refusal.js'
import { Message as Root } from './generated/message.js'
import { MessageKind } from './generated/message-kind.js'
import { NackReason } from './generated/nack-reason.js'
import { PendingReason } from './generated/pending-reason.js'
import { MESSAGE_IDENTIFIER, MESSAGE_SHAPE } from './message-shape.js'
import { verifyBuffer } from './verify.js'

export type Decoded =
  | { readonly ok: true; readonly message: Message }
  /** `detail` names the field and what is wrong with it, for a log line. */
  | { readonly ok: false; readonly reason: 'malformed'; readonly detail: string }

/**
 * Reads one message. Nothing of the result refers to `bytes`.
 *
 * What holds of every message that comes out: enum values are known ones; uids are non-zero and sequences at least 1;
 * hosts, nodeIds and roles are 1 to CORE_LIMITS bytes of UTF-8, ports 1 to 65535; no list has more than CORE_LIMITS (or
 * WIRE_LIMITS) elements; no member, observer, presence or vector origin, and no subject of one observer, occurs twice;
 * no observer accuses itself; a member has a removal cause exactly when it is removed, and a report a leader exactly when
 * it has a number.
 */
export function decodeMessage(bytes: Uint8Array): Decoded {
  const misshapen = verifyBuffer(bytes, MESSAGE_SHAPE, MESSAGE_IDENTIFIER)
  if (misshapen !== undefined) return { ok: false, reason: 'malformed', detail: misshapen }
  try {
    return { ok: true, message: readMessage(Root.getRootAsMessage(new ByteBuffer(bytes))) }
  } catch (error) {
    if (error instanceof MalformedError) return { ok: false, reason: 'malformed', detail: error.message }
    throw error
  }
}

function readMessage(root: Root): Message {
  const kind = root.kind()
  switch (kind) {
    case MessageKind.initJoin:
      return { type: 'initJoin' }
    case MessageKind.initJoinAck:
      return { type: 'initJoinAck' }
    case MessageKind.initJoinNack:
      return { type: 'initJoinNack', reason: reasonOf(NackReason, root.nack(), 'nack') }
    case MessageKind.join:
      return { type: 'join', roles: new DecodeTables(root).roles(root.joinRoles(), 'joinRoles') }
    case MessageKind.welcome:
      return { type: 'welcome', state: readDelta(root, new DecodeTables(root)) }
    case MessageKind.joinRefused:
      return { type: 'joinRefused', reason: reasonOf(JoinRefusal, root.refusal(), 'refusal') }
    case MessageKind.joinPending:
      return { type: 'joinPending', reason: reasonOf(PendingReason, root.pending(), 'pending') }
    case MessageKind.gossip:
      return { type: 'gossip', delta: readDelta(root, new DecodeTables(root)) }
    case MessageKind.vector:
      return { type: 'vector', vector: readVector(root, new DecodeTables(root)), reply: root.reply() }
    case MessageKind.digest: {
      const digest = root.digest() ?? malformed('digest: missing')
      return { type: 'digest', high: digest.high(), low: digest.low() }
    }
    default:
      return malformed(`kind: ${kind}`)
  }
}
