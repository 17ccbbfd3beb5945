/**
 * The sending half of a lane: frames are encoded into segments and stay there until the peer has acknowledged them, so
 * that a new socket goes on where the last one has failed. Positions count bytes of whole frames since the epoch began.
 *
 *   acked <= boundary <= sent <= end;   [acked, end) is in the segments
 */
import {
  BODY_AT,
  CORRELATION_AT,
  DATA_HEADER_BYTES,
  DATA_LENGTH_BYTES,
  DATA_OVERHEAD_BYTES,
  FLAGS_AT,
  KIND_AT,
  type Lane,
  SEQUENCE_AT,
  TOPIC_AT,
} from '../../wire/data-frame.js'
import type { LaneSocket } from '../lane-socket.js'
import { DATA_LIMITS } from '../limits.js'
import type { Segment, SegmentPool } from './segments.js'

const SIZES_LAST = DATA_LIMITS.segmentBytes.length - 1
/** Below this a loop is quicker than `TypedArray.set`. */
const LOOP_BYTES_MAX = 16

/** A frame that is still in the outbox when the lane is given up. */
export interface UnackedFrame {
  readonly kind: number
  readonly flags: number
  readonly topic: number
  readonly correlation: number
  /** Where its body lies. */
  readonly bytes: Uint8Array
  readonly from: number
  readonly to: number
  /** True when at least a part of it was handed to a socket. */
  readonly sent: boolean
}

export class Outbox {
  /** Frames of this epoch, ever. */
  frames = 0
  private segments: Segment[] = []
  private current: Segment | undefined
  private sendIndex = 0
  private nextSize = 0
  private end = 0
  private sent = 0
  /** The last position at or before `sent` that is known to lie between two frames. */
  private boundary = 0
  private acked = 0
  private ackedFrames = 0
  /** The farthest that any socket was given. */
  private sentMost = 0
  /** A frame outside of the stream, and how much of it is out; goes between two frames. */
  private aside: Uint8Array | undefined
  private asideSent = 0
  private greeting: Uint8Array | undefined

  constructor(
    private readonly lane: Lane,
    private readonly pool: SegmentPool,
    /** Never used twice by one incarnation: a peer that remembers another one starts over. */
    public epoch: number,
  ) {}

  /** Where the stream ends so far, and up to where the peer has taken it. */
  get endPosition(): number {
    return this.end
  }

  get ackedPosition(): number {
    return this.acked
  }

  get unsentBytes(): number {
    return this.end - this.sent
  }

  get unackedBytes(): number {
    return this.end - this.acked
  }

  get unackedFrames(): number {
    return this.frames - this.ackedFrames
  }

  /** Nothing of this epoch was ever given to a socket. */
  get isFresh(): boolean {
    return this.sentMost === 0
  }

  get hasAcknowledged(): boolean {
    return this.acked > 0
  }

  get hasWork(): boolean {
    return this.aside !== undefined || this.sent < this.end
  }

  /** Appends a frame. The caller has checked the bounds; a body is at most `frameBodyBytesMax` long. */
  append(
    kind: number,
    flags: number,
    topic: number,
    correlation: number,
    body: Uint8Array,
    from: number,
    to: number,
  ): void {
    const at = this.reserve(kind, flags, topic, correlation, to - from)
    const bytes = this.current!.bytes
    if (to - from <= LOOP_BYTES_MAX) {
      for (let read = from, write = at; read < to; read += 1, write += 1) bytes[write] = body[read]!
    } else if (from === 0 && to === body.length) {
      bytes.set(body, at)
    } else {
      bytes.set(new Uint8Array(body.buffer, body.byteOffset + from, to - from), at)
    }
  }

  /** Appends a frame whose body the caller fills in at once: it begins at the offset returned, in `segmentBytes()`. */
  reserve(kind: number, flags: number, topic: number, correlation: number, bodyBytes: number): number {
    const size = DATA_OVERHEAD_BYTES + bodyBytes
    let segment = this.current
    if (segment === undefined || segment.end + size > segment.bytes.length) segment = this.grow(size)
    const at = segment.end
    const { view } = segment
    this.frames += 1
    view.setUint32(at, DATA_HEADER_BYTES + bodyBytes, true)
    view.setUint32(at + TOPIC_AT, topic, true)
    view.setUint32(at + KIND_AT, kind | (flags << 8) | (this.lane << 16), true)
    view.setUint32(at + CORRELATION_AT, correlation, true)
    view.setUint32(at + SEQUENCE_AT, this.frames, true)
    segment.end = at + size
    this.end += size
    return at + BODY_AT
  }

  segmentBytes(): Uint8Array {
    return this.current!.bytes
  }

  segmentView(): DataView {
    return this.current!.view
  }

  /** Sends a frame outside of the stream, not kept: an ack. One that still waits is replaced. False while a part of one is out. */
  setAside(frame: Uint8Array): boolean {
    if (this.aside !== undefined && this.asideSent > 0) return false
    // A greeting is not replaced: an ack after it is owed again.
    if (this.aside !== undefined && this.greeting === this.aside) return false
    this.aside = frame
    return true
  }

  /** A new socket: the stream goes on behind what the peer has taken. False when that cannot be. */
  restart(received: number, frames: number): boolean {
    if (received > this.sentMost) return false
    this.sent = this.sentMost
    if (!this.acknowledge(received, frames, true)) return false
    this.rewind(received)
    return true
  }

  /** The first frame on a new socket; nothing else leaves before it. */
  greet(frame: Uint8Array): void {
    this.aside = frame
    this.greeting = frame
    this.asideSent = 0
    this.boundary = this.sent
  }

