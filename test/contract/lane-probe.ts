/** One end of a data lane in the hands of a test: writes what it is given as the socket takes it, keeps what it is told. */
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../../src/transport/lane-socket.js'
import type { DataLane, TransportEvent } from '../../src/transport/transport.js'
import { eventsOf, type Harness, type Node } from './harness.js'

export type LaneOpened = Extract<TransportEvent, { type: 'laneOpened' }>

export class LaneProbe implements LaneSocketHandler {
  readonly ends: LaneEnd[] = []
  writables = 0
  dataCalls = 0
  /** Calls of the handler that came after `destroy`, or after the end. */
  lateCalls = 0
  /** A Buffer among them would be sliced without a copy. */
  readonly arrayTypes = new Set<unknown>()
  /** How many of `count` bytes to take; replaced by tests of partial frames. */
  take: (count: number) => number = (count) => count
  /** Called at the end of `onData`. */
  afterData: () => void = () => {}
  private chunks: Uint8Array[] = []
  private receivedCount = 0
  private readonly queue: Uint8Array[] = []
  private queuedBytes = 0
  private over = false

  constructor(readonly socket: LaneSocket) {}

  attach(): this {
    this.socket.attach(this)
    return this
  }

  get receivedBytes(): number {
    return this.receivedCount
  }

  /** All that was taken, in order. */
  get received(): Uint8Array {
    if (this.chunks.length !== 1) this.chunks = [new Uint8Array(Buffer.concat(this.chunks))]
    return this.chunks[0]!
  }

  /** Bytes given to `send` that the socket has not taken. */
  get unsentBytes(): number {
    return this.queuedBytes
  }

  /** Takes the bytes over. */
  send(bytes: Uint8Array): void {
    this.queue.push(bytes)
    this.queuedBytes += bytes.length
    if (this.queue.length === 1) this.pump()
  }

  destroy(): void {
    this.over = true
    this.socket.destroy()
  }

  onData(bytes: Uint8Array, from: number, to: number): number {
    if (this.over) this.lateCalls += 1
    this.dataCalls += 1
    const taken = this.take(to - from)
    this.arrayTypes.add(bytes.constructor)
    this.chunks.push(bytes.slice(from, from + taken))
    this.receivedCount += taken
    this.afterData()
    return taken
  }

  onWritable(): void {
    if (this.over) this.lateCalls += 1
    this.writables += 1
    this.pump()
  }

  onEnd(how: LaneEnd): void {
    if (this.over) this.lateCalls += 1
    this.over = true
    this.ends.push(how)
  }

  private pump(): void {
    while (this.queue.length > 0) {
      const bytes = this.queue[0]!
      const taken = this.socket.write(bytes, 0, bytes.length)
      this.queuedBytes -= taken
      if (taken < bytes.length) {
        this.queue[0] = bytes.subarray(taken)
        return
      }
      this.queue.shift()
    }
  }
}

export function lanesAt(node: Node, lane: DataLane): LaneOpened[] {
  return eventsOf(node, 'laneOpened').filter((event) => event.lane === lane)
}

/** The lane socket with this name, once its event has come. */
export async function laneAt(
  harness: Harness,
  node: Node,
  lane: DataLane,
  dial: number,
  dialler: string,
): Promise<LaneOpened> {
  const find = () => lanesAt(node, lane).find((event) => event.dial === dial && event.dialler === dialler)
  await harness.waitFor(() => find() !== undefined, `lane ${lane} ${dial} of ${dialler}`)
  return find()!
}

/** Opens a lane from `a` to `b`; its two ends, not yet attached. */
export async function openLane(
  harness: Harness,
  a: Node,
  b: Node,
  lane: DataLane = 'ordinary',
  dial = 1,
): Promise<[LaneProbe, LaneProbe]> {
  a.transport.openLane(b.uid, lane, dial)
  const here = await laneAt(harness, a, lane, dial, a.uid)
  const there = await laneAt(harness, b, lane, dial, a.uid)
  return [new LaneProbe(here.socket), new LaneProbe(there.socket)]
}

/** Bytes that no shift or truncation leaves equal. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 31 + (index >> 8) + seed) & 0xff
  return bytes
}

/** Compared by memory: a failed `toEqual` of megabytes would take minutes to print. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
