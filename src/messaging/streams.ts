/**
 * Streams of chunks, to and from one peer, on the large lane. A stream's number is its opener's; numbers are not used again
 * by a node, so that what is still under way for a stream that is over is recognised and passed over.
 */
import { SkeinError } from '../errors.js'
import type { Lane } from '../transport/data/lane.js'
import { DATA_LIMITS } from '../transport/limits.js'
import { CREDIT_BYTES, DataFlag, DataKind, FailureCode } from '../wire/data-frame.js'
import { endError, failureBody, peerText, readFailure } from './failures.js'
import { MESSAGING_LIMITS } from './limits.js'
import type { MessageContext, MessageStream, Sender, StreamOptions } from './messaging.js'
import type { PeerLink } from './peer-link.js'
import { AcceptedStream, abortedError, isAsyncIterable, OpenedStream, type Stream } from './stream.js'
import type { Topic } from './topics.js'

const NO_BYTES = new Uint8Array(0)
/** Chunks wait with their sources rather than in the outbox: beside other traffic, so much is handed over at a time. */
const LANE_BYTES = 4 * DATA_LIMITS.frameBodyBytesMax

/** What a frame of a stream says of where it belongs. */
type StreamName = Pick<Stream, 'id' | 'isOpener'>

export class StreamTable {
  private readonly opened = new Map<number, OpenedStream>()
  private readonly accepted = new Map<number, AcceptedStream>()
  /** Those that have credit, each for one frame in turn. */
  private ready: Stream[] = []
  /** Ours in the outbox since all before had left it: up to where, and how much. */
  private roundEnd = 0
  private roundBytes = 0

  constructor(private readonly link: PeerLink) {}

  get peer(): Sender {
    return this.link.sender
  }

  /** Throws; then nothing was opened. */
  open(
    topic: string,
    source: AsyncIterable<Uint8Array> | undefined,
    options: StreamOptions | undefined,
  ): MessageStream {
    if (source !== undefined && !isAsyncIterable(source)) throw noSource(topic)
    const signal = options?.signal
    if (signal?.aborted === true) throw abortedError(topic, 'by its signal before it was opened')
    if (this.size >= MESSAGING_LIMITS.streamsMax) throw this.tooMany()
    const { lane } = this
    if (this.isFull(lane)) throw this.link.outboxFull(lane)
    const number = this.link.numberOf(lane, topic)
    const stream = new OpenedStream(this, this.link.office.takeStreamId(), topic)
    this.opened.set(stream.id, stream)
    this.noteOpened()
    this.writeCredit(stream, DataKind.streamOpen, MESSAGING_LIMITS.streamWindowBytes, number)
    stream.start(source, signal)
    return stream
  }

  onFrame(
    kind: number,
    flags: number,
    topic: Topic | undefined,
    correlation: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    const isOpener = (flags & DataFlag.fromOpener) === 0
    if (kind === DataKind.streamOpen) {
      if (!isOpener) this.onOpen(topic, correlation, bytes, from, to)
      return
    }
    const stream = isOpener ? this.opened.get(correlation) : this.accepted.get(correlation)
    // Sent before its sender knew that the stream is over.
    if (stream === undefined) return
    switch (kind) {
      case DataKind.streamData:
        return stream.onData(bytes, from, to)
      case DataKind.streamEnd:
        return stream.onEnd()
      case DataKind.streamAccept:
      case DataKind.streamCredit:
        return onCreditFrame(stream, kind, bytes, from, to)
      case DataKind.streamReset: {
        const { code, text } = readFailure(bytes, from, to)
        return stream.onReset(code, text)
      }
    }
  }

  /** The large lane may have room: one frame of each stream that waits, in turn. */
  pump(): void {
    const { lane } = this
    while (this.ready.length > 0 && this.hasRoom(lane)) {
      const stream = this.ready.shift()!
      stream.outgoing.isQueued = false
      if (stream.isOver) continue
      stream.outgoing.step()
      this.enqueue(stream)
    }
  }

  /** The peer's stream of frames started over. It may yet receive what we have sent, so it is told. */
  onPeerReset(): void {
    const error = endError(this.peer, 'peerReset', 'stream')
    for (const stream of this.all()) stream.breakOff({ error, code: FailureCode.closed })
  }

  end(error: Error): void {
    this.roundEnd = 0
    this.roundBytes = 0
    for (const stream of this.all()) stream.breakOff({ error })
  }

  // ---- for its streams

  schedule(stream: Stream): void {
    this.enqueue(stream)
    this.pump()
  }

  accept(stream: Stream): void {
    this.writeCredit(stream, DataKind.streamAccept, MESSAGING_LIMITS.streamWindowBytes)
  }

  forget(stream: Stream): void {
    if (stream.isOpener) this.opened.delete(stream.id)
    else this.accepted.delete(stream.id)
    this.noteHeld()
  }

  noteReset(): void {
    this.link.office.counters.streamsReset += 1
  }

