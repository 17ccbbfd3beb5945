/**
 * Simulated TCP: ordered byte streams between simulated hosts, with latency, FIN, RST, a bounded kernel buffer in
 * each direction, and segments that a cut holds back until it heals. Faults are asked of the network behind them.
 */
import type { Clock } from '../../sim/clock.js'
import type { MemoryHost } from './memory-host.js'

/** Bytes in flight or unread in one direction before writes stay unsent. */
const KERNEL_BUFFER_BYTES = 1024 * 1024

export interface StreamHandler {
  onOpened(): void
  onData(bytes: Uint8Array): void
  /** The other end's FIN. */
  onEnded(): void
  onClosed(how: 'closed' | 'reset'): void
  /** The kernel took bytes that `write` had left unsent. */
  onWritten(bytes: number): void
  /** The kernel has room again, after a `writeSome` that it did not take whole. */
  onRoom?(): void
}

/** What the streams ask of the network. */
export interface Fabric {
  readonly clock: Clock
  latencyMs(from: MemoryHost, to: MemoryHost): number
  isCut(from: MemoryHost, to: MemoryHost): boolean
  /** Remembers a pipe that waits for a cut to heal. */
  hold(pipe: Pipe): void
}

interface Segment {
  readonly kind: 'accept' | 'data' | 'fin' | 'rst'
  /** Empty unless `data`. */
  readonly bytes: Uint8Array
  readonly arrivesMs: number
}

const NO_BYTES = new Uint8Array(0)
/** Segments done with that may stay at the head of a pipe's list before it is moved. */
const DONE_SEGMENTS_MAX = 64

/** One direction of a stream: segments arrive in order, each after its latency, or later when the way is cut. */
export class Pipe {
  private readonly segments: Segment[] = []
  private head = 0
  private running = false
  private lastArrivalMs = 0
  private bufferedBytes = 0

  constructor(
    private readonly fabric: Fabric,
    readonly from: MemoryStream,
    readonly to: MemoryStream,
  ) {}

  /** Bytes that the kernel would take; a chunk given whole may exceed them. */
  get room(): number {
    return Math.max(0, KERNEL_BUFFER_BYTES - this.bufferedBytes)
  }

  push(kind: Segment['kind'], bytes: Uint8Array = NO_BYTES): void {
    const sentMs = this.fabric.clock.nowMs()
    const arrivesMs = Math.max(
      this.lastArrivalMs,
      sentMs + this.fabric.latencyMs(this.from.host, this.to.host),
    )
    this.lastArrivalMs = arrivesMs
    this.bufferedBytes += bytes.length
    this.segments.push({ kind, bytes, arrivesMs })
    if (!this.running) this.runAt(arrivesMs)
  }

  /** The cut that held this pipe is gone: what waits travels again. */
  heal(): void {
    const latencyMs = this.fabric.latencyMs(this.from.host, this.to.host)
    this.runAt(this.fabric.clock.nowMs() + latencyMs)
  }

  private runAt(atMs: number): void {
    this.running = true
    this.fabric.clock.schedule(atMs - this.fabric.clock.nowMs(), () => this.run())
  }

  private run(): void {
    if (this.fabric.isCut(this.from.host, this.to.host)) {
      this.fabric.hold(this)
      return
    }
    const nowMs = this.fabric.clock.nowMs()
    while (this.head < this.segments.length && this.segments[this.head]!.arrivesMs <= nowMs) {
      const segment = this.segments[this.head]!
      this.head += 1
      // The kernel answers for a process that is gone; a stopped one reads when it runs again.
      if (this.to.isDead || !this.to.host.isPaused) this.arrive(segment)
      else this.to.host.whenAwake(() => this.arrive(segment))
    }
    this.compact()
    if (this.segments.length === 0) this.running = false
    else this.runAt(this.segments[this.head]!.arrivesMs)
  }

  private arrive(segment: Segment): void {
    if (this.to.keepsUnread) return this.to.keep(segment, () => this.arrive(segment))
    if (segment.kind === 'data') {
      this.bufferedBytes -= segment.bytes.length
      this.from.onRoom()
    }
    this.to.receive(segment)
  }

  private compact(): void {
    if (this.head < this.segments.length && this.head < DONE_SEGMENTS_MAX) return
    this.segments.splice(0, this.head)
    this.head = 0
  }
}

/** One end of a stream. After `onClosed`, or after `destroy`, no handler is called any more. */
export class MemoryStream {
  handler: StreamHandler | undefined
  private out: Pipe | undefined
  private readonly unsent: Uint8Array[] = []
  private finQueued = false
  private finSent = false
  private finReceived = false
  private reading = true
  /** Arrived while nobody read: they stay in the kernel's buffer. */
  private unread: { readonly segment: Segment; readonly read: () => void }[] = []
  private wantsRoom = false
  private dead = false

