/**
 * Cuts a byte stream, however it was chunked, into frames without their length field. Holds at most one partial
 * frame and the chunk that began it; a claimed length costs nothing before the bytes are there.
 */
import { FRAME_HEADER_BYTES, FRAME_LENGTH_BYTES } from '../../wire/frame.js'

const NOTHING = new Uint8Array(0)

export type FrameStep = Uint8Array | 'frameTooLarge' | 'frameTooShort' | undefined

export class FrameBuffer {
  private chunks: Uint8Array[] = []
  /** Bytes of the first chunk that are consumed. */
  private head = 0
  private buffered = 0

  /** Bytes held that are not part of a frame handed out. */
  get byteLength(): number {
    return this.buffered
  }

  /** Takes a chunk over; it must not be written to afterwards. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.chunks.push(bytes)
    this.buffered += bytes.length
  }

  /**
   * The next whole frame: a view into its chunk, or a copy when it came in several. Undefined when more bytes are
   * needed. A length out of bounds consumes nothing: the stream cannot be resynchronised, the caller closes it.
   */
  next(frameBytesMax: number): FrameStep {
    if (this.buffered < FRAME_LENGTH_BYTES) return undefined
    const length = this.peekLength()
    if (length > frameBytesMax) return 'frameTooLarge'
    if (length < FRAME_HEADER_BYTES) return 'frameTooShort'
    if (this.buffered < FRAME_LENGTH_BYTES + length) return undefined
    this.take(FRAME_LENGTH_BYTES)
    return this.take(length)
  }

  /** Everything held, in one piece: what follows is no frame of ours. */
  takeAll(): Uint8Array {
    return this.buffered === 0 ? NOTHING : this.take(this.buffered)
  }

  /** Drops everything held. */
  clear(): void {
    this.chunks = []
    this.head = 0
    this.buffered = 0
  }

  private peekLength(): number {
    let value = 0
    let chunk = 0
    let at = this.head
    for (let shift = 0; shift < 32; shift += 8) {
      while (at >= this.chunks[chunk]!.length) {
        chunk += 1
        at = 0
      }
      value |= this.chunks[chunk]![at]! << shift
      at += 1
    }
    return value >>> 0
  }

  /** Removes `length` bytes, which are there. */
  private take(length: number): Uint8Array {
    const first = this.chunks[0]!
    this.buffered -= length
    if (first.length - this.head >= length) {
      const view = first.subarray(this.head, this.head + length)
      this.head += length
      if (this.head === first.length) this.dropFirst(1)
      return view
    }
    return this.gather(length)
  }

  private gather(length: number): Uint8Array {
    const whole = new Uint8Array(length)
    let filled = 0
    let used = 0
    while (filled < length) {
      const chunk = this.chunks[used]!
      const piece = chunk.subarray(this.head, this.head + length - filled)
      whole.set(piece, filled)
      filled += piece.length
      this.head += piece.length
      if (this.head < chunk.length) break
      used += 1
      this.head = 0
    }
    this.chunks.splice(0, used)
    return whole
  }

  private dropFirst(count: number): void {
    if (this.chunks.length === count) this.chunks = []
    else this.chunks.splice(0, count)
    this.head = 0
  }
}
