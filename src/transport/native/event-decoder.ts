/**
 * Reads events out of the ring that the control thread fills; layouts are those of `native/io/event_record.h`. What it
 * returns holds copies: the ring is overwritten once it was consumed.
 */
import type { Address, Uid } from '../../core/address.js'
import type { DataLane, PeerHello, TransportEvent } from '../transport.js'
import {
  BAD_INPUT_REASONS,
  DATA_LANES,
  EventCode,
  GATED_REASONS,
  LANE_FAILED_REASONS,
  LINK_DOWN_REASONS,
  PROBE_OUTCOMES,
  QUARANTINE_REASONS,
  REFUSAL_REASONS,
  SUSPICION_CAUSES,
} from './event-codes.js'

/** What only the adapter hears. */
export type LifecycleEvent =
  | { readonly type: 'started'; readonly address: Address }
  | { readonly type: 'startFailed'; readonly message: string }
  | { readonly type: 'closed' }
  | LaneHandOver

/** A `laneOpened` whose socket is still to be taken over, under the number `handOver`. */
export interface LaneHandOver {
  readonly type: 'laneHandOver'
  readonly peer: PeerHello
  readonly lane: DataLane
  readonly dial: number
  readonly dialler: Uid
  readonly handOver: number
}

export type NativeEvent = TransportEvent | LifecycleEvent

const MESSAGE_HEAD_BYTES = 32
const EVENT_HEAD_BYTES = 64

export class EventDecoder {
  private readonly view: DataView
  private readonly bytes: Uint8Array
  private readonly textDecoder = new TextDecoder()
  /** The message whose chunks are arriving; chunks of two messages never mix. */
  private assembling: Uint8Array | undefined
  private lastUidHigh = 0
  private lastUidLow = 0
  private lastUid: Uid = '0000000000000000'

  /** The length of `ring` is a power of two. */
  constructor(ring: ArrayBuffer) {
    this.view = new DataView(ring)
    this.bytes = new Uint8Array(ring)
  }

  /**
   * Everything between two positions that the addon has named. Returns why a record could not be read, the first of
   * them; it is left out.
   */
  decode(from: number, to: number, onEvent: (event: NativeEvent) => void): TypeError | undefined {
    const capacity = this.bytes.length
    let position = from
    let unreadable: TypeError | undefined
    while (position < to) {
      const at = position % capacity
      const recordBytes = this.view.getUint32(at, true)
      if (recordBytes === 0) {
        position += capacity - at
        continue
      }
      position += recordBytes
      const event = this.recordAt(at)
      if (event instanceof TypeError) unreadable ??= event
      else if (event !== undefined) onEvent(event)
    }
    return unreadable
  }

  private recordAt(at: number): NativeEvent | TypeError | undefined {
    if (this.view.getUint8(at + 4) === EventCode.message) return this.messageAt(at)
    try {
      return this.eventAt(at)
    } catch (error) {
      if (error instanceof TypeError) return error
      throw error
    }
  }

  /** The message, once its last chunk is there. */
  private messageAt(at: number): TransportEvent | undefined {
    const { view } = this
    const messageBytes = view.getUint32(at + 20, true)
    const chunkOffset = view.getUint32(at + 24, true)
    const chunkBytes = view.getUint32(at + 28, true)
    const start = at + MESSAGE_HEAD_BYTES
    if (chunkBytes === messageBytes) return this.message(at, this.bytes.slice(start, start + chunkBytes))
    if (chunkOffset === 0) this.assembling = new Uint8Array(messageBytes)
    const whole = this.assembling!
    whole.set(this.bytes.subarray(start, start + chunkBytes), chunkOffset)
    if (chunkOffset + chunkBytes < messageBytes) return undefined
    this.assembling = undefined
    return this.message(at, whole)
  }

  private message(at: number, bytes: Uint8Array): TransportEvent {
    return { type: 'message', uid: this.uidAt(at + 8), session: this.view.getUint32(at + 16, true), bytes }
  }

