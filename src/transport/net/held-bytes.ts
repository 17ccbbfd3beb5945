/** What a lane's handler has not taken yet: as a rule the beginning of one frame. */
import { FRAME_LENGTH_BYTES } from '../../wire/frame.js'

/** Memory up to this many bytes stays with its lane. */
const KEPT_BYTES_MAX = 4096
/** Larger pieces are given up; one of up to this many bytes is used again, by whichever lane needs it next. */
const SPARE_BYTES_MAX = 256 * 1024

const NONE = new Uint8Array(0)
let spare = NONE

export class HeldBytes {
  /** The bytes held are the first `length` of it. */
  bytes = NONE
  length = 0

  /**
   * Takes of `chunk` what the frame begun here still lacks, or everything if that is not known to be less; returns how
   * much. So only a frame that was cut is copied, and its length is no more than a hint.
   */
  complete(chunk: Uint8Array): number {
    const head = Math.min(Math.max(0, FRAME_LENGTH_BYTES - this.length), chunk.length)
    this.append(chunk, 0, head)
    const { bytes, length } = this
    if (length < FRAME_LENGTH_BYTES) return head
    const frameBytes = bytes[0]! + bytes[1]! * 0x100 + bytes[2]! * 0x1_0000 + bytes[3]! * 0x100_0000
    const missing = FRAME_LENGTH_BYTES + frameBytes - length
    const to = missing > 0 ? Math.min(head + missing, chunk.length) : chunk.length
    this.append(chunk, head, to)
    return to
  }

  append(bytes: Uint8Array, from: number, to: number): void {
    if (from === to) return
    const length = this.length + to - from
    if (length > this.bytes.length) this.grow(length)
    this.bytes.set(bytes.subarray(from, to), this.length)
    this.length = length
  }

  /** The first `count` bytes were taken. */
  drop(count: number): void {
    this.length -= count
    if (this.length > 0) this.bytes.copyWithin(0, count, count + this.length)
    else if (this.bytes.length > KEPT_BYTES_MAX) this.clear()
  }

  /** Gives up the bytes and their memory. */
  clear(): void {
    const { length } = this.bytes
    if (length > spare.length && length > KEPT_BYTES_MAX && length <= SPARE_BYTES_MAX) spare = this.bytes
    this.bytes = NONE
    this.length = 0
  }

  private grow(length: number): void {
    const { bytes } = this
    if (length > KEPT_BYTES_MAX && length <= spare.length) {
      this.bytes = spare
      spare = NONE
    } else {
      this.bytes = new Uint8Array(2 ** Math.ceil(Math.log2(length)))
    }
    this.bytes.set(bytes.subarray(0, this.length))
  }
}