  /** The socket is gone: what it had not acknowledged is not sent, as far as anybody knows. */
  unsend(): void {
    this.aside = undefined
    this.asideSent = 0
    this.rewind(this.acked)
  }

  /** Writes what the socket takes. False when it took less than there is, for now. */
  flush(socket: LaneSocket, streamAllowed: boolean): boolean {
    if (this.aside !== undefined && !this.flushAside(socket)) return false
    if (!streamAllowed) return true
    while (this.sent < this.end) {
      if (this.sent - this.acked >= DATA_LIMITS.unackedBytesMax) return false
      const segment = this.segments[this.sendIndex]!
      const from = this.sent - segment.base
      if (from === segment.end) {
        this.sendIndex += 1
        continue
      }
      if (!this.write(socket, segment, from, segment.end)) return false
      this.boundary = this.sent
    }
    return true
  }

  /**
   * The peer has taken whole frames up to `received`. False when that cannot be. `isWritten`: all that was sent has left this
   * process. Else a piece is not used again: it may still be read, and a peer may acknowledge what it has not got.
   */
  acknowledge(received: number, frames: number, isWritten: boolean): boolean {
    if (!this.isPosition(received, frames)) return false
    this.acked = received
    this.ackedFrames = frames
    if (this.boundary < received) this.boundary = received
    let done = 0
    while (
      done < this.segments.length - 1 &&
      this.segments[done]!.base + this.segments[done]!.end <= received
    ) {
      if (isWritten) this.pool.give(this.segments[done]!)
      done += 1
    }
    if (done > 0) {
      this.segments.splice(0, done)
      this.sendIndex = Math.max(0, this.sendIndex - done)
    }
    if (received === this.end) this.release(isWritten)
    return true
  }

  /** Bytes and frames go together: a peer cannot free one of the two bounds without the other. */
  private isPosition(received: number, frames: number): boolean {
    const bytes = received - this.acked
    const count = frames - this.ackedFrames
    if (count < 0 || received > this.sent || frames > this.frames) return false
    return bytes >= count * DATA_OVERHEAD_BYTES && (received === this.end) === (frames === this.frames)
  }

  /** Everything not acknowledged, oldest first; then a new epoch begins, empty. */
  abandon(epoch: number, each: (frame: UnackedFrame) => void): void {
    for (const segment of this.segments) {
      const { view, bytes, end } = segment
      for (let at = Math.max(0, this.acked - segment.base); at + DATA_OVERHEAD_BYTES <= end; ) {
        const to = Math.min(end, frameEnd(view, at))
        each({
          kind: view.getUint8(at + KIND_AT),
          flags: view.getUint8(at + FLAGS_AT),
          topic: view.getUint32(at + TOPIC_AT, true),
          correlation: view.getUint32(at + CORRELATION_AT, true),
          bytes,
          from: at + BODY_AT,
          to,
          sent: segment.base + at < this.sentMost,
        })
        at = to
      }
    }
    this.release(false)
    this.epoch = epoch
    this.end = 0
    this.sent = 0
    this.sentMost = 0
    this.boundary = 0
    this.acked = 0
    this.frames = 0
    this.ackedFrames = 0
    this.aside = undefined
    this.asideSent = 0
  }

  private rewind(position: number): void {
    this.sent = position
    this.boundary = position
    this.sendIndex = 0
    while (this.sendIndex < this.segments.length - 1) {
      const segment = this.segments[this.sendIndex]!
      if (position < segment.base + segment.end) break
      this.sendIndex += 1
    }
  }

  private write(socket: LaneSocket, segment: Segment, from: number, to: number): boolean {
    const taken = socket.write(segment.bytes, from, to)
    this.sent += taken
    if (this.sent > this.sentMost) this.sentMost = this.sent
    return taken === to - from
  }

  private flushAside(socket: LaneSocket): boolean {
    const frame = this.aside!
    // Only between two frames: one that is half out goes first.
    if (this.asideSent === 0 && this.sent !== this.boundary && !this.finishFrame(socket)) return false
    this.asideSent += socket.write(frame, this.asideSent, frame.length)
    if (this.asideSent < frame.length) return false
    this.aside = undefined
    this.greeting = undefined
    this.asideSent = 0
    return true
  }

  /** Walks to the end of the frame that `sent` lies in, and writes that far. */
  private finishFrame(socket: LaneSocket): boolean {
    const segment = this.segments[this.sendIndex]!
    let at = this.boundary - segment.base
    const sentAt = this.sent - segment.base
    while (at < sentAt && at + DATA_OVERHEAD_BYTES <= segment.end) at = frameEnd(segment.view, at)
    at = Math.min(at, segment.end)
    if (at > sentAt && !this.write(socket, segment, sentAt, at)) return false
    this.boundary = this.sent
    return true
  }

  private grow(size: number): Segment {
    const segment = this.pool.take(this.nextSize, size)
    this.nextSize = Math.min(SIZES_LAST, segment.size + 1)
    segment.base = this.end
    segment.end = 0
    this.segments.push(segment)
    this.current = segment
    return segment
  }

  /** Nothing is kept: an idle lane holds no memory. A busy one soon has its larger pieces again. */
  private release(isWritten: boolean): void {
    if (isWritten) for (const segment of this.segments) this.pool.give(segment)
    this.segments = []
    this.current = undefined
    this.sendIndex = 0
    this.nextSize = Math.max(0, this.nextSize - 1)
  }
}

/**
 * Where the frame at `at` ends. Whoever walks on from what a peer has acknowledged must not trust the result: one that
 * acknowledges half a frame makes it begin in the midst of one.
 */
function frameEnd(view: DataView, at: number): number {
  return at + DATA_LENGTH_BYTES + Math.max(DATA_HEADER_BYTES, view.getUint32(at, true))
}
