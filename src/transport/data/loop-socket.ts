/** A lane to this node itself: what is written comes back, in a turn of its own, as it would from anybody else. */
import type { LaneSocket, LaneSocketHandler } from '../lane-socket.js'

/** Written and not yet delivered; more is taken when that has been. */
const LOOP_BYTES_MAX = 1024 * 1024

export class LoopSocket implements LaneSocket {
  /** What is taken is copied. */
  readonly hasUnwritten = false
  private handler: LaneSocketHandler | undefined
  private pieces: Uint8Array[] = []
  private bytes = 0
  private posted = false
  private isFull = false

  /** `defer` runs a task when the turn's own code has run. */
  constructor(private readonly defer: (run: () => void) => void) {}

  attach(handler: LaneSocketHandler): void {
    this.handler = handler
  }

  write(bytes: Uint8Array, from: number, to: number): number {
    if (this.bytes >= LOOP_BYTES_MAX) {
      this.isFull = true
      return 0
    }
    this.pieces.push(bytes.slice(from, to))
    this.bytes += to - from
    this.post()
    return to - from
  }

  setReading(on: boolean): void {
    this.posted = !on
    if (on && this.bytes > 0) this.post()
  }

  shutdown(): void {
    this.defer(() => this.handler?.onEnd('ended'))
  }

  destroy(): void {
    this.handler = undefined
    this.pieces = []
    this.bytes = 0
  }

  private post(): void {
    if (this.posted) return
    this.posted = true
    this.defer(() => this.deliver())
  }

  private deliver(): void {
    this.posted = false
    const { handler, pieces } = this
    if (handler === undefined || pieces.length === 0) return
    const whole = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, this.bytes)
    this.pieces = []
    this.bytes = 0
    const taken = handler.onData(whole, 0, whole.length)
    if (this.handler === undefined) return
    if (taken < whole.length) {
      this.pieces.unshift(whole.subarray(taken))
      this.bytes += whole.length - taken
    }
    if (!this.isFull) return
    this.isFull = false
    handler.onWritable()
  }
}
