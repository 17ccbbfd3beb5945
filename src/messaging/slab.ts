/** Copies of small answers, cut from shared pieces: an allocation of their own costs several times as much. */
import { ViewMaker } from './view-maker.js'

const SLAB_BYTES = 16 * 1024
const SHARED_BYTES_MAX = 1024

export class Slab {
  private buffer = new ArrayBuffer(SLAB_BYTES)
  private whole = new Uint8Array(this.buffer)
  private at = 0
  private readonly views = new ViewMaker()

  /** `bytes[from..to)` as bytes that stay; they may share an ArrayBuffer with others. */
  copy(bytes: Uint8Array, from: number, to: number): Uint8Array {
    const length = to - from
    if (length > SHARED_BYTES_MAX) return bytes.slice(from, to)
    if (this.at + length > SLAB_BYTES) {
      this.buffer = new ArrayBuffer(SLAB_BYTES)
      this.whole = new Uint8Array(this.buffer)
      this.at = 0
    }
    const start = this.at
    // Views of the next copy begin at a multiple of eight, so that typed arrays of any kind can be laid over them.
    this.at = (start + length + 7) & ~7
    this.whole.set(this.views.view(bytes, from, to), start)
    return new Uint8Array(this.buffer, start, length)
  }
}
