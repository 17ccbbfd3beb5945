/** Received chunks that wait for their reader. Small ones are put together, so that memory stays near the bytes it holds. */

const JOINED_BYTES = 4096
const SPENT_MAX = 64

export class ChunkQueue {
  private chunks: Uint8Array[] = []
  private head = 0
  /** Of which the last of `chunks` is the filled part; undefined: that one is as it was received. */
  private joined: Uint8Array | undefined
  private filled = 0

  get isEmpty(): boolean {
    return this.head === this.chunks.length
  }

  /** Copies `bytes[from..to)`. */
  push(bytes: Uint8Array, from: number, to: number): void {
    // A reader that keeps up gets chunks as they came.
    if (this.isEmpty || to - from >= JOINED_BYTES) {
      this.joined = undefined
      this.chunks.push(bytes.slice(from, to))
    } else {
      this.join(bytes.subarray(from, to))
    }
  }

  shift(): Uint8Array | undefined {
    if (this.isEmpty) return undefined
    const chunk = this.chunks[this.head]!
    this.head += 1
    if (this.isEmpty) {
      this.clear()
    } else if (this.head === SPENT_MAX) {
      this.chunks.splice(0, SPENT_MAX)
      this.head = 0
    }
    // Whoever keeps a few bytes shall not keep a long buffer with them.
    return chunk.length * 2 < chunk.buffer.byteLength ? chunk.slice() : chunk
  }

  clear(): void {
    this.chunks = []
    this.head = 0
    this.joined = undefined
  }

  private join(piece: Uint8Array): void {
    if (this.joined === undefined || this.filled + piece.length > JOINED_BYTES) {
      this.joined = new Uint8Array(JOINED_BYTES)
      this.filled = 0
      this.chunks.push(this.joined)
    }
    this.joined.set(piece, this.filled)
    this.filled += piece.length
    this.chunks[this.chunks.length - 1] = this.joined.subarray(0, this.filled)
  }
}
