/**
 * Data lanes on the loop of this realm: the addon polls them, all into one receive buffer, and calls back once for what
 * one of them has received. A lane is a number there and three fields here.
 */
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../lane-socket.js'
import { NATIVE_LIMITS } from '../limits.js'
import type { Addon, NativeHandle, NativeLanes } from './addon.js'

/** An index of the addon is a slot and how often it was used before. */
const SLOT_MASK = (1 << 18) - 1

/** Events of the addon, in the order of `LaneEvent` in `native/io/lane_table.h`; from 2 on they are ends. */
const DATA = 0
const WRITABLE = 1
const ENDS: readonly LaneEnd[] = ['ended', 'reset', 'error']

class NativeLaneSocket implements LaneSocket {
  handler: LaneSocketHandler | undefined

  constructor(
    private readonly table: LaneSockets,
    readonly index: number,
  ) {}

  /** What is taken is the kernel's. */
  get hasUnwritten(): boolean {
    return false
  }

  attach(handler: LaneSocketHandler): void {
    this.handler = handler
    this.table.lanes.attach(this.index)
  }

  write(bytes: Uint8Array, from: number, to: number): number {
    return this.table.lanes.write(this.index, bytes, from, to)
  }

  setReading(on: boolean): void {
    this.table.lanes.setReading(this.index, on)
  }

  shutdown(): void {
    this.table.lanes.shutdown(this.index)
  }

  destroy(): void {
    this.table.destroy(this)
  }
}

export class LaneSockets {
  private readonly bytes: Uint8Array
  private readonly sockets: (NativeLaneSocket | undefined)[] = []

  /** The table of this realm. Kept at the addon, which is loaded once, however often this module is. */
  static of(addon: Addon): LaneSockets {
    addon.lanes.table ??= new LaneSockets(addon.lanes)
    return addon.lanes.table
  }

  private constructor(readonly lanes: NativeLanes) {
    const buffer = new ArrayBuffer(NATIVE_LIMITS.laneReceiveBytes)
    this.bytes = new Uint8Array(buffer)
    lanes.start(buffer, (index, event, bytes) => this.onEvent(index, event, bytes))
  }

  /** Takes over the socket that `handle` has announced under this number; undefined when it is gone, or nothing can poll it. */
  adopt(handle: NativeHandle, handOver: number): LaneSocket | undefined {
    const index = handle.adoptLane(handOver)
    if (index < 0) return undefined
    const socket = new NativeLaneSocket(this, index)
    this.sockets[index & SLOT_MASK] = socket
    return socket
  }

  destroy(socket: NativeLaneSocket): void {
    const slot = socket.index & SLOT_MASK
    // Destroyed before: the slot may be another's by now.
    if (this.sockets[slot] !== socket) return
    this.sockets[slot] = undefined
    this.lanes.destroy(socket.index)
  }

  /** Returns how many of the first `bytes` bytes of the receive buffer were taken. */
  private onEvent(index: number, event: number, bytes: number): number {
    const handler = this.sockets[index & SLOT_MASK]?.handler
    if (handler === undefined) return 0
    if (event === DATA) return handler.onData(this.bytes, 0, bytes)
    if (event === WRITABLE) handler.onWritable()
    else handler.onEnd(ENDS[event - 2]!)
    return 0
  }
}
