/**
 * Frames of the data lanes: `u32 length | DataHeader | body`, little-endian. They are written straight into an outbox
 * and read in place, so this file gives offsets rather than objects; a test holds them equal to the schema's accessors.
 */
import { DataFlag } from './generated/data-flag.js'
import { DataKind } from './generated/data-kind.js'
import { FailureCode } from './generated/failure-code.js'
import { Lane } from './generated/lane.js'

export { DataFlag, DataKind, FailureCode, Lane }

/** Offsets in a frame, from its length field. */
export const LENGTH_AT = 0
export const TOPIC_AT = 4
export const KIND_AT = 8
export const FLAGS_AT = 9
export const LANE_AT = 10
export const CORRELATION_AT = 12
export const SEQUENCE_AT = 16
export const BODY_AT = 20

export const DATA_LENGTH_BYTES = 4
export const DATA_HEADER_BYTES = 16
/** Bytes of a frame that are not its body. */
export const DATA_OVERHEAD_BYTES = DATA_LENGTH_BYTES + DATA_HEADER_BYTES

const U32_RANGE = 2 ** 32
const RESUME_BYTES = 24
const ACK_BYTES = 16
export const CHUNK_HEAD_BYTES = 16
export const FAILURE_BYTES = 2
export const CREDIT_BYTES = 4

export interface Resume {
  /** Of the sender's stream on this lane. */
  readonly epoch: number
  /** Of the other direction's stream, as the sender of this frame last saw it; 0: none. */
  readonly seenEpoch: number
  /** Bytes of whole frames taken of that stream. */
  readonly received: number
  readonly frames: number
}

export function encodeResume(lane: Lane, resume: Resume): Uint8Array {
  const bytes = new Uint8Array(DATA_OVERHEAD_BYTES + RESUME_BYTES)
  const view = writeHeader(bytes, DataKind.resume, lane)
  view.setUint32(BODY_AT, resume.epoch, true)
  view.setUint32(BODY_AT + 4, resume.seenEpoch, true)
  setU64(view, BODY_AT + 8, resume.received)
  setU64(view, BODY_AT + 16, resume.frames)
  return bytes
}

/** Undefined when the body is too short. `at` and `end` are those of the body. */
export function decodeResume(view: DataView, at: number, end: number): Resume | undefined {
  if (end - at < RESUME_BYTES) return undefined
  return {
    epoch: view.getUint32(at, true),
    seenEpoch: view.getUint32(at + 4, true),
    received: getU64(view, at + 8),
    frames: getU64(view, at + 16),
  }
}

export interface Ack {
  /** Bytes of whole frames taken of the present epoch. */
  readonly received: number
  readonly frames: number
}

export function encodeAck(lane: Lane, ack: Ack): Uint8Array {
  const bytes = new Uint8Array(DATA_OVERHEAD_BYTES + ACK_BYTES)
  const view = writeHeader(bytes, DataKind.ack, lane)
  setU64(view, BODY_AT, ack.received)
  setU64(view, BODY_AT + 8, ack.frames)
  return bytes
}

export function decodeAck(view: DataView, at: number, end: number): Ack | undefined {
  if (end - at < ACK_BYTES) return undefined
  return { received: getU64(view, at), frames: getU64(view, at + 8) }
}

/** What the first chunk of a transfer says of the whole. */
export interface ChunkHead {
  readonly total: number
  readonly correlation: number
  readonly kind: DataKind
}

export function writeChunkHead(view: DataView, at: number, head: ChunkHead): void {
  setU64(view, at, head.total)
  view.setUint32(at + 8, head.correlation, true)
  view.setUint32(at + 12, head.kind, true)
}

export function decodeChunkHead(view: DataView, at: number, end: number): ChunkHead | undefined {
  if (end - at < CHUNK_HEAD_BYTES) return undefined
  return {
    total: getU64(view, at),
    correlation: view.getUint32(at + 8, true),
    kind: view.getUint8(at + 12),
  }
}

function writeHeader(bytes: Uint8Array, kind: DataKind, lane: Lane): DataView {
  const view = new DataView(bytes.buffer)
  view.setUint32(LENGTH_AT, bytes.length - DATA_LENGTH_BYTES, true)
  bytes[KIND_AT] = kind
  bytes[LANE_AT] = lane
  return view
}

/** Exact up to 2^53; more than that was never sent by us and is refused as a position. */
function getU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * U32_RANGE + view.getUint32(at, true)
}

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % U32_RANGE, true)
  view.setUint32(at + 4, Math.floor(value / U32_RANGE), true)
}