  handlerFailed(error: unknown, context: MessageContext): void {
    this.link.office.handlerFailed(error, context)
  }

  writeData(stream: StreamName, bytes: Uint8Array, from: number, to: number): void {
    this.write(stream, DataKind.streamData, bytes, from, to)
    const { outbox } = this.lane
    this.roundBytes += to - from
    this.roundEnd = outbox.endPosition
  }

  writeEnd(stream: StreamName): void {
    this.write(stream, DataKind.streamEnd, NO_BYTES, 0, 0)
  }

  writeReset(stream: StreamName, code: FailureCode, text: string): void {
    const body = failureBody(code, text)
    this.write(stream, DataKind.streamReset, body, 0, body.length)
  }

  writeCredit(stream: StreamName, kind: DataKind, bytes: number, topic = 0): void {
    const body = new Uint8Array(CREDIT_BYTES)
    new DataView(body.buffer).setUint32(0, bytes, true)
    this.write(stream, kind, body, 0, CREDIT_BYTES, topic)
  }

  private get lane(): Lane<Topic> {
    return this.link.lane('large')
  }

  private get size(): number {
    return this.opened.size + this.accepted.size
  }

  private all(): Stream[] {
    return [...this.opened.values(), ...this.accepted.values()]
  }

  private write(
    stream: StreamName,
    kind: DataKind,
    body: Uint8Array,
    from: number,
    to: number,
    topic = 0,
  ): void {
    const { lane } = this
    const flags = stream.isOpener ? DataFlag.fromOpener : 0
    lane.outbox.append(kind, flags, topic, stream.id, body, from, to)
    this.link.queued(lane)
  }

  private onOpen(topic: Topic | undefined, id: number, bytes: Uint8Array, from: number, to: number): void {
    const known = this.accepted.get(id)
    if (known !== undefined) return known.breach('a second opening')
    const handler = topic?.streamHandler ?? (topic && this.link.office.topics.current(topic).streamHandler)
    const windowBytes = readCredit(bytes, from, to)
    if (handler === undefined) return this.refuse(id, FailureCode.noHandler, '')
    if (windowBytes === undefined) return this.refuse(id, FailureCode.remoteError, 'the opening is too short')
    // Even an acceptance is a frame. A peer that takes none gets none, and opens nothing.
    if (this.isFull(this.lane)) return this.noteReset()
    if (this.size >= MESSAGING_LIMITS.streamsMax)
      return this.refuse(id, FailureCode.busy, `there are ${this.size} streams with one peer`)
    const stream = new AcceptedStream(this, id, topic!.name)
    this.accepted.set(id, stream)
    this.noteOpened()
    stream.outgoing.open(windowBytes)
    stream.start(handler)
  }

  private refuse(id: number, code: FailureCode, text: string): void {
    this.noteReset()
    // A peer that opens and opens, and takes no answer, gets none.
    if (!this.isFull(this.lane)) this.writeReset({ id, isOpener: false }, code, text)
  }

  private enqueue(stream: Stream): void {
    const { outgoing } = stream
    if (outgoing.isQueued || !outgoing.isReady) return
    outgoing.isQueued = true
    this.ready.push(stream)
  }

  private noteOpened(): void {
    this.link.office.counters.streamsOpened += 1
    this.noteHeld()
  }

  /** Even while nothing is under way a stream needs its peer to be there. */
  private noteHeld(): void {
    this.lane.held = this.size
  }

  private hasRoom(lane: Lane<Topic>): boolean {
    const { endPosition, unsentBytes } = lane.outbox
    if (endPosition - unsentBytes >= this.roundEnd) this.roundBytes = 0
    return this.roundBytes < LANE_BYTES
  }

  private isFull(lane: Lane<Topic>): boolean {
    const { outboxMessagesMax, largeOutboxBytesMax } = this.link.office.options
    const { unackedFrames, unackedBytes } = lane.outbox
    return unackedFrames >= outboxMessagesMax || unackedBytes >= largeOutboxBytesMax
  }

  private tooMany(): SkeinError {
    return new SkeinError(
      'ERR_SKEIN_OUTBOX_FULL',
      `there are ${this.size} streams with ${peerText(this.peer)}, the most there may be; this one was not opened. Wait for one to end`,
      { retryable: true },
    )
  }
}

function onCreditFrame(stream: Stream, kind: DataKind, bytes: Uint8Array, from: number, to: number): void {
  const credit = readCredit(bytes, from, to)
  if (credit === undefined) return stream.breach('a credit that is too short')
  if (kind === DataKind.streamCredit) return stream.onCredit(credit)
  if (stream instanceof OpenedStream) stream.onAccept(credit)
  else stream.breach('an acceptance of a stream of its own')
}

function readCredit(bytes: Uint8Array, from: number, to: number): number | undefined {
  if (to - from < CREDIT_BYTES) return undefined
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(from, true)
}

function noSource(topic: string): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `the source of stream ${JSON.stringify(topic)} is not an AsyncIterable; nothing was opened`,
  )
}
