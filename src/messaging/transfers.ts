/**
 * Messages too long for one frame, to and from one peer. They travel in chunks on the large lane, one chunk of each in
 * turn, so that several progress together. Received ones are put together within a bound, and the sender begins no more
 * than fit: the peer takes frames in order, so what it has half received is what has begun here and not yet ended.
 */
import type { AssociationEnd } from '../transport/data/association.js'
import { DATA_LIMITS } from '../transport/limits.js'
import {
  CHUNK_HEAD_BYTES,
  DataFlag,
  DataKind,
  decodeChunkHead,
  FailureCode,
  writeChunkHead,
} from '../wire/data-frame.js'
import { MESSAGING_LIMITS } from './limits.js'
import type { PeerLink } from './peer-link.js'
import type { Topic } from './topics.js'

const CHUNK_BYTES = DATA_LIMITS.frameBodyBytesMax - CHUNK_HEAD_BYTES
/** Chunks wait here rather than in the outbox: only so much is handed over that the lane stays busy. */
const LANE_BYTES = 8 * DATA_LIMITS.frameBodyBytesMax
/** Of messages begun at once; far below what a peer takes. */
const BEGUN_BYTES = MESSAGING_LIMITS.assemblyBytesMax / 4

interface Outgoing {
  readonly id: number
  readonly kind: number
  readonly topic: string
  readonly correlation: number
  readonly bytes: Uint8Array
  sent: number
  /** Nobody waits for its answer any more; its last chunk is on its way all the same, or the peer would wait for it. */
  isCanceled: boolean
}

/** A message that the lane has taken whole; remembered until the peer has. */
interface HandedOver {
  readonly topic: string
  readonly bytes: number
  readonly endPosition: number
}

interface Incoming {
  readonly kind: number
  readonly topic: Topic | undefined
  readonly correlation: number
  /** Undefined: refused, the rest is passed over. */
  readonly bytes: Uint8Array | undefined
  readonly total: number
  taken: number
}

/** Why a message that came in parts is not taken. */
export interface Refusal {
  readonly code: FailureCode
  readonly text: string
}

/** A message that has come in whole. */
export interface WholeMessage {
  readonly kind: number
  readonly topic: Topic | undefined
  readonly correlation: number
  readonly bytes: Uint8Array
}

export class Transfers {
  /** Queued and not yet cut into chunks. */
  waitingBytes = 0
  /** Those that take turns, and those that wait until they may begin. */
  private begun: Outgoing[] = []
  private begunBytes = 0
  private waiting: Outgoing[] = []
  private handed: HandedOver[] = []
  private turn = 0
  private nextId = 1
  private readonly incoming = new Map<number, Incoming>()
  private assemblyBytes = 0

  constructor(private readonly link: PeerLink) {}

  /** Queues a message; its bytes are copied. Throws; then nothing was queued. */
  send(kind: number, topic: string, correlation: number, bytes: Uint8Array): void {
    const { options } = this.link.office
    this.link.office.checkLength(bytes.length)
    const lane = this.link.lane('large')
    const queued = this.waitingBytes + lane.outbox.unackedBytes
    if (queued > 0 && queued + bytes.length > options.largeOutboxBytesMax) throw this.link.outboxFull(lane)
    // Before anything is queued: it may throw.
    this.link.numberOf(lane, topic)
    this.waiting.push({
      id: this.takeId(),
      kind,
      topic,
      correlation,
      bytes: bytes.slice(),
      sent: 0,
      isCanceled: false,
    })
    this.waitingBytes += bytes.length
    this.pump()
  }

