/**
 * One peer, as the messaging layer sees it: what is sent to it, what waits for its answers, what its messages start here.
 * It lives as long as its association.
 */
import { SkeinError } from '../errors.js'
import { Deadline } from '../transport/control/deadlines.js'
import type { Association, AssociationEnd } from '../transport/data/association.js'
import type { FrameReceiver, Lane } from '../transport/data/lane.js'
import type { UnackedFrame } from '../transport/data/outbox.js'
import type { DataLane } from '../transport/transport.js'
import { DATA_OVERHEAD_BYTES, DataKind, FailureCode } from '../wire/data-frame.js'
import { isBytes, isThenable, notBytes } from './bytes.js'
import { DeadLetterBox } from './dead-letters.js'
import {
  endError,
  failureBody,
  peerText,
  readFailure,
  remoteFailure,
  textOf,
  unreachableError,
} from './failures.js'
import { MESSAGING_LIMITS } from './limits.js'
import { InboundContext } from './message-context.js'
import type {
  BorrowedBytes,
  MessageStream,
  Peer,
  RequestOptions,
  Sender,
  SendOptions,
  StreamOptions,
} from './messaging.js'
import type { Office } from './office.js'
import { type PendingRequest, RequestTable } from './request-table.js'
import { StreamTable } from './streams.js'
import { checkTopic, type Topic } from './topics.js'
import { type Refusal, Transfers } from './transfers.js'

const { message: MESSAGE, request: REQUEST, response: RESPONSE, failure: FAILURE, cancel: CANCEL } = DataKind
const POISON = 0xdb
const NO_BYTES = new Uint8Array(0)

export class PeerLink implements Peer, FrameReceiver<Topic> {
  private readonly requests: RequestTable
  /** Requests of the peer that asynchronous handlers are busy with, by correlation. */
  private busyMade: Map<number, InboundContext> | undefined
  /** Asynchronous handlers that have not settled: also those whose request was given up. */
  private handling = 0
  private sweepMade: Deadline | undefined
  private transfersMade: Transfers | undefined
  private streamsMade: StreamTable | undefined
  private drainWaiters: (() => void)[] = []
  private letters: DeadLetterBox | undefined
  private lastContext: InboundContext | undefined
  private lastContextOf: Topic | undefined
  /** What handlers are told of the peer. */
  private known: Sender | undefined

  constructor(
    readonly office: Office,
    readonly association: Association<Topic, PeerLink>,
  ) {
    this.requests = new RequestTable(office.takeRequestOrigin())
  }

  /** What most peers never need is made on first use. */
  private get busy(): Map<number, InboundContext> {
    this.busyMade ??= new Map()
    return this.busyMade
  }

  private get sweep(): Deadline {
    this.sweepMade ??= new Deadline(() => this.sweepRequests())
    return this.sweepMade
  }

  get sender(): Sender {
    const { uid, nodeId, address } = this.association
    if (this.known?.uid !== uid || this.known.nodeId !== nodeId) this.known = { uid, nodeId, address }
    return this.known
  }

  get transfers(): Transfers {
    this.transfersMade ??= new Transfers(this)
    return this.transfersMade
  }

  get streams(): StreamTable {
    this.streamsMade ??= new StreamTable(this)
    return this.streamsMade
  }

  lane(name: DataLane): Lane<Topic> {
    return this.association.laneOf(name) ?? this.office.plane.lane(this.association, name)
  }

  /** Something was appended to a lane. */
  queued(lane: Lane<Topic>): void {
    this.office.plane.queued(this.association, lane)
  }

  // ---- out

  send(topic: string, bytes: Uint8Array, options?: SendOptions): boolean {
    this.refuseIfClosing('send')
    this.post(MESSAGE, topic, 0, bytes, options?.lane)
    this.office.counters.messagesOut += 1
    return !this.writableNeedDrain
  }

