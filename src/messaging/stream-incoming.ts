/**
 * What this end of a stream receives. It waits here until it is read, and never exceeds the window: the peer sends what it
 * was given credit for, and credit is given back as the reader takes.
 */
import { ChunkQueue } from './chunk-queue.js'
import { MESSAGING_LIMITS } from './limits.js'

const WINDOW_BYTES = MESSAGING_LIMITS.streamWindowBytes
/** Less than this is not worth a frame. */
const GRANT_BYTES_MIN = WINDOW_BYTES / 4

type Result = IteratorResult<Uint8Array, undefined>

interface Reader {
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

export interface IncomingOwner {
  /** The reader has taken so much that the peer may send as much more. */
  grant(bytes: number): void
  /** The reader wants no more, and there was more to come. */
  onLeft(): void
}

export class IncomingHalf implements AsyncIterableIterator<Uint8Array, undefined> {
  /** Somebody reads, or has read. */
  isClaimed = false
  /** The peer has sent all it had. */
  isEnded = false
  private readonly waiting = new ChunkQueue()
  private readers: Reader[] = []
  /** What the peer may still send. */
  private creditBytes: number = WINDOW_BYTES
  /** Taken by the reader, and not given back as credit. */
  private owedBytes = 0
  private failure: { readonly error: unknown } | undefined
  private isLeft = false

  constructor(private readonly owner: IncomingOwner) {}

  [Symbol.asyncIterator](): this {
    this.isClaimed = true
    return this
  }

  /** What has come is given out before the failure that came after it. After a failure every reader is told of it. */
  next(): Promise<Result> {
    this.isClaimed = true
    const chunk = this.waiting.shift()
    if (chunk !== undefined) {
      this.noteTaken(chunk.length)
      return Promise.resolve({ done: false, value: chunk })
    }
    if (this.isLeft) return Promise.resolve({ done: true, value: undefined })
    if (this.failure !== undefined) return Promise.reject(this.failure.error)
    if (this.isEnded) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }))
  }

  /** The loop was left early. */
  return(): Promise<Result> {
    const isComplete = this.isEnded && this.waiting.isEmpty
    if (!this.isLeft && this.failure === undefined) {
      this.isLeft = true
      this.waiting.clear()
      this.finishReaders()
      if (!isComplete) this.owner.onLeft()
    }
    this.isLeft = true
    return Promise.resolve({ done: true, value: undefined })
  }

  /** Copies `bytes[from..to)`. False when the peer had no credit for them, or had ended. */
  take(bytes: Uint8Array, from: number, to: number): boolean {
    const size = to - from
    if (size > this.creditBytes || this.isEnded) return false
    this.creditBytes -= size
    if (size === 0) return true
    const reader = this.readers.shift()
    if (reader === undefined) {
      this.waiting.push(bytes, from, to)
    } else {
      reader.resolve({ done: false, value: bytes.slice(from, to) })
      this.noteTaken(size)
    }
    return true
  }

  end(): void {
    if (this.isEnded) return
    this.isEnded = true
    if (this.waiting.isEmpty) this.giveBack()
    this.finishReaders()
  }

  /** Nothing more comes. What came whole before stays whole, unless it is to be discarded. */
  fail(error: unknown, discard: boolean): void {
    if (discard) this.waiting.clear()
    else if (this.isEnded) return
    this.failure = { error }
    const readers = this.readers
    this.readers = []
    for (const { reject } of readers) reject(error)
  }

  private finishReaders(): void {
    const readers = this.readers
    this.readers = []
    for (const { resolve } of readers) resolve({ done: true, value: undefined })
  }

  private noteTaken(bytes: number): void {
    this.owedBytes += bytes
    // After the end the sender needs no room, but wants to know when all is taken.
    if (this.isEnded ? this.waiting.isEmpty : this.owedBytes >= GRANT_BYTES_MIN) this.giveBack()
  }

  private giveBack(): void {
    const bytes = this.owedBytes
    if (bytes === 0) return
    this.owedBytes = 0
    this.creditBytes += bytes
    this.owner.grant(bytes)
  }
}
