/**
 * Time as something handed in. `VirtualClock` is an event queue that jumps from one event to the next, ordered by
 * time and then by insertion, so that one seed gives one run; `RealClock` is the machine's monotonic clock.
 */

export interface Timer {
  /** The function is not called any more; harmless when it already was. */
  cancel(): void
}

export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. */
  nowMs(): number
  /** Calls `run` once, `delayMs` from now; a negative delay counts as 0. */
  schedule(delayMs: number, run: () => void): Timer
}

/** Events at one instant before the clock concludes that its user loops without letting time pass. */
const EVENTS_PER_INSTANT_MAX = 5_000_000
/** Cancelled timers stay in the heap until they reach the top, or until they are this many and the majority. */
const CANCELLED_SWEEP_MIN = 1024

class VirtualTimer implements Timer {
  run: (() => void) | undefined

  constructor(
    readonly atMs: number,
    readonly order: number,
    run: () => void,
    private readonly clock: VirtualClock,
  ) {
    this.run = run
  }

  cancel(): void {
    if (this.run === undefined) return
    this.run = undefined
    this.clock.noteCancelled()
  }
}

/** Earlier time first; at one time, what was scheduled first. */
function isBefore(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** A clock that stands still unless it is run. What a timer throws comes out of the call that ran it. */
export class VirtualClock implements Clock {
  private now: number
  private order = 0
  private heap: VirtualTimer[] = []
  private cancelled = 0
  private eventsThisInstant = 0
  private events = 0

  constructor(startMs = 0) {
    this.now = startMs
  }

  nowMs(): number {
    return this.now
  }

  /** Timers run so far. */
  get eventCount(): number {
    return this.events
  }

  schedule(delayMs: number, run: () => void): Timer {
    const timer = new VirtualTimer(this.now + Math.max(0, delayMs), this.order, run, this)
    this.order += 1
    this.siftUp(timer, this.heap.length)
    return timer
  }

  /** Runs everything due within `ms` from now, and leaves the clock there. */
  runFor(ms: number): void {
    const untilMs = this.now + ms
    while (this.step(untilMs)) {}
    this.now = Math.max(this.now, untilMs)
  }

  /**
   * Runs until `predicate` holds, asked before the first event and after each one, or until `maxMs` have passed.
   * Returns whether it held; if so the clock stands at the event that made it hold.
   */
  runUntil(predicate: () => boolean, maxMs: number): boolean {
    const untilMs = this.now + maxMs
    while (!predicate()) {
      if (!this.step(untilMs)) {
        this.now = Math.max(this.now, untilMs)
        return predicate()
      }
    }
    return true
  }

  /** Time of the next event; undefined when nothing is scheduled. */
  nextEventMs(): number | undefined {
    this.dropCancelledTop()
    return this.heap[0]?.atMs
  }

  /** For timers only. */
  noteCancelled(): void {
    this.cancelled += 1
    if (this.cancelled >= CANCELLED_SWEEP_MIN && this.cancelled * 2 > this.heap.length) this.sweep()
  }

  /** Runs the first event if it is due by `untilMs`. */
  private step(untilMs: number): boolean {
    this.dropCancelledTop()
    const first = this.heap[0]
    if (first === undefined || first.atMs > untilMs) return false
    this.removeTop()
    this.countEvent(first.atMs)
    const run = first.run!
    first.run = undefined
    run()
    return true
  }

  private countEvent(atMs: number): void {
    this.eventsThisInstant = atMs > this.now ? 1 : this.eventsThisInstant + 1
    if (this.eventsThisInstant > EVENTS_PER_INSTANT_MAX) {
      throw new Error(
        `virtual time stands still at ${atMs} ms: ${EVENTS_PER_INSTANT_MAX} events at one instant`,
      )
    }
    this.events += 1
    this.now = atMs
  }

  private dropCancelledTop(): void {
    while (this.heap.length > 0 && this.heap[0]!.run === undefined) {
      this.removeTop()
      this.cancelled -= 1
    }
  }

  private removeTop(): void {
    const last = this.heap.pop()!
    if (this.heap.length > 0) this.siftDown(last, 0)
  }

  private sweep(): void {
    const alive = this.heap.filter((timer) => timer.run !== undefined)
    this.heap = []
    this.cancelled = 0
    for (const timer of alive) this.siftUp(timer, this.heap.length)
  }

  private siftUp(timer: VirtualTimer, from: number): void {
    const heap = this.heap
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(timer, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
  }

  private siftDown(timer: VirtualTimer, from: number): void {
    const heap = this.heap
    const length = heap.length
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, timer)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = timer
  }
}

/** The machine's monotonic clock; its timers keep the process alive. */
export class RealClock implements Clock {
  nowMs(): number {
    return performance.now()
  }

  schedule(delayMs: number, run: () => void): Timer {
    const handle = setTimeout(run, Math.max(0, delayMs))
    return { cancel: () => clearTimeout(handle) }
  }
}
