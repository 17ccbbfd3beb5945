/**
 * Views into a buffer that many are made of in a row. Asking a typed array for its buffer costs more than making the view, so
 * it is asked once per buffer.
 */
export class ViewMaker {
  private last: Uint8Array | undefined
  private buffer: ArrayBufferLike | undefined

  /** `bytes[from..to)`, without a copy. */
  view(bytes: Uint8Array, from: number, to: number): Uint8Array {
    if (bytes !== this.last) {
      this.last = bytes
      this.buffer = bytes.buffer
    }
    return new Uint8Array(this.buffer!, bytes.byteOffset + from, to - from)
  }
}