  constructor(
    readonly host: MemoryHost,
    /** The other end, as `host:port`. */
    readonly remote: string,
    private readonly onAccept: ((stream: MemoryStream) => void) | undefined,
  ) {
    host.addStream(this)
  }

  /** Two ends that are connected once the dialler's kernel has heard back; its end is announced to it by then. */
  static connectPair(fabric: Fabric, dialler: MemoryStream, acceptor: MemoryStream): void {
    dialler.out = new Pipe(fabric, dialler, acceptor)
    acceptor.out = new Pipe(fabric, acceptor, dialler)
  }

  get isDead(): boolean {
    return this.dead
  }

  /** The dialler's end is open: the acceptor hears of it with the first segment. */
  open(): void {
    if (this.dead) return
    this.out!.push('accept')
    this.handler!.onOpened()
  }

  /** Returns how many of the bytes the kernel took; the rest is announced by `onWritten`. */
  write(bytes: Uint8Array): number {
    if (this.dead || this.finQueued) return bytes.length
    if (this.unsent.length > 0 || this.out!.room === 0) {
      this.unsent.push(bytes)
      return 0
    }
    this.out!.push('data', bytes)
    return bytes.length
  }

  /** Copies and takes what the kernel has room for, and returns how much that was; if not all, `onRoom` follows. */
  writeSome(bytes: Uint8Array): number {
    if (this.dead || this.finQueued) return 0
    const taken = this.unsent.length > 0 ? 0 : Math.min(this.out!.room, bytes.length)
    if (taken > 0) this.out!.push('data', new Uint8Array(bytes.subarray(0, taken)))
    if (taken < bytes.length) this.wantsRoom = true
    return taken
  }

  get keepsUnread(): boolean {
    return !this.reading && !this.dead
  }

  /** For the pipe that leads here: `read` delivers the segment once somebody reads. */
  keep(segment: Segment, read: () => void): void {
    this.unread.push({ segment, read })
  }

  /** Whether what arrives is delivered, the end included. What was kept is delivered before this returns. */
  setReading(on: boolean): void {
    this.reading = on
    // A handler may stop it again, or destroy the stream.
    while (this.reading && this.unread.length > 0) this.unread.shift()!.read()
  }

  /** Sends FIN after what is unsent; the stream closes once the other end's FIN has come as well. */
  end(): void {
    if (this.dead || this.finQueued) return
    this.finQueued = true
    this.sendFinWhenFlushed()
  }

  /** Closes both directions at once; what is unsent is lost, what arrives later is answered with a reset, as what is unread is now. */
  destroy(): void {
    this.crash(false)
  }

  /** The end of its process: FIN, or RST when bytes are left unread. */
  crash(unread: boolean): void {
    if (this.dead) return
    if (unread || this.unread.some(({ segment }) => segment.kind === 'data')) this.out?.push('rst')
    else if (!this.finSent) this.out?.push('fin')
    this.die()
  }

  /** The other end took bytes out of the kernel buffer. */
  onRoom(): void {
    if (this.dead) return
    let taken = 0
    while (this.unsent.length > 0 && this.out!.room > 0) {
      const bytes = this.unsent.shift()!
      this.out!.push('data', bytes)
      taken += bytes.length
    }
    if (taken > 0) this.handler?.onWritten(taken)
    if (this.wantsRoom && this.unsent.length === 0 && this.out!.room > 0) {
      this.wantsRoom = false
      this.handler?.onRoom?.()
    }
    this.sendFinWhenFlushed()
  }

  receive(segment: Segment): void {
    if (this.dead) {
      if (segment.kind === 'data') this.out?.push('rst')
      return
    }
    switch (segment.kind) {
      case 'accept':
        this.onAccept?.(this)
        return
      case 'data':
        this.handler?.onData(segment.bytes)
        return
      case 'fin':
        if (this.finReceived) return
        this.finReceived = true
        this.handler?.onEnded()
        this.closeWhenBothEnded()
        return
      case 'rst': {
        const { handler } = this
        this.die()
        handler?.onClosed('reset')
      }
    }
  }

  private sendFinWhenFlushed(): void {
    if (!this.finQueued || this.finSent || this.unsent.length > 0) return
    this.finSent = true
    this.out!.push('fin')
    this.closeWhenBothEnded()
  }

  private closeWhenBothEnded(): void {
    if (this.dead || !this.finSent || !this.finReceived) return
    const { handler } = this
    this.die()
    // Not from inside `end`: the adapter is still applying the effect that called it.
    this.host.defer(() => handler?.onClosed('closed'))
  }

  private die(): void {
    this.dead = true
    this.unsent.length = 0
    this.unread = []
    this.host.removeStream(this)
  }
}
