/**
 * One lane of an association: two streams of frames that outlive their sockets. It adopts sockets, tells each where to
 * go on, takes whole frames out of what arrives, and acknowledges them. It never throws because of a peer.
 */
import {
  BODY_AT,
  CORRELATION_AT,
  DATA_HEADER_BYTES,
  DATA_LENGTH_BYTES,
  DataKind,
  decodeAck,
  decodeResume,
  encodeAck,
  encodeResume,
  KIND_AT,
  Lane as LaneNumber,
  SEQUENCE_AT,
  TOPIC_AT,
} from '../../wire/data-frame.js'
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../lane-socket.js'
import { DATA_LIMITS } from '../limits.js'
import type { DataLane } from '../transport.js'
import { Outbox } from './outbox.js'
import type { SegmentPool } from './segments.js'

const { resume: RESUME, ack: ACK, topic: TOPIC } = DataKind
const FRAME_LENGTH_MAX = DATA_HEADER_BYTES + DATA_LIMITS.frameBodyBytesMax

/** Why a lane socket was closed because of what came in on it. */
export type LaneFault =
  | 'frameTooLarge'
  | 'frameTooShort'
  | 'unexpectedFrame'
  | 'sequenceGap'
  | 'badPosition'
  | 'badTopic'

/** Where frames go that are not the lane's own: everything but resume, ack and topic. */
export interface FrameReceiver<T> {
  onFrame(
    lane: Lane<T>,
    kind: number,
    flags: number,
    topic: T | undefined,
    correlation: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void
}

/** What a lane tells whoever owns it. */
export interface LaneOwner<T> {
  /** What a topic's name stands for above; kept and handed back with every frame of that topic. */
  topicOf(name: string): T
  /** Frames are about to be handed on. */
  onBatchBegin(): void
  /** A readable batch has been handled. */
  onBatch(lane: Lane<T>): void
  /** Something is to be written soon: an ack, or more of the stream. */
  onWork(lane: Lane<T>): void
  /** Something came that is to be acknowledged within `ackDelayMs`. */
  onOwesAck(lane: Lane<T>): void
  /** The peer has spoken on a new socket. */
  onGreeted(lane: Lane<T>): void
  onAcknowledged(lane: Lane<T>): void
  /** The peer acknowledged, or the kernel took more: there may be room. */
  onRoom(lane: Lane<T>): void
  /** The peer's stream starts over: what was half received of the old one is void. */
  onPeerReset(lane: Lane<T>): void
  /** The peer remembers nothing of our stream, part of which it had acknowledged. The owner abandons it. */
  onForgotten(lane: Lane<T>): void
  onSocketEnd(lane: Lane<T>, how: LaneEnd | LaneFault): void
}

export class Lane<T> implements LaneSocketHandler {
  readonly outbox: Outbox
  readonly number: LaneNumber
  socket: LaneSocket | undefined
  /** Rank of the present socket. */
  private dial = 0
  private dialler = ''
  /** Highest dial number heard of. */
  dialHighest = 0
  /** The peer has said where to go on, or there is nothing to go on with. */
  private streamAllowed = false
  private greeted = false
  private blocked = false

  private inEpoch = 0
  private received = 0
  private receivedFrames = 0
  /** Sequence of the next frame. */
  private expected = 1
  private told = 0
  private topicsIn: T[] = []
  private topicsOut: Map<string, number> | undefined
  private lastTopic = ''
  private lastTopicNumber: number | undefined

  private viewedBuffer: ArrayBufferLike | undefined
  private view: DataView | undefined
  /** How many things above need the peer to be there, though nothing may be queued. */
  held = 0
  /** Of the last traffic either way, by the owner's clock. */
  usedAtMs = 0
  /** How far the peer had come when it was last looked at, while it owed acks. */
  private owedAt: number | undefined
  /** On the owner's list of lanes to flush, and to acknowledge. */
  isDirty = false
  isOwing = false
  /** The control link beside it was lost since it was opened: it may be dead at the other end, and gives way to any other. */
  isDoubtful = false
  /** Nothing more is taken, and so nothing acknowledged: the peer keeps it. Acks are still read. */
  isMuted = false

  constructor(
    readonly name: DataLane,
    private readonly owner: LaneOwner<T>,
    readonly receiver: FrameReceiver<T>,
    pool: SegmentPool,
    epoch: number,
  ) {
    this.number = name === 'ordinary' ? LaneNumber.ordinary : LaneNumber.large
    this.outbox = new Outbox(this.number, pool, epoch)
  }

  /** The kernel takes no more for now, or the window is full. */
  get isBlocked(): boolean {
    return this.blocked
  }

  /** Something is to be sent or acknowledged, or is held open above. */
  get isNeeded(): boolean {
    return this.held > 0 || this.outbox.unackedBytes > 0
  }

  get owesAck(): boolean {
    return this.received > this.told
  }

  /** Number of a topic that was used before. */
  knownTopic(name: string): number | undefined {
    if (name === this.lastTopic) return this.lastTopicNumber
    const known = this.topicsOut?.get(name)
    if (known === undefined) return undefined
    this.lastTopic = name
    this.lastTopicNumber = known
    return known
  }