  /** Hands chunks to the lane, one of each message in turn, while it has room. */
  pump(): void {
    const lane = this.link.lane('large')
    if (this.handed.length > 0) this.forgetAcknowledged(lane.outbox.ackedPosition)
    if (this.begun.length === 0 && this.waiting.length === 0) return
    while (lane.outbox.unsentBytes < LANE_BYTES) {
      this.beginWaiting()
      if (this.begun.length === 0) break
      if (this.turn >= this.begun.length) this.turn = 0
      const message = this.begun[this.turn]!
      this.writeChunk(message)
      if (message.sent < message.bytes.length) this.turn += 1
      else this.handOver(message, lane.outbox.endPosition)
    }
    this.link.queued(lane)
  }

  /** A request is given up: not sent, if nothing of it was; else its handler is told, behind the last chunk. */
  cancel(correlation: number): void {
    const isMeant = (message: Outgoing) =>
      message.kind === DataKind.request && message.correlation === correlation
    const message = this.begun.find(isMeant) ?? this.waiting.find(isMeant)
    if (message === undefined) return this.link.writeCancel(this.link.lane('large'), correlation)
    message.isCanceled = true
    if (message.sent > 0) return
    this.waitingBytes -= message.bytes.length
    this.begunBytes -= this.begun.includes(message) ? message.bytes.length : 0
    this.begun = this.begun.filter((other) => other !== message)
    this.waiting = this.waiting.filter((other) => other !== message)
    // Those behind it may begin now.
    this.pump()
  }

  /** The whole message, when this was its last chunk. What does not fit is refused, and its sender told. */
  onChunk(
    flags: number,
    topic: Topic | undefined,
    id: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): WholeMessage | undefined {
    let at = from
    if ((flags & DataFlag.first) !== 0) {
      if (!this.begin(topic, id, bytes, from, to)) return undefined
      at += CHUNK_HEAD_BYTES
    }
    const transfer = this.incoming.get(id)
    if (transfer === undefined) return undefined
    const length = to - at
    const last = (flags & DataFlag.last) !== 0
    const fits = transfer.taken + length <= transfer.total
    if (fits && transfer.bytes !== undefined) {
      transfer.bytes.set(new Uint8Array(bytes.buffer, bytes.byteOffset + at, length), transfer.taken)
    }
    transfer.taken += length
    if (fits && !last) return undefined
    this.forget(id, transfer)
    if (transfer.bytes === undefined) return undefined
    const { kind, correlation, taken, total } = transfer
    if (taken === total) return { kind, topic: transfer.topic, correlation, bytes: transfer.bytes }
    this.refuse(transfer, { code: FailureCode.tooLarge, text: `${taken} bytes came of ${total}` })
    return undefined
  }

  /** The peer's stream started over: what was half received will not be completed. */
  onPeerReset(): void {
    this.incoming.clear()
    this.assemblyBytes = 0
  }

  /** Our stream starts over: a message of which a part is gone is a dead letter, the others wait for the new stream. */
  onAbandoned(reason: AssociationEnd): void {
    for (const { topic, bytes } of this.handed) this.link.deadLetters(reason).add(topic, bytes, true)
    this.handed = []
    this.giveUp(reason, (message) => message.sent > 0)
  }

  /** Nothing more goes out, and what was half received will not be completed. */
  end(reason: AssociationEnd): void {
    this.onAbandoned(reason)
    this.giveUp(reason, () => true)
    this.onPeerReset()
  }

