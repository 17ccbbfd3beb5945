/**
 * A lane's socket on `node:net`, with or without TLS. What arrives is handed over as Node read it, and copied only where
 * a frame was cut; what one turn writes leaves in one system call, out of the caller's own memory.
 */
import type { Socket } from 'node:net'
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../lane-socket.js'
import { NET_LIMITS } from '../limits.js'
import { HeldBytes } from './held-bytes.js'
import { isReset } from './socket-errors.js'

export class NetLaneSocket implements LaneSocket {
  private handler: LaneSocketHandler | undefined
  /** Set once the handler may be called. */
  private begun = false
  private reading = true
  private readonly held = new HeldBytes()
  private offerPosted = false
  private readonly unsentBytesMax: number
  private isCorked = false
  /** Something was not taken that `onWritable` is to announce. */
  private wantsRoom = false
  private finished = false
  private failure: NodeJS.ErrnoException | undefined
  /** How the peer's side has ended, while nobody has been told. */
  private ending: LaneEnd | undefined
  /** Told of the end, or destroyed: the handler is not called any more. */
  private over = false

  /** Takes over a socket without listeners of ours. `unread` was read from it already. */
  constructor(
    private readonly socket: Socket,
    unread: Uint8Array,
  ) {
    this.held.append(unread, 0, unread.length)
    // Node announces room only where its own mark was passed.
    this.unsentBytesMax = Math.max(NET_LIMITS.laneUnsentBytesMax, socket.writableHighWaterMark)
    socket.pause()
    socket.setKeepAlive(true, NET_LIMITS.laneKeepAliveMs)
    socket.on('end', () => this.onEnding('ended'))
    socket.on('drain', () => this.onDrain())
    // Always followed by `close`.
    socket.on('error', (error) => {
      this.failure = error
    })
    socket.on('close', () =>
      this.onEnding(this.failure === undefined || isReset(this.failure) ? 'reset' : 'error'),
    )
  }

  get hasUnwritten(): boolean {
    return this.socket.writableLength > 0
  }

  attach(handler: LaneSocketHandler): void {
    this.handler = handler
    setImmediate(() => this.begin())
  }

  write(bytes: Uint8Array, from: number, to: number): number {
    const { socket } = this
    if (from === to || this.over || this.finished || socket.destroyed) return 0
    const count = Math.min(to - from, this.unsentBytesMax - socket.writableLength)
    if (count < to - from) this.wantsRoom = true
    if (count <= 0) return 0
    if (!this.isCorked) this.cork()
    socket.write(Buffer.from(bytes.buffer, bytes.byteOffset + from, count))
    return count
  }

  setReading(on: boolean): void {
    if (this.over || on === this.reading) return
    this.reading = on
    if (!this.begun) return
    if (!on) {
      this.socket.pause()
      return
    }
    this.socket.resume()
    if (this.held.length > 0 || this.ending !== undefined) this.postOffer()
  }

  shutdown(): void {
    this.finished = true
    this.wantsRoom = false
    this.socket.end()
  }

  destroy(): void {
    this.over = true
    this.handler = undefined
    this.held.clear()
    this.socket.destroy()
  }

  private begin(): void {
    if (this.over) return
    this.begun = true
    this.socket.on('data', (chunk: Buffer) => {
      // Not as a Buffer, whose `slice` would share the memory.
      this.receive(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    })
    this.offer()
    if (this.over) return
    if (this.reading) this.socket.resume()
    // Room that came before there was anybody to tell.
    if (this.socket.writableLength === 0) this.onDrain()
  }

  private receive(chunk: Uint8Array): void {
    // A destroyed TLS socket still gives out what it had deciphered.
    if (this.over) return
    const { held } = this
    let from = 0
    if (held.length > 0) {
      from = held.complete(chunk)
      this.offerHeld()
      if (this.over) return
      if (held.length > 0 && from < chunk.length) {
        held.append(chunk, from, chunk.length)
        return this.offerHeld()
      }
    }
    if (from === chunk.length) return
    const taken = this.reading ? this.handler!.onData(chunk, from, chunk.length) : 0
    if (!this.over) held.append(chunk, from + taken, chunk.length)
  }

  private offerHeld(): void {
    if (!this.reading) return
    const { held } = this
    const taken = this.handler!.onData(held.bytes, 0, held.length)
    if (!this.over) held.drop(taken)
  }

  /** Offers again what was left, and tells of the end behind it. */
  private offer(): void {
    if (this.held.length > 0) this.offerHeld()
    this.tellEnd()
  }

  private postOffer(): void {
    if (this.offerPosted) return
    this.offerPosted = true
    setImmediate(() => {
      this.offerPosted = false
      if (!this.over && this.reading) this.offer()
    })
  }

  /** Until the turn's own code has run: what it writes leaves together. */
  private cork(): void {
    this.isCorked = true
    this.socket.cork()
    queueMicrotask(() => {
      this.isCorked = false
      this.socket.uncork()
    })
  }

  private onDrain(): void {
    if (!this.wantsRoom || !this.begun || this.over) return
    this.wantsRoom = false
    this.handler!.onWritable()
  }

  private onEnding(how: LaneEnd): void {
    if (this.over || this.ending !== undefined) return
    this.ending = how
    // What was left comes first.
    if (this.begun && !this.offerPosted) this.tellEnd()
  }

  private tellEnd(): void {
    if (this.ending === undefined || !this.reading || this.over) return
    this.over = true
    this.held.clear()
    this.handler!.onEnd(this.ending)
  }
}