  /** Number of a topic on this lane; its name goes out with its first use. Undefined when `topicsMax` are in use. */
  topicNumber(name: string): number | undefined {
    const known = this.knownTopic(name)
    if (known !== undefined) return known
    this.topicsOut ??= new Map()
    if (this.topicsOut.size >= DATA_LIMITS.topicsMax) return undefined
    const number = this.topicsOut.size + 1
    this.topicsOut.set(name, number)
    const bytes = new TextEncoder().encode(name)
    this.outbox.append(TOPIC, 0, number, 0, bytes, 0, bytes.length)
    return number
  }

  /** Name of a topic that this side has numbered. */
  topicNameOf(number: number): string {
    for (const [name, known] of this.topicsOut ?? []) if (known === number) return name
    return ''
  }

  /** Takes a socket if it ranks above the present one; false: it is the caller's to destroy. */
  adopt(socket: LaneSocket, dial: number, dialler: string): boolean {
    const higher = dial > this.dial || (dial === this.dial && dialler > this.dialler)
    if (this.socket !== undefined && !higher && !this.isDoubtful) return false
    this.socket?.destroy()
    this.outbox.unsend()
    this.socket = socket
    this.dial = dial
    this.dialler = dialler
    this.dialHighest = Math.max(this.dialHighest, dial)
    this.greeted = false
    this.isDoubtful = false
    this.blocked = false
    this.streamAllowed = this.outbox.isFresh
    this.outbox.greet(
      encodeResume(this.number, {
        epoch: this.outbox.epoch,
        seenEpoch: this.inEpoch,
        received: this.received,
        frames: this.receivedFrames,
      }),
    )
    this.told = this.received
    socket.attach(this)
    this.flush()
    return true
  }

  /** The peer has spoken on the present socket. */
  get isOpen(): boolean {
    return this.socket !== undefined && this.greeted
  }

  /** True when acks are owed since the last call, and the peer has come no further. */
  isStuck(): boolean {
    const { unackedBytes, ackedPosition } = this.outbox
    const stuck = this.socket !== undefined && unackedBytes > 0 && this.owedAt === ackedPosition
    this.owedAt = unackedBytes > 0 ? ackedPosition : undefined
    return stuck
  }

  /** Writes what the socket takes now. */
  flush(): void {
    const { socket } = this
    if (socket === undefined) return
    this.blocked = !this.outbox.flush(socket, this.streamAllowed)
  }

  /** Tells whoever waits for room, once what was queued is out. */
  roomAfterFlush(): void {
    this.owner.onRoom(this)
  }

  /** Queues an ack for what was received, if any is owed. */
  acknowledge(): void {
    if (this.received === this.told) return
    const ack = encodeAck(this.number, { received: this.received, frames: this.receivedFrames })
    // One that is half out cannot be replaced: what has come since is still owed.
    if (this.outbox.setAside(ack)) this.told = this.received
    else this.owner.onOwesAck(this)
    this.owner.onWork(this)
  }

  /** The socket goes, the streams stay. */
  drop(): void {
    const { socket } = this
    if (socket === undefined) return
    this.socket = undefined
    this.outbox.unsend()
    this.blocked = false
    socket.destroy()
  }

  /** A new epoch of our stream, without what was in it. Only without a socket. */
  abandon(epoch: number, each: Parameters<Outbox['abandon']>[1]): void {
    this.outbox.abandon(epoch, each)
    this.topicsOut = undefined
    this.lastTopic = ''
    this.lastTopicNumber = undefined
  }

  onData(bytes: Uint8Array, from: number, to: number): number {
    const { socket } = this
    this.owner.onBatchBegin()
    try {
      const taken = this.takeFrames(bytes, from, to)
      if (this.socket === socket) {
        if (typeof taken === 'string') this.end(taken)
        else this.noteReceived()
      }
      return typeof taken === 'string' ? to - from : taken
    } finally {
      // Whatever was thrown above, others still get what was queued for them.
      this.owner.onBatch(this)
    }
  }

  onWritable(): void {
    this.flush()
    this.owner.onRoom(this)
  }

  onEnd(how: LaneEnd): void {
    this.end(how)
  }

  private end(how: LaneEnd | LaneFault): void {
    if (this.socket === undefined) return
    this.drop()
    this.owner.onSocketEnd(this, how)
  }

  private noteReceived(): void {
    const owed = this.received - this.told
    if (owed === 0) return
    if (owed >= DATA_LIMITS.ackEveryBytes) this.acknowledge()
    else this.owner.onOwesAck(this)
  }

