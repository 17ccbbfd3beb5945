/**
 * A simulated process and its kernel: one listener, its streams, and whether it is running, stopped (SIGSTOP: the
 * kernel goes on accepting and buffering) or dead. Everything that would run in the process goes through here.
 */
import type { Address } from '../../core/address.js'
import type { Clock } from '../../sim/clock.js'
import type { MemoryStream } from './memory-stream.js'

/** Connections that a stopped process's kernel accepts on its behalf. */
const ACCEPT_BACKLOG = 511

export class MemoryHost {
  private readonly streams = new Set<MemoryStream>()
  private waiting: (() => void)[] = []
  private paused = false
  private crashed = false
  private unaccepted = 0
  /** Called when the process runs again, after everything that waited has been delivered. */
  onResumed: (() => void) | undefined

  constructor(
    readonly address: Address,
    /** `host:port` of the address: the name by which faults know this host. */
    readonly key: string,
    private readonly clock: Clock,
    /** Undefined for a host that does not listen. */
    readonly listener: ((stream: MemoryStream) => void) | undefined,
  ) {}

  get isPaused(): boolean {
    return this.paused
  }

  get isCrashed(): boolean {
    return this.crashed
  }

  /** Runs now, or when the process is resumed; never once it has crashed. */
  whenAwake(run: () => void): void {
    if (this.crashed) return
    if (this.paused) this.waiting.push(run)
    else run()
  }

  /** Runs soon, outside of the caller's stack. */
  defer(run: () => void): void {
    this.clock.schedule(0, () => this.whenAwake(run))
  }

  /** Whether the kernel would answer a connect: a full backlog drops it. */
  takeBacklogPlace(): boolean {
    if (!this.paused) return true
    if (this.unaccepted >= ACCEPT_BACKLOG) return false
    this.unaccepted += 1
    return true
  }

  pause(): void {
    if (!this.crashed) this.paused = true
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.unaccepted = 0
    const waiting = this.waiting
    this.waiting = []
    for (const run of waiting) this.whenAwake(run)
    this.onResumed?.()
  }

  crash(): void {
    if (this.crashed) return
    const unread = this.waiting.length > 0
    this.waiting = []
    this.paused = false
    for (const stream of [...this.streams]) stream.crash(unread)
    this.crashed = true
  }

  addStream(stream: MemoryStream): void {
    this.streams.add(stream)
  }

  removeStream(stream: MemoryStream): void {
    this.streams.delete(stream)
  }
}
