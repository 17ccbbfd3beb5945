/**
 * One socket of a data lane, from its hand-over by the control plane to its end. It runs on the JavaScript loop of
 * its transport and carries bytes; frames, positions and what is kept for resending are `data/`'s.
 */

/** How the peer's side of a lane socket ended. `ended`: FIN, after all of its data. */
export type LaneEnd = 'ended' | 'reset' | 'error'

export interface LaneSocketHandler {
  /**
   * Bytes have arrived: `bytes[from..to)`. Returns how many of them were taken; the rest comes again in front of what arrives
   * next. `bytes` is the adapter's receive buffer: it is overwritten after this call returns.
   */
  onData(bytes: Uint8Array, from: number, to: number): number
  /** The kernel takes bytes again, after a `write` that it did not take whole. */
  onWritable(): void
  /** The last call. The socket is to be destroyed by its owner, now or when what it still writes is out. */
  onEnd(how: LaneEnd): void
}

export interface LaneSocket {
  /** Something that was taken has not left this process yet: its memory may be read at any later time, acknowledged or not. */
  readonly hasUnwritten: boolean
  /** Begins to read. Bytes that travelled with the hand-over are delivered first, in a turn of their own. */
  attach(handler: LaneSocketHandler): void
  /**
   * Writes `bytes[from..to)` and returns how many the socket took; fewer: `onWritable` follows. What was taken must stay as it is
   * until the peer has acknowledged it or the socket is destroyed. After the end nothing is taken.
   */
  write(bytes: Uint8Array, from: number, to: number): number
  /** Stops or resumes reading: back-pressure by the kernel's buffers. The end is not reported while reading is off. */
  setReading(on: boolean): void
  /** FIN after what was taken; reading goes on. */
  shutdown(): void
  /** Closes at once, in both directions. No call of the handler follows. Idempotent. */
  destroy(): void
}