  request(topic: string, bytes: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.ask(topic, bytes, options, resolve, reject))
  }

  stream(topic: string, source?: AsyncIterable<Uint8Array>, options?: StreamOptions): MessageStream {
    this.refuseIfClosing('stream')
    checkTopic(topic)
    return this.streams.open(topic, source, options)
  }

  get writableNeedDrain(): boolean {
    const { highWaterBytes } = this.office.options
    const { ordinary } = this.association
    if (ordinary !== undefined && ordinary.outbox.unsentBytes > highWaterBytes) return true
    return this.transfersMade !== undefined && this.transfersMade.waitingBytes > highWaterBytes
  }

  drain(): Promise<void> {
    if (!this.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve) => this.drainWaiters.push(resolve))
  }

  /** Queues a message, request or response on the lane it belongs to, and returns which. Throws; then nothing was queued. */
  post(
    kind: number,
    topic: string,
    correlation: number,
    bytes: Uint8Array,
    wanted: DataLane | undefined,
  ): DataLane {
    this.refuseIfEnded('send')
    if (!isBytes(bytes)) throw notBytes(bytes, `what was to be sent to ${JSON.stringify(topic)}`)
    const { options } = this.office
    if (bytes.length > options.largeMessageBytes || wanted === 'large') {
      this.transfers.send(kind, topic, correlation, bytes)
      return 'large'
    }
    const lane = this.association.ordinary ?? this.lane('ordinary')
    const { outbox } = lane
    const full =
      outbox.unackedBytes + bytes.length + DATA_OVERHEAD_BYTES > options.outboxBytesMax ||
      outbox.unackedFrames >= options.outboxMessagesMax
    if (full) throw this.outboxFull(lane)
    outbox.append(kind, 0, this.numberOf(lane, topic), correlation, bytes, 0, bytes.length)
    this.office.plane.queued(this.association, lane)
    return 'ordinary'
  }

  /** Number of a topic on a lane. Throws for what is no topic, and for one topic too many. */
  numberOf(lane: Lane<Topic>, topic: string): number {
    const known = lane.knownTopic(topic)
    if (known !== undefined) return known
    checkTopic(topic)
    const number = lane.topicNumber(topic)
    if (number !== undefined) return number
    throw new SkeinError(
      'ERR_SKEIN_INVALID_OPTION',
      `${peerText(this.sender)} was sent the most topics there may be; ${JSON.stringify(topic)} was not sent. Topics are names of few things: put ids into the message`,
    )
  }

  outboxFull(lane: Lane<Topic>): SkeinError {
    this.office.counters.outboxFull += 1
    const { unackedBytes, unackedFrames } = lane.outbox
    return new SkeinError(
      'ERR_SKEIN_OUTBOX_FULL',
      `the ${lane.name} outbox to ${peerText(this.sender)} is full (${unackedBytes} bytes, ${unackedFrames} frames); nothing was queued. Await drain(), or send less`,
      { retryable: true },
    )
  }

  private ask(
    topic: string,
    bytes: Uint8Array,
    options: RequestOptions | undefined,
    resolve: (bytes: Uint8Array) => void,
    reject: (error: unknown) => void,
  ): void {
    this.refuseIfUnreachable()
    const { plane } = this.office
    const deadlineMs = plane.nowMs() + this.office.timeoutOf(options?.timeoutMs)
    const signal = options?.signal
    if (signal?.aborted === true) throw abortedError(topic)
    const pending: PendingRequest = {
      topic,
      deadlineMs,
      resolve,
      reject,
      signal,
      onAbort: undefined,
      isLarge: false,
    }
    const correlation = this.requests.add(pending)
    if (correlation === undefined) throw this.tooManyRequests()
    try {
      pending.isLarge = this.post(REQUEST, topic, correlation, bytes, options?.lane) === 'large'
    } catch (error) {
      this.requests.take(correlation)
      throw error
    }
    if (signal !== undefined) {
      pending.onAbort = () => this.giveUp(correlation, abortedError(topic))
      signal.addEventListener('abort', pending.onAbort, { once: true })
    }
    this.office.counters.requestsOut += 1
    if (deadlineMs < this.sweep.atMs) plane.set(this.sweep, deadlineMs)
  }

  private tooManyRequests(): SkeinError {
    return new SkeinError(
      'ERR_SKEIN_OUTBOX_FULL',
      `${MESSAGING_LIMITS.requestsInFlightMax} requests to ${peerText(this.sender)} wait for an answer; this one was not sent`,
      { retryable: true },
    )
  }

  private giveUp(correlation: number, error: SkeinError): void {
    const pending = this.requests.take(correlation)
    if (pending === undefined) return
    this.sayCancel(correlation, pending)
    pending.reject(error)
  }

  private sayCancel(correlation: number, { isLarge }: PendingRequest): void {
    if (isLarge === true) {
      this.transfers.cancel(correlation)
      return this.releaseIfLow()
    }
    const lane = this.association.ordinary
    if (lane !== undefined) this.writeCancel(lane, correlation)
  }

  /** Behind the request, on the same lane: it would mean nothing before it. */
  writeCancel(lane: Lane<Topic>, correlation: number): void {
    const { outboxBytesMax, largeOutboxBytesMax } = this.office.options
    const bytesMax = lane.name === 'large' ? largeOutboxBytesMax : outboxBytesMax
    const { unackedBytes } = lane.outbox
    // Not worth a connection that is not made for the request as well, nor more room than there is.
    if ((lane.socket === undefined && unackedBytes === 0) || unackedBytes > bytesMax) return
    lane.outbox.append(CANCEL, 0, 0, correlation, NO_BYTES, 0, 0)
    this.queued(lane)
  }

  private sweepRequests(): void {
    const nowMs = this.office.plane.nowMs()
    const earliest = this.requests.takeDue(nowMs, (correlation, pending) => {
      this.office.counters.requestsTimedOut += 1
      this.sayCancel(correlation, pending)
      pending.reject(
        new SkeinError(
          'ERR_SKEIN_TIMEOUT',
          `${peerText(this.sender)} has not answered ${JSON.stringify(pending.topic)} in time; it may have been handled`,
          { retryable: true },
        ),
      )
    })
    if (earliest === Number.POSITIVE_INFINITY) return
    this.office.plane.set(this.sweep, Math.max(earliest, nowMs + MESSAGING_LIMITS.sweepMs))
  }

  private refuseIfEnded(what: string): void {
    const { ended } = this.association
    if (ended !== undefined) throw endError(this.sender, ended, what)
  }

  /** Of what begins here; what was begun before `close` may still be answered. */
  private refuseIfClosing(what: string): void {
    this.refuseIfEnded(what)
    if (this.office.plane.isClosing) throw endError(this.sender, 'closed', what)
  }

  private refuseIfUnreachable(): void {
    this.refuseIfClosing('request')
    const { association } = this
    if (association.linked || association.gatedUntilMs === undefined || association.hasSocket) return
    const leftMs = Math.max(0, Math.round(association.gatedUntilMs - this.office.plane.nowMs()))
    throw unreachableError(
      this.sender,
      `dials to ${peerText(this.sender)} fail; the next follows in ${leftMs} ms`,
    )
  }

  // ---- in

  onFrame(
    lane: Lane<Topic>,
    kind: number,
    flags: number,
    topic: Topic | undefined,
    correlation: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    switch (kind) {
      case MESSAGE:
        return this.onMessage(lane.name, topic, bytes, from, to, true)
      case REQUEST:
        return this.onRequest(lane.name, topic, correlation, bytes, from, to, true)
      case RESPONSE:
        return this.onResponse(correlation, bytes, from, to)
      case FAILURE:
        return this.onFailure(correlation, bytes, from, to)
      case CANCEL:
        return this.onCancel(correlation)
      case DataKind.chunk:
        return this.onChunk(lane, flags, topic, correlation, bytes, from, to)
      default:
        return this.streams.onFrame(kind, flags, topic, correlation, bytes, from, to)
    }
  }

  /** `lent`: the bytes lie in a receive buffer, and go back to it when the handler returns. */
  private onMessage(
    lane: DataLane,
    named: Topic | undefined,
    bytes: Uint8Array,
    from: number,
    to: number,
    lent: boolean,
  ): void {
    const { office } = this
    office.counters.messagesIn += 1
    const handler = named?.handler ?? (named === undefined ? undefined : office.topics.current(named).handler)
    if (handler === undefined) return office.notTaken('noHandler', this.sender, named?.name ?? '', to - from)
    const view = office.views.view(bytes, from, to) as BorrowedBytes
    const context = this.contextOf(named!, lane)
    try {
      const result = handler(view, context)
      if (result !== undefined && isThenable(result))
        Promise.resolve(result).catch((error) => office.handlerFailed(error, context))
    } catch (error) {
      office.handlerFailed(error, context)
    }
    if (lent && office.options.debugPoison) view.fill(POISON)
  }

  /** Of messages there is nothing to tell apart but where they came by: those of one topic share it. */
  private contextOf(topic: Topic, lane: DataLane): InboundContext {
    const last = this.lastContext
    if (last !== undefined && this.lastContextOf === topic && last.lane === lane) return last
    const context = new InboundContext(this.sender, topic.name, lane, false)
    this.lastContext = context
    this.lastContextOf = topic
    return context
  }

  private onRequest(
    lane: DataLane,
    named: Topic | undefined,
    correlation: number,
    bytes: Uint8Array,
    from: number,
    to: number,
    lent: boolean,
  ): void {
    const { office } = this
    office.counters.requestsIn += 1
    if (this.busyMade?.has(correlation) === true) {
      // No answer could be told from that of the first.
      office.counters.requestsRepeated += 1
      return
    }
    const handler = named?.handler ?? (named === undefined ? undefined : office.topics.current(named).handler)
    if (handler === undefined) return this.fail(correlation, FailureCode.noHandler, '')
    if (this.handling >= MESSAGING_LIMITS.inboundRequestsMax)
      return this.fail(correlation, FailureCode.busy, 'too many requests of one peer are being handled')
    const view = office.views.view(bytes, from, to) as BorrowedBytes
    const topic = named!.name
    const context = new InboundContext(this.sender, topic, lane, true)
    try {
      const result = handler(view, context)
      if (result !== undefined && isThenable(result))
        this.answerLater(correlation, topic, context, Promise.resolve(result))
      else this.answer(correlation, topic, result ?? NO_BYTES)
    } catch (error) {
      office.handlerFailed(error, context)
      this.fail(correlation, FailureCode.remoteError, textOf(error))
    }
    if (lent && office.options.debugPoison) view.fill(POISON)
  }

  private answerLater(
    correlation: number,
    topic: string,
    context: InboundContext,
    result: Promise<Uint8Array | undefined | void>,
  ): void {
    this.busy.set(correlation, context)
    this.handling += 1
    const settled = () => {
      this.handling -= 1
      return this.busy.get(correlation) === context && this.busy.delete(correlation)
    }
    result.then(
      (bytes) => {
        if (settled()) this.answer(correlation, topic, bytes ?? NO_BYTES)
      },
      (error) => {
        const isWaitedFor = settled()
        this.office.handlerFailed(error, context)
        if (isWaitedFor) this.fail(correlation, FailureCode.remoteError, textOf(error))
      },
    )
  }

  private answer(correlation: number, topic: string, bytes: Uint8Array): void {
    if (this.association.ended !== undefined) return
    try {
      this.post(RESPONSE, topic, correlation, bytes, undefined)
    } catch (error) {
      // Too long, too many, or not bytes at all: the one who waits is told. It was handled, so this is not `busy`.
      this.fail(correlation, FailureCode.remoteError, `handled, but not answered: ${textOf(error)}`)
    }
  }

  /** Small, and sent though an outbox is full, so that nobody waits in vain; not to a peer that asks on and takes no answer. */
  private fail(correlation: number, code: FailureCode, why: string): void {
    if (this.association.ended !== undefined) return
    this.office.counters.requestsFailedIn += 1
    const lane = this.lane('ordinary')
    const { outboxMessagesMax, outboxBytesMax } = this.office.options
    const { unackedFrames, unackedBytes } = lane.outbox
    if (unackedFrames >= 2 * outboxMessagesMax || unackedBytes >= 2 * outboxBytesMax) return
    const body = failureBody(code, why)
    lane.outbox.append(FAILURE, 0, 0, correlation, body, 0, body.length)
    this.queued(lane)
  }

  private onResponse(correlation: number, bytes: Uint8Array, from: number, to: number): void {
    const pending = this.requests.take(correlation)
    if (pending === undefined) this.office.counters.answersLate += 1
    else pending.resolve(this.office.slab.copy(bytes, from, to))
  }

  private onFailure(correlation: number, bytes: Uint8Array, from: number, to: number): void {
    const pending = this.requests.take(correlation)
    if (pending === undefined) {
      this.office.counters.answersLate += 1
      return
    }
    const { code, text } = readFailure(bytes, from, to)
    pending.reject(remoteFailure(this.sender, pending.topic, code, text))
  }

  private onCancel(correlation: number): void {
    const context = this.busyMade?.get(correlation)
    if (context === undefined) return
    this.busy.delete(correlation)
    context.abort()
  }

  private onChunk(
    lane: Lane<Topic>,
    flags: number,
    topic: Topic | undefined,
    transfer: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    const whole = this.transfers.onChunk(flags, topic, transfer, bytes, from, to)
    if (whole === undefined) return
    const { length } = whole.bytes
    if (whole.kind === MESSAGE) this.onMessage(lane.name, whole.topic, whole.bytes, 0, length, false)
    else if (whole.kind === REQUEST)
      this.onRequest(lane.name, whole.topic, whole.correlation, whole.bytes, 0, length, false)
    else if (whole.kind === RESPONSE) this.onResponse(whole.correlation, whole.bytes, 0, length)
  }

  /** What came in parts and is not taken: whoever waits for it is told, and of a message this side. */
  onRefusedTransfer(
    kind: number,
    topic: Topic | undefined,
    correlation: number,
    bytes: number,
    { code, text }: Refusal,
  ): void {
    if (kind === MESSAGE) this.office.notTaken('refused', this.sender, topic?.name ?? '', bytes)
    if (kind === REQUEST) this.fail(correlation, code, text)
    if (kind !== RESPONSE) return
    const pending = this.requests.take(correlation)
    pending?.reject(
      new SkeinError(
        'ERR_SKEIN_REMOTE_ERROR',
        `${peerText(this.sender)} has handled ${JSON.stringify(pending.topic)}, but its answer was not taken: ${text}`,
        { retryable: code === FailureCode.busy },
      ),
    )
  }

  // ---- what happens to the association

  onRoom(lane: Lane<Topic>): void {
    if (lane.name === 'large') {
      this.transfersMade?.pump()
      this.streamsMade?.pump()
    }
    this.releaseIfLow()
  }

  private releaseIfLow(): void {
    if (this.drainWaiters.length === 0) return
    const { lowWaterBytes } = this.office.options
    if ((this.association.ordinary?.outbox.unsentBytes ?? 0) > lowWaterBytes) return
    if ((this.transfersMade?.waitingBytes ?? 0) > lowWaterBytes) return
    this.releaseDrain()
  }

  onPeerReset(lane: Lane<Topic>): void {
    if (lane.name === 'large') {
      this.transfersMade?.onPeerReset()
      this.streamsMade?.onPeerReset()
    }
    // Whatever it was busy with for us, it does not know any more.
    for (const context of this.busyMade?.values() ?? []) context.abort()
    this.busyMade?.clear()
    this.rejectAll((what) => endError(this.sender, 'peerReset', what))
  }

  onUnreachable(): void {
    this.rejectAll((what) => unreachableError(this.sender, `${what}: dials to ${peerText(this.sender)} fail`))
  }

  onUnacked(frame: UnackedFrame, topic: string, reason: AssociationEnd): void {
    // Requests are told by their promise, chunks and streams by their own.
    if (frame.kind !== MESSAGE) return
    this.deadLetters(reason).add(topic, frame.to - frame.from, frame.sent)
  }

  deadLetters(reason: AssociationEnd): DeadLetterBox {
    this.letters ??= new DeadLetterBox(this.office, this.sender, reason)
    return this.letters
  }

  /** The dead letters of one incident are complete. */
  closeLetters(): void {
    this.letters?.close()
    this.letters = undefined
  }

  /** Our stream on a lane starts over, without what was in it. */
  onAbandoned(lane: Lane<Topic>, reason: AssociationEnd): void {
    if (lane.name === 'large') {
      this.transfersMade?.onAbandoned(reason)
      this.streamsMade?.end(endError(this.sender, reason, 'stream'))
    }
    this.rejectAll((what) => endError(this.sender, reason, what))
    this.closeLetters()
    // Those of which nothing had left go with the new stream.
    if (this.association.ended === undefined && lane.name === 'large') this.transfersMade?.pump()
    this.releaseIfLow()
  }

  onEnded(reason: AssociationEnd): void {
    if (this.sweepMade !== undefined) this.office.plane.clear(this.sweepMade)
    this.transfersMade?.end(reason)
    this.streamsMade?.end(endError(this.sender, reason, 'stream'))
    for (const context of this.busyMade?.values() ?? []) context.abort()
    this.busyMade?.clear()
    this.rejectAll((what) => endError(this.sender, reason, what))
    this.releaseDrain()
    this.closeLetters()
  }

  private rejectAll(error: (what: string) => SkeinError): void {
    this.requests.takeAll((pending) => pending.reject(error(`request ${JSON.stringify(pending.topic)}`)))
  }

  private releaseDrain(): void {
    const waiters = this.drainWaiters
    this.drainWaiters = []
    for (const resolve of waiters) resolve()
  }
}

function abortedError(topic: string): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_ABORTED',
    `request ${JSON.stringify(topic)} was given up by its signal; it may have been handled`,
  )
}
