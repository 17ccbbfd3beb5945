/**
 * What this end of a stream sends. Its source is asked for a chunk only while the peer has room and the lane too, and a
 * chunk is let go of as soon as it is written.
 */
import { DATA_LIMITS } from '../transport/limits.js'
import { isBytes, notBytes } from './bytes.js'

export interface OutgoingOwner {
  /** There is something to do once the lane has room. */
  onReady(): void
  write(bytes: Uint8Array, from: number, to: number): void
  /** The source is exhausted. */
  onSourceEnd(): void
  /** It threw; also after `stop`, when it cannot end quietly. */
  onSourceFailed(error: unknown): void
}

export class OutgoingHalf {
  /** All is written, the end too. */
  isEnded = false
  /** On the table's list of those that wait for the lane. */
  isQueued = false
  private source: AsyncIterator<Uint8Array> | undefined
  private isReading = false
  private chunk: Uint8Array | undefined
  private chunkAt = 0
  private creditBytes = 0
  /** Written, and not yet taken by the peer's reader. */
  private unreadBytes = 0

  constructor(private readonly owner: OutgoingOwner) {}

  /** Without a source the stream ends at once in this direction. */
  start(source: AsyncIterable<Uint8Array> | undefined): void {
    if (source === undefined) return this.owner.onSourceEnd()
    try {
      this.source = source[Symbol.asyncIterator]()
    } catch (error) {
      return this.owner.onSourceFailed(error)
    }
    this.wake()
  }

  /** The peer's reader has taken all that was written. */
  get isRead(): boolean {
    return this.unreadBytes <= 0
  }

  /** What the peer takes before anything was sent. */
  open(windowBytes: number): void {
    this.creditBytes += windowBytes
    this.wake()
  }

  giveCredit(bytes: number): void {
    this.creditBytes += bytes
    this.unreadBytes -= bytes
    this.wake()
  }

  get isReady(): boolean {
    return this.source !== undefined && !this.isReading && this.creditBytes > 0
  }

  /** With room on the lane: writes a part of the chunk at hand, or asks for the next one. */
  step(): void {
    if (!this.isReady) return
    const { chunk, chunkAt: from } = this
    // It is empty, or whoever gave it has transferred its memory elsewhere meanwhile.
    if (chunk === undefined || from >= chunk.length) return this.read(this.source!)
    const size = Math.min(chunk.length - from, this.creditBytes, DATA_LIMITS.frameBodyBytesMax)
    this.creditBytes -= size
    this.unreadBytes += size
    this.chunkAt += size
    this.owner.write(chunk, from, from + size)
    if (this.chunkAt >= chunk.length) this.chunk = undefined
  }

  /** Nothing more is sent: the source is told, and what it may answer is of no interest. */
  stop(): void {
    const { source } = this
    this.source = undefined
    this.chunk = undefined
    if (source?.return === undefined) return
    call(() => source.return!()).then(undefined, (error) => this.owner.onSourceFailed(error))
  }

  private wake(): void {
    if (this.isReady) this.owner.onReady()
  }

  private read(source: AsyncIterator<Uint8Array>): void {
    this.isReading = true
    this.chunk = undefined
    call(() => source.next()).then(
      (result) => this.onChunk(source, result),
      (error) => this.onFailed(source, error),
    )
  }

  private onChunk(source: AsyncIterator<Uint8Array>, result: IteratorResult<Uint8Array> | undefined): void {
    this.isReading = false
    if (this.source !== source) return
    if (result?.done === true) {
      this.source = undefined
      return this.owner.onSourceEnd()
    }
    const value = result?.value
    if (!isBytes(value))
      return this.owner.onSourceFailed(notBytes(value, 'a chunk of a stream, which is reset for it,'))
    this.chunk = value
    this.chunkAt = 0
    this.wake()
  }

  private onFailed(source: AsyncIterator<Uint8Array>, error: unknown): void {
    this.isReading = false
    if (this.source === source) this.source = undefined
    this.owner.onSourceFailed(error)
  }
}

/** A promise in any case: sources are the user's, and may throw or answer at once. */
function call<T>(what: () => Promise<T>): Promise<T> {
  return new Promise((resolve) => resolve(what()))
}