  private giveUp(reason: AssociationEnd, isLost: (message: Outgoing) => boolean): void {
    for (const message of [...this.begun, ...this.waiting]) {
      if (!isLost(message)) continue
      const { kind, topic, bytes, sent } = message
      this.waitingBytes -= bytes.length - sent
      if (kind === DataKind.message) this.link.deadLetters(reason).add(topic, bytes.length, sent > 0)
    }
    this.begun = this.begun.filter((message) => !isLost(message))
    this.waiting = this.waiting.filter((message) => !isLost(message))
    this.begunBytes = this.begun.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  private beginWaiting(): void {
    while (this.waiting.length > 0) {
      const { length } = this.waiting[0]!.bytes
      const hasRoom =
        this.begun.length < MESSAGING_LIMITS.transfersBegunMax && this.begunBytes + length <= BEGUN_BYTES
      // One alone always may: it may be longer than the bound.
      if (!hasRoom && this.begun.length > 0) return
      this.begun.push(this.waiting.shift()!)
      this.begunBytes += length
    }
  }

  private handOver(message: Outgoing, endPosition: number): void {
    this.begun.splice(this.turn, 1)
    this.begunBytes -= message.bytes.length
    if (message.isCanceled) this.link.writeCancel(this.link.lane('large'), message.correlation)
    // Of requests and responses their promises tell.
    if (message.kind !== DataKind.message) return
    this.handed.push({ topic: message.topic, bytes: message.bytes.length, endPosition })
  }

  private forgetAcknowledged(position: number): void {
    let done = 0
    while (done < this.handed.length && this.handed[done]!.endPosition <= position) done += 1
    if (done > 0) this.handed.splice(0, done)
  }

  private writeChunk(message: Outgoing): void {
    const lane = this.link.lane('large')
    const first = message.sent === 0
    const last = message.bytes.length - message.sent <= CHUNK_BYTES
    const size = Math.min(CHUNK_BYTES, message.bytes.length - message.sent)
    const flags = (first ? DataFlag.first : 0) | (last ? DataFlag.last : 0)
    const topic = first ? this.link.numberOf(lane, message.topic) : 0
    const head = first ? CHUNK_HEAD_BYTES : 0
    let at = lane.outbox.reserve(DataKind.chunk, flags, topic, message.id, head + size)
    if (first) {
      const { kind, correlation, bytes } = message
      writeChunkHead(lane.outbox.segmentView(), at, { total: bytes.length, correlation, kind })
      at += CHUNK_HEAD_BYTES
    }
    lane.outbox.segmentBytes().set(message.bytes.subarray(message.sent, message.sent + size), at)
    message.sent += size
    this.waitingBytes -= size
  }

  private begin(topic: Topic | undefined, id: number, bytes: Uint8Array, from: number, to: number): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const head = decodeChunkHead(view, from, to)
    if (head === undefined || this.incoming.has(id)) return false
    const { kind, correlation, total } = head
    const refusal = this.whyRefuse(total)
    const transfer = { kind, topic, correlation, total, taken: 0 }
    if (refusal === undefined) {
      this.assemblyBytes += total
      this.incoming.set(id, { ...transfer, bytes: new Uint8Array(total) })
      return true
    }
    if (this.incoming.size < MESSAGING_LIMITS.transfersMax)
      this.incoming.set(id, { ...transfer, bytes: undefined })
    this.refuse(transfer, refusal)
    return true
  }

  private whyRefuse(total: number): Refusal | undefined {
    const { messageBytesMax } = this.link.office.options
    if (total > messageBytesMax) {
      const text = `${total} bytes are more than messageBytesMax (${messageBytesMax})`
      return { code: FailureCode.tooLarge, text }
    }
    const { transfersMax, assemblyBytesMax } = MESSAGING_LIMITS
    if (this.incoming.size >= transfersMax)
      return { code: FailureCode.busy, text: 'too many large messages are half received' }
    if (this.assemblyBytes > 0 && this.assemblyBytes + total > assemblyBytesMax)
      return { code: FailureCode.busy, text: 'too many bytes of large messages are half received' }
    return undefined
  }

  private refuse(transfer: Omit<Incoming, 'bytes'>, refusal: Refusal): void {
    this.link.office.counters.transfersRefused += 1
    const { kind, topic, correlation, total } = transfer
    this.link.onRefusedTransfer(kind, topic, correlation, total, refusal)
  }

  private forget(id: number, transfer: Incoming): void {
    this.incoming.delete(id)
    if (transfer.bytes !== undefined) this.assemblyBytes -= transfer.total
  }

  private takeId(): number {
    const id = this.nextId
    this.nextId = id === 0xffff_ffff ? 1 : id + 1
    return id
  }
}
