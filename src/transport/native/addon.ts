/**
 * The addon's exports as TypeScript sees them. Codes and record layouts are those of `native/core/events.h` and
 * `native/io/event_record.h`; `ADDON_LAYOUT` changes with them, so that a binary of another version is not used.
 */
import type { Hello } from '../../wire/hello.js'
import type { DialOptions, HeartbeatOptions, PeerStatus } from '../transport.js'
import type { LaneSockets } from './lane-sockets.js'

/** Layout of events and arguments; must equal `kLayout` in `native/binding/addon.cc`. */
export const ADDON_LAYOUT = 2

/** Flattened transport options. Times in milliseconds. */
export interface NativeOptions {
  readonly cluster: string
  readonly nodeId: string
  readonly uid: string
  readonly host: string
  readonly port: number
  readonly advertisedHost?: string
  readonly advertisedPort?: number
  readonly heartbeat: HeartbeatOptions
  readonly dial: DialOptions
  /** 16 hex digits; spreads dials. */
  readonly randomSeed: string
  /** Copied. Empty: everybody is let in. */
  readonly secrets: readonly Uint8Array[]
}

/** One transport on the control thread. Every method but `peers` returns without waiting for that thread. */
export interface NativeHandle {
  /**
   * The size of `ring` is a power of two; `onWake` is called when it holds something new. False when the control thread
   * cannot be started. From here to `dispose` an event loop with nothing else to do stays alive.
   */
  start(ring: ArrayBuffer, onWake: () => void): boolean
  connect(host: string, port: number, uid: string): void
  disconnect(host: string, port: number): void
  /** 0 sent, 1 noLink, 2 outboxFull. */
  send(uid: string, bytes: Uint8Array): number
  watch(uid: string, host: string, port: number): void
  unwatch(uid: string): void
  probe(uid: string, host: string, port: number): void
  quarantine(uid: string, reason: number): void
  openLane(uid: string, lane: number, dial: number): void
  /** Index of the lane whose socket a `laneOpened` has announced under this number; -1 when it is gone or cannot be polled. */
  adoptLane(handOver: number): number
  close(): void
  /** Leaves the control thread at once; the ring is not written any more. */
  dispose(): void
  /** Position up to which the ring may be read. */
  available(): number
  /** Everything before `position` has been read; returns the new `available`. */
  consume(position: number): number
  /** Asks for another call of `onWake`. */
  rewake(): void
  peers(): PeerStatus[]
  counters(): Record<string, number>
}

/** The data lanes of this realm's loop. An index names one lane; calls with one that was destroyed do nothing. */
export interface NativeLanes {
  /**
   * Once. `buffer` has `laneReceiveBytes`. `onEvent` is told what happened (data, writable, ended, reset, error) and how many bytes
   * lie at the start of `buffer`; it returns how many of them were taken, and the rest comes again in front of what arrives next.
   */
  start(buffer: ArrayBuffer, onEvent: (index: number, event: number, bytes: number) => number): void
  attach(index: number): void
  /** How many bytes of `bytes[from..to)` the kernel took. */
  write(index: number, bytes: Uint8Array, from: number, to: number): number
  setReading(index: number, on: boolean): void
  shutdown(index: number): void
  destroy(index: number): void
  /** This side's half, once there is one. */
  table?: LaneSockets
}

export interface NativePhi {
  heartbeat(nowMs: number, learn?: boolean): void
  phi(nowMs: number): number
  suspectAfterMs(): number
}

export interface NativeBackoff {
  nextMs(capMs: number): number
  reset(): void
}

export interface NativeFrame {
  readonly kind: number
  readonly flags: number
  readonly lane: number
  readonly correlation: number
  readonly sequence: number
  readonly crcMatches: boolean
  readonly body: Uint8Array
}

/** The pure C++ classes, for tests that hold them equal to their TypeScript twins. */
export interface NativeCore {
  readonly PhiAccrual: new (options: {
    phiThreshold: number
    intervalMs: number
    acceptablePauseMs: number
    minStdDeviationMs: number
    windowSize: number
  }) => NativePhi
  /** `seed`: 16 hex digits. */
  readonly Backoff: new (
    minMs: number,
    seed: string,
  ) => NativeBackoff
  crc32c(bytes: Uint8Array): number
  crc32cByTable(bytes: Uint8Array): number
  encodeFrame(kind: number, flags: number, sequence: number, body: Uint8Array): Uint8Array
  encodeHeartbeatFrame(
    beat: { sentUs: number; loopAgeMs: number; intervalMs: number },
    sequence: number,
    echoWanted: boolean,
  ): Uint8Array
  readFrames(
    stream: Uint8Array,
    lengthMax: number,
  ): { frames: NativeFrame[]; status: 'needMore' | 'tooLarge' | 'tooShort' }
  encodeHelloBody(hello: Hello): Uint8Array
  decodeHelloBody(body: Uint8Array): Hello | undefined
  readonly limits: Readonly<Record<string, number>>
}

export interface Addon {
  readonly layout: number
  readonly NativeTransport: new (options: NativeOptions) => NativeHandle
  readonly lanes: NativeLanes
  readonly core: NativeCore
}