  /** Whole frames of `bytes[from..to)`: how many bytes they had, or what is wrong with one. */
  private takeFrames(bytes: Uint8Array, from: number, to: number): number | LaneFault {
    const { socket, receiver } = this
    const offset = bytes.byteOffset
    const view = this.viewOf(bytes.buffer)
    let at = from
    while (to - at >= DATA_LENGTH_BYTES) {
      const length = view.getUint32(offset + at, true)
      if (length > FRAME_LENGTH_MAX) return 'frameTooLarge'
      if (length < DATA_HEADER_BYTES) return 'frameTooShort'
      const end = at + DATA_LENGTH_BYTES + length
      if (end > to) break
      const head = view.getUint32(offset + at + KIND_AT, true)
      if (((head >>> 16) & 0xff) !== this.number) return 'unexpectedFrame'
      const kind = head & 0xff
      if (this.isMuted && kind > ACK) {
        at = end
        continue
      }
      if (kind > TOPIC) {
        if (view.getUint32(offset + at + SEQUENCE_AT, true) !== this.expected || !this.greeted)
          return this.greeted ? 'sequenceGap' : 'unexpectedFrame'
        const topicNumber = view.getUint32(offset + at + TOPIC_AT, true)
        const topic = topicNumber === 0 ? undefined : this.topicsIn[topicNumber - 1]
        if (topicNumber !== 0 && topic === undefined) return 'badTopic'
        this.count(end - at)
        const correlation = view.getUint32(offset + at + CORRELATION_AT, true)
        receiver.onFrame(this, kind, (head >>> 8) & 0xff, topic, correlation, bytes, at + BODY_AT, end)
        // A handler may have closed this lane: the rest is not ours any more.
        if (this.socket !== socket) return to - from
      } else {
        const fault = this.takeOwn(kind, view, bytes, at, end)
        if (fault !== undefined) return fault
      }
      at = end
    }
    return at - from
  }

  private count(bytes: number): void {
    this.receivedFrames += 1
    this.received += bytes
    this.expected = (this.expected + 1) >>> 0
  }

  /** Frames that are the lane's own. */
  private takeOwn(
    kind: number,
    view: DataView,
    bytes: Uint8Array,
    at: number,
    end: number,
  ): LaneFault | undefined {
    const offset = bytes.byteOffset
    if (kind <= ACK) return this.takeAside(kind, view, offset + at + BODY_AT, offset + end)
    if (!this.greeted) return 'unexpectedFrame'
    if (view.getUint32(offset + at + SEQUENCE_AT, true) !== this.expected) return 'sequenceGap'
    this.count(end - at)
    const number = view.getUint32(offset + at + TOPIC_AT, true)
    return this.learnTopic(number, bytes, at + BODY_AT, end) ? undefined : 'badTopic'
  }

  private takeAside(kind: number, view: DataView, at: number, end: number): LaneFault | undefined {
    if (kind === RESUME && !this.greeted) {
      this.greeted = true
      this.owner.onGreeted(this)
      return this.takeResume(view, at, end)
    }
    if (kind !== ACK || !this.greeted) return 'unexpectedFrame'
    const ack = decodeAck(view, at, end)
    if (ack === undefined) return 'frameTooShort'
    if (!this.outbox.acknowledge(ack.received, ack.frames, this.socket?.hasUnwritten === false))
      return 'badPosition'
    this.owner.onAcknowledged(this)
    if (this.blocked) this.owner.onWork(this)
    this.owner.onRoom(this)
    return undefined
  }

  private takeResume(view: DataView, at: number, end: number): LaneFault | undefined {
    const resume = decodeResume(view, at, end)
    if (resume === undefined) return 'frameTooShort'
    if (resume.epoch === 0) return 'badPosition'
    const { outbox, inEpoch } = this
    const isAnew = inEpoch !== 0 && resume.epoch !== inEpoch
    if (resume.epoch !== inEpoch) this.beginPeerEpoch(resume.epoch)
    if (resume.seenEpoch === outbox.epoch) {
      // With a fresh stream that is already under way there is nothing to go back to.
      if (!this.streamAllowed && !outbox.restart(resume.received, resume.frames)) return 'badPosition'
    } else if (outbox.hasAcknowledged || (isAnew && !this.streamAllowed)) {
      // It took a part of what we have sent on earlier sockets, or may have: to send that again could be twice.
      this.owner.onForgotten(this)
      return undefined
    }
    this.streamAllowed = true
    this.owner.onWork(this)
    this.owner.onRoom(this)
    return undefined
  }

  private beginPeerEpoch(epoch: number): void {
    // Of a stream that nothing was taken of nothing is half received. It may only make room for what is sent anew.
    const isLoss = this.received > 0
    this.inEpoch = epoch
    this.received = 0
    this.receivedFrames = 0
    this.expected = 1
    this.told = 0
    this.topicsIn = []
    if (isLoss) this.owner.onPeerReset(this)
  }

  private learnTopic(number: number, bytes: Uint8Array, from: number, to: number): boolean {
    if (number !== this.topicsIn.length + 1 || number > DATA_LIMITS.topicsMax) return false
    if (to === from || to - from > DATA_LIMITS.topicBytesMax) return false
    try {
      const name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(from, to))
      this.topicsIn.push(this.owner.topicOf(name))
      return true
    } catch {
      return false
    }
  }

  private viewOf(buffer: ArrayBufferLike): DataView {
    if (buffer !== this.viewedBuffer) {
      this.viewedBuffer = buffer
      this.view = new DataView(buffer)
    }
    return this.view!
  }
}
