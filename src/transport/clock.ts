/** Time as the shells of this project take it, so that tests and the simulator can hand in their own. */

/** Monotonic milliseconds and one-shot timers. */
export interface ShellClock {
  nowMs(): number
  schedule(delayMs: number, task: () => void): { cancel(): void }
}

/** Whole milliseconds: the machine reckons in integers. */
export const systemClock: ShellClock = {
  nowMs: () => Math.round(performance.now()),
  schedule: (delayMs, task) => {
    const timer = setTimeout(task, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Node's timers overflow above this and fire at once. */
export const TIMER_DELAY_MAX_MS = 2 ** 31 - 1

/** One timer for a list of deadlines: armed for the first of them. */
export class OneTimer {
  private timer: { cancel(): void } | undefined

  constructor(
    private readonly clock: ShellClock,
    private readonly onDue: () => void,
  ) {}

  arm(atMs: number | undefined): void {
    this.timer?.cancel()
    this.timer = undefined
    if (atMs === undefined) return
    const delayMs = Math.min(Math.max(0, atMs - this.clock.nowMs()), TIMER_DELAY_MAX_MS)
    this.timer = this.clock.schedule(delayMs, () => {
      this.timer = undefined
      this.onDue()
    })
  }
}
