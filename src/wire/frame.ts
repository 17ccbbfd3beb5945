/**
 * Frames of the control link: `u32 length | FrameHeader | body`, and the fixed structs that bodies are made of.
 * Encoders return whole frames; decoders take the body and answer undefined when it is too short for its struct
 * (a longer body is a later version's, its tail is ignored). Nothing here throws on what came off a wire.
 * Writers spell the layout out; a test holds them equal to the accessors generated from the schema.
 */
import { ByteBuffer } from 'flatbuffers'
import type { Uid } from '../core/address.js'
import { crc32c } from './crc32c.js'
import { FrameFlag } from './generated/frame-flag.js'
import { FrameHeader } from './generated/frame-header.js'
import { FrameKind } from './generated/frame-kind.js'
import { Goodbye } from './generated/goodbye.js'
import { GoodbyeReason } from './generated/goodbye-reason.js'
import { Heartbeat } from './generated/heartbeat.js'
import { Lane } from './generated/lane.js'
import { Quarantine } from './generated/quarantine.js'
import { QuarantineReason } from './generated/quarantine-reason.js'
import { Refusal } from './generated/refusal.js'
import { RefusalReason } from './generated/refusal-reason.js'
import { Watch } from './generated/watch.js'

export { FrameFlag, FrameKind, GoodbyeReason, Lane, QuarantineReason, RefusalReason }

export const FRAME_LENGTH_BYTES = 4
export const FRAME_HEADER_BYTES = FrameHeader.sizeOf()
/** Bytes of a frame that are not its body. */
export const FRAME_OVERHEAD_BYTES = FRAME_LENGTH_BYTES + FRAME_HEADER_BYTES

const EMPTY = new Uint8Array(0)
const U32_MAX = 0xffff_ffff
const U32_RANGE = 2 ** 32

/** A frame off the wire. Kind, flags and lane are what was sent: they may name nothing this version knows. */
export interface Frame {
  readonly kind: number
  readonly flags: number
  readonly lane: number
  readonly correlation: number
  readonly sequence: number
  /** View into the receive buffer. */
  readonly body: Uint8Array
}

export interface FrameFields {
  readonly flags?: number
  readonly lane?: Lane
  readonly correlation?: number
  readonly sequence?: number
}

/** A frame around `body`, which is copied. The CRC is filled on the control lane only. */
export function encodeFrame(kind: FrameKind, body: Uint8Array = EMPTY, fields: FrameFields = {}): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + body.length)
  bytes.set(body, FRAME_OVERHEAD_BYTES)
  return sealFrame(bytes, kind, fields)
}

/** Fills length, header and CRC of a frame whose body is already in place. */
function sealFrame(bytes: Uint8Array, kind: FrameKind, fields: FrameFields): Uint8Array {
  const lane = fields.lane ?? Lane.control
  const view = viewOf(bytes)
  view.setUint32(0, bytes.length - FRAME_LENGTH_BYTES, true)
  bytes[8] = kind
  bytes[9] = fields.flags ?? 0
  bytes[10] = lane
  view.setUint32(12, fields.correlation ?? 0, true)
  view.setUint32(16, fields.sequence ?? 0, true)
  if (lane === Lane.control) view.setUint32(4, crc32c(bytes, 8), true)
  return bytes
}

/** `bytes` is a frame without its length field, at least a header long. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const header = new FrameHeader().__init(0, new ByteBuffer(bytes))
  return {
    kind: header.kind(),
    flags: header.flags(),
    lane: header.lane(),
    correlation: header.correlation(),
    sequence: header.sequence(),
    body: bytes.subarray(FRAME_HEADER_BYTES),
  }
}

/** Whether the CRC of a frame (without its length field, at least a header long) is that of its content. */
export function frameCrcMatches(bytes: Uint8Array): boolean {
  return viewOf(bytes).getUint32(0, true) === crc32c(bytes, 4)
}

/** True for a kind that this version has a name for. */
export function isFrameKind(kind: number): kind is FrameKind {
  return kind !== FrameKind.none && FrameKind[kind] !== undefined
}

export interface HeartbeatBody {
  /** Microseconds on the sender's monotonic clock. */
  readonly sentUs: number
  readonly loopAgeMs: number
  readonly intervalMs: number
}

export function encodeHeartbeat(beat: HeartbeatBody, sequence: number, echoWanted: boolean): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + Heartbeat.sizeOf())
  const view = viewOf(bytes)
  view.setUint32(20, beat.sentUs % U32_RANGE, true)
  view.setUint32(24, Math.floor(beat.sentUs / U32_RANGE), true)
  view.setUint32(28, clampU32(beat.loopAgeMs), true)
  view.setUint32(32, clampU32(beat.intervalMs), true)
  return sealFrame(bytes, FrameKind.heartbeat, {
    flags: echoWanted ? FrameFlag.echoWanted : FrameFlag.none,
    sequence,
  })
}

