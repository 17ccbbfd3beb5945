/**
 * A data lane over a simulated stream. It runs on the JavaScript loop of its process: while that is blocked nothing is
 * delivered, and the kernel's buffers fill.
 */
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../lane-socket.js'
import type { MemoryStream, StreamHandler } from './memory-stream.js'

const NOTHING = new Uint8Array(0)
/** What a view kept too long is found to hold. */
const POISON = 0xdb

export class MemoryLaneSocket implements LaneSocket, StreamHandler {
  readonly hasUnwritten = false
  private handler: LaneSocketHandler | undefined
  /** Shown to the handler and not taken. */
  private rest: Uint8Array = NOTHING
  private wantsReading = true
  private blocked = false
  private resumePosted = false
  /** There was room again, and nobody could be told. */
  private writableOwed = false
  private shut = false
  private over = false

  /** `unread` travelled with the hand-over. `onGone` is called once, when the socket needs to be known no more. */
  constructor(
    private readonly stream: MemoryStream,
    private unread: Uint8Array,
    private readonly onGone: () => void,
  ) {
    stream.setReading(false)
    stream.handler = this
  }

  attach(handler: LaneSocketHandler): void {
    this.handler = handler
    this.postResume()
  }

  write(bytes: Uint8Array, from: number, to: number): number {
    if (this.shut || this.over) return 0
    // Copied, as a kernel would.
    return this.stream.writeSome(bytes.slice(from, to))
  }

  setReading(on: boolean): void {
    // Its owner may have stopped in front of a whole frame, and nothing may come after it.
    if (on && !this.wantsReading && this.rest.length > 0) {
      this.unread = this.rest
      this.rest = NOTHING
    }
    this.wantsReading = on
    if (on) this.postResume()
    else this.stream.setReading(false)
  }

  shutdown(): void {
    this.shut = true
    this.stream.end()
  }

  destroy(): void {
    this.finish()
    this.stream.destroy()
  }

  /** Whether the loop of its process turns. */
  setBlocked(blocked: boolean): void {
    this.blocked = blocked
    if (blocked) this.stream.setReading(false)
    else this.postResume()
  }

  onOpened(): void {}

  onData(bytes: Uint8Array): void {
    const whole = new Uint8Array(this.rest.length + bytes.length)
    whole.set(this.rest)
    whole.set(bytes, this.rest.length)
    this.show(whole)
  }

  onEnded(): void {
    this.end('ended')
  }

  onClosed(how: 'closed' | 'reset'): void {
    // Both directions had ended: the handler has heard of it.
    if (how === 'reset') this.end('reset')
  }

  onWritten(): void {}

  onRoom(): void {
    this.writableOwed = true
    this.postResume()
  }

  private get canCall(): boolean {
    return this.handler !== undefined && !this.blocked && !this.over
  }

  /** Never from inside a call of the owner: each turn of the handler is one of the loop's. */
  private postResume(): void {
    if (this.resumePosted || !this.canCall) return
    this.resumePosted = true
    this.stream.host.defer(() => {
      this.resumePosted = false
      this.resume()
    })
  }

  private resume(): void {
    if (this.writableOwed && this.canCall) {
      this.writableOwed = false
      if (!this.shut) this.handler!.onWritable()
    }
    if (!this.canCall || !this.wantsReading) return
    if (this.unread.length === 0) return this.stream.setReading(true)
    // A copy even of a Buffer, whose `slice` is none.
    const first = new Uint8Array(this.unread)
    this.unread = NOTHING
    this.show(first)
    this.postResume()
  }

  /** Shows bytes of ours, which are spoilt afterwards, as a receive buffer is by what comes next. */
  private show(bytes: Uint8Array): void {
    const taken = this.handler!.onData(bytes, 0, bytes.length)
    this.rest = this.over ? NOTHING : bytes.slice(taken)
    bytes.fill(POISON)
  }

  private end(how: LaneEnd): void {
    if (this.over) return
    this.finish()
    this.handler!.onEnd(how)
  }

  private finish(): void {
    if (this.over) return
    this.over = true
    this.rest = NOTHING
    this.onGone()
  }
}