  private eventAt(at: number): NativeEvent {
    const { view } = this
    const code = view.getUint8(at + 4)
    const uid = this.uidAt(at + 8)
    const session = view.getUint32(at + 16, true)
    const ms = view.getFloat64(at + 32, true)
    switch (code) {
      case EventCode.linkUp:
        return { type: 'linkUp', peer: this.peerAt(at), session }
      case EventCode.linkDown:
        return { type: 'linkDown', uid, session, reason: named(LINK_DOWN_REASONS, this.reasonAt(at)) }
      case EventCode.suspicion: {
        const cause = named(SUSPICION_CAUSES, this.reasonAt(at))
        const phi = view.getFloat64(at + 24, true)
        return { type: 'suspicion', uid, suspected: this.isOn(at), cause, phi, silentMs: ms }
      }
      case EventCode.stalled:
        return { type: 'stalled', uid, stalled: this.isOn(at), loopAgeMs: ms }
      case EventCode.laneFailed: {
        const reason = named(LANE_FAILED_REASONS, this.reasonAt(at))
        return { type: 'laneFailed', uid, lane: this.laneAt(at), dial: this.attemptsAt(at), reason }
      }
      case EventCode.laneOpened: {
        const lane = this.laneAt(at)
        const dial = this.attemptsAt(at)
        return { type: 'laneHandOver', peer: this.peerAt(at), lane, dial, dialler: uid, handOver: ms }
      }
      case EventCode.probed:
        return { type: 'probed', uid, outcome: named(PROBE_OUTCOMES, this.reasonAt(at)) }
      case EventCode.paused:
        return { type: 'paused', gapMs: ms }
      case EventCode.closed:
        return { type: 'closed' }
      default:
        return this.eventWithTextAt(at, code, uid, ms)
    }
  }

  private eventWithTextAt(at: number, code: number, uid: Uid, ms: number): NativeEvent {
    const reason = this.reasonAt(at)
    const address = this.addressAt(at)
    switch (code) {
      case EventCode.gated: {
        const attempts = this.attemptsAt(at)
        return { type: 'gated', address, reason: named(GATED_REASONS, reason), attempts, retryInMs: ms }
      }
      case EventCode.refused:
        return { type: 'refused', address, by: uid, reason: named(REFUSAL_REASONS, reason) }
      case EventCode.identityChanged:
        return { type: 'identityChanged', address, expected: uid, actual: this.peerAt(at) }
      case EventCode.quarantinedBy:
        return { type: 'quarantinedBy', uid, address, reason: named(QUARANTINE_REASONS, reason) }
      case EventCode.badInput:
        return { type: 'badInput', remote: this.textAt(at), reason: named(BAD_INPUT_REASONS, reason) }
      case EventCode.started:
        return { type: 'started', address }
      case EventCode.startFailed:
        return { type: 'startFailed', message: this.textAt(at) }
      default:
        throw new TypeError(`event code ${code}: the addon is of another version`)
    }
  }

  private reasonAt(at: number): number {
    return this.view.getUint8(at + 5)
  }

  private attemptsAt(at: number): number {
    return this.view.getUint32(at + 20, true)
  }

  private laneAt(at: number): DataLane {
    return named(DATA_LANES, this.view.getUint8(at + 7))
  }

  private isOn(at: number): boolean {
    return this.view.getUint8(at + 6) !== 0
  }

  private uidAt(at: number): Uid {
    const low = this.view.getUint32(at, true)
    const high = this.view.getUint32(at + 4, true)
    // Events come in runs from one peer, and making the text costs more than the rest of a small message.
    if (low !== this.lastUidLow || high !== this.lastUidHigh) {
      this.lastUidLow = low
      this.lastUidHigh = high
      this.lastUid = high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
    }
    return this.lastUid
  }

  // Strings follow the head in this order: address host, peer host, bind host, node id, text.

  private addressAt(at: number): Address {
    const { view } = this
    const length = view.getUint16(at + 50, true)
    return { host: this.stringAt(at + EVENT_HEAD_BYTES, length), port: view.getUint16(at + 48, true) }
  }

  private peerAt(at: number): PeerHello {
    const { view } = this
    const hostAt = at + EVENT_HEAD_BYTES + view.getUint16(at + 50, true)
    const hostLength = view.getUint16(at + 54, true)
    const bindLength = view.getUint16(at + 58, true)
    const bindAt = hostAt + hostLength
    return {
      uid: this.uidAt(at + 40),
      nodeId: this.stringAt(bindAt + bindLength, view.getUint16(at + 60, true)),
      address: { host: this.stringAt(hostAt, hostLength), port: view.getUint16(at + 52, true) },
      bind: { host: this.stringAt(bindAt, bindLength), port: view.getUint16(at + 56, true) },
    }
  }

  private textAt(at: number): string {
    const { view } = this
    const before = [50, 54, 58, 60].reduce((sum, offset) => sum + view.getUint16(at + offset, true), 0)
    return this.stringAt(at + EVENT_HEAD_BYTES + before, view.getUint16(at + 62, true))
  }

  private stringAt(at: number, length: number): string {
    return this.textDecoder.decode(this.bytes.subarray(at, at + length))
  }
}

function named<T>(names: readonly (T | undefined)[], code: number): T {
  const name = names[code]
  if (name === undefined) throw new TypeError(`reason code ${code}: the addon is of another version`)
  return name
}