/** The answer to `beat`: its body, with the answering side's own loop age. */
export function encodeEcho(beat: Frame, loopAgeMs: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + Heartbeat.sizeOf())
  bytes.set(beat.body.subarray(0, Heartbeat.sizeOf()), FRAME_OVERHEAD_BYTES)
  viewOf(bytes).setUint32(28, clampU32(loopAgeMs), true)
  return sealFrame(bytes, FrameKind.echo, { sequence: beat.sequence })
}

export function decodeHeartbeat(body: Uint8Array): HeartbeatBody | undefined {
  if (body.length < Heartbeat.sizeOf()) return undefined
  const beat = new Heartbeat().__init(0, new ByteBuffer(body))
  return { sentUs: Number(beat.sentUs()), loopAgeMs: beat.loopAgeMs(), intervalMs: beat.intervalMs() }
}

/** `intervalMs` 0 ends the watch. */
export function encodeWatch(intervalMs: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + Watch.sizeOf())
  viewOf(bytes).setUint32(20, clampU32(intervalMs), true)
  return sealFrame(bytes, FrameKind.watch, {})
}

/** The wanted interval in milliseconds. */
export function decodeWatch(body: Uint8Array): number | undefined {
  if (body.length < Watch.sizeOf()) return undefined
  return new Watch().__init(0, new ByteBuffer(body)).intervalMs()
}

export interface RefusalBody {
  /** The refusing incarnation; `NO_UID` when it does not say. */
  readonly uid: Uid
  readonly reason: RefusalReason
  readonly versionMin: number
  readonly versionMax: number
  /** A `QuarantineReason` when the reason is `quarantined`, else 0. */
  readonly detail: number
  /** Highest dial number known for the pair when the reason is `superseded`, else 0. */
  readonly dial: number
}

export function encodeRefusal(refusal: RefusalBody): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + Refusal.sizeOf())
  const view = viewOf(bytes)
  view.setBigUint64(20, uidToBits(refusal.uid), true)
  view.setUint16(28, refusal.reason, true)
  view.setUint16(30, refusal.versionMin, true)
  view.setUint16(32, refusal.versionMax, true)
  view.setUint16(34, refusal.detail, true)
  view.setUint32(36, refusal.dial, true)
  return sealFrame(bytes, FrameKind.refusal, {})
}

export function decodeRefusal(body: Uint8Array): RefusalBody | undefined {
  if (body.length < Refusal.sizeOf()) return undefined
  const refusal = new Refusal().__init(0, new ByteBuffer(body))
  return {
    uid: bitsToUid(refusal.uid()),
    reason: refusal.reason(),
    versionMin: refusal.versionMin(),
    versionMax: refusal.versionMax(),
    detail: refusal.detail(),
    dial: refusal.dial(),
  }
}

/** Tells incarnation `uid` that it is quarantined here. */
export function encodeQuarantined(uid: Uid, reason: QuarantineReason): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + Quarantine.sizeOf())
  const view = viewOf(bytes)
  view.setBigUint64(20, uidToBits(uid), true)
  view.setUint16(28, reason, true)
  return sealFrame(bytes, FrameKind.quarantined, {})
}

export function decodeQuarantined(body: Uint8Array): { uid: Uid; reason: QuarantineReason } | undefined {
  if (body.length < Quarantine.sizeOf()) return undefined
  const quarantine = new Quarantine().__init(0, new ByteBuffer(body))
  return { uid: bitsToUid(quarantine.uid()), reason: quarantine.reason() }
}

export function encodeGoodbye(reason: GoodbyeReason): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + Goodbye.sizeOf())
  viewOf(bytes).setUint16(20, reason, true)
  return sealFrame(bytes, FrameKind.goodbye, {})
}

export function decodeGoodbye(body: Uint8Array): GoodbyeReason | undefined {
  if (body.length < Goodbye.sizeOf()) return undefined
  return new Goodbye().__init(0, new ByteBuffer(body)).reason()
}

export function uidToBits(uid: Uid): bigint {
  return BigInt(`0x${uid}`)
}

export function bitsToUid(bits: bigint): Uid {
  return bits.toString(16).padStart(16, '0')
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function clampU32(value: number): number {
  return Math.min(Math.max(Math.round(value), 0), U32_MAX)
}
