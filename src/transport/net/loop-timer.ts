/**
 * One timer of the JavaScript loop. Its function is called after a poll of the sockets that followed the due time,
 * so that no deadline overtakes bytes that had already arrived.
 */
export class LoopTimer {
  private wantedAtMs = Number.POSITIVE_INFINITY
  private timeout: NodeJS.Timeout | undefined
  private timeoutAtMs = Number.POSITIVE_INFINITY
  private immediate: NodeJS.Immediate | undefined

  constructor(private readonly onDue: () => void) {}

  /** Replaces the time asked for before; undefined disarms. A later time lets the timer run and look again. */
  arm(atMs: number | undefined): void {
    this.wantedAtMs = atMs ?? Number.POSITIVE_INFINITY
    if (atMs === undefined) this.disarm()
    else if (this.immediate === undefined && atMs < this.timeoutAtMs) this.set(atMs)
  }

  private disarm(): void {
    clearTimeout(this.timeout)
    clearImmediate(this.immediate)
    this.timeoutAtMs = Number.POSITIVE_INFINITY
    this.timeout = undefined
    this.immediate = undefined
  }

  private set(atMs: number): void {
    clearTimeout(this.timeout)
    this.timeoutAtMs = atMs
    const delayMs = atMs - performance.now()
    if (delayMs <= 0) this.afterPoll()
    else this.timeout = setTimeout(() => this.afterPoll(), Math.ceil(delayMs))
  }

  /** The loop runs timers, then polls its sockets, then runs immediates: this one sees what had arrived. */
  private afterPoll(): void {
    this.immediate = setImmediate(() => {
      this.immediate = undefined
      this.timeoutAtMs = Number.POSITIVE_INFINITY
      if (this.wantedAtMs > performance.now()) this.arm(this.wantedAtMs)
      else this.onDue()
    })
  }
}
