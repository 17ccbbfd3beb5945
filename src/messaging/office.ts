/**
 * What all peers of one node share: the pool of lanes, topics, counters, options, and where events go. It is the layer above the
 * data plane, and hands what comes from there to the peer it came from.
 */
import { SkeinError } from '../errors.js'
import type { Association, AssociationEnd } from '../transport/data/association.js'
import {
  DataPlane,
  type DataPlanePorts,
  type DataPlaneSink,
  type LaneDialler,
} from '../transport/data/data-plane.js'
import type { Lane, LaneFault } from '../transport/data/lane.js'
import type { UnackedFrame } from '../transport/data/outbox.js'
import type { DataLane } from '../transport/transport.js'
import { isBytes, notBytes } from './bytes.js'
import { timeoutCheck } from './check-options.js'
import type { DeadLetter, MessageContext, Sender } from './messaging.js'
import type { ResolvedMessagingOptions } from './options.js'
import { PeerLink } from './peer-link.js'
import { Slab } from './slab.js'
import { checkTopic, type Topic, TopicTable } from './topics.js'
import { ViewMaker } from './view-maker.js'

/** What the messaging layer tells of itself. */
export type MessagingEvent =
  | DeadLetter
  /** A handler threw. Whoever waits for an answer was told. */
  | { readonly type: 'handlerFailed'; readonly topic: string; readonly from: Sender; readonly error: unknown }
  /** A data lane was closed because of what came in on it; it is opened again when it is needed. */
  | {
      readonly type: 'laneRejected'
      readonly peer: Sender
      readonly lane: DataLane
      readonly reason: LaneFault
    }

/** Odd, and near 2^16 times the golden ratio: origins come close to an earlier one as late as can be. */
const REQUEST_ORIGIN_STEP = 40_503

export class Office implements DataPlaneSink<Topic, PeerLink> {
  readonly plane: DataPlane<Topic, PeerLink>
  readonly topics = new TopicTable()
  readonly slab = new Slab()
  readonly views = new ViewMaker()
  readonly counters = {
    messagesOut: 0,
    messagesIn: 0,
    requestsOut: 0,
    requestsIn: 0,
    requestsTimedOut: 0,
    requestsFailedIn: 0,
    requestsRepeated: 0,
    answersLate: 0,
    outboxFull: 0,
    deadLetters: 0,
    handlersFailed: 0,
    transfersRefused: 0,
    streamsOpened: 0,
    streamsReset: 0,
  }
  private lastStreamId = 0
  private lastRequestOrigin = 0

  constructor(
    readonly options: ResolvedMessagingOptions,
    ports: DataPlanePorts,
    transport: LaneDialler,
    private readonly emit: (event: MessagingEvent) => void,
  ) {
    this.plane = new DataPlane(options, ports, transport, this)
    for (const [topic, handler] of Object.entries(options.handlers)) this.topics.handle(topic, handler)
  }

  /** Throws for what no peer could be sent. */
  checkMessage(topic: string, bytes: Uint8Array): void {
    checkTopic(topic)
    if (!isBytes(bytes)) throw notBytes(bytes, `what was to be sent to ${JSON.stringify(topic)}`)
    this.checkLength(bytes.length)
  }

  checkLength(bytes: number): void {
    const { messageBytesMax } = this.options
    if (bytes <= messageBytesMax) return
    throw new SkeinError(
      'ERR_SKEIN_FRAME_TOO_LARGE',
      `a message of ${bytes} bytes is longer than messageBytesMax (${messageBytesMax}); nothing was sent. Use a stream`,
    )
  }

  /** Milliseconds of a request's `timeoutMs`, checked. */
  timeoutOf(timeoutMs: number | undefined): number {
    return timeoutMs === undefined ? this.options.requestTimeoutMs : timeoutCheck(timeoutMs, 'timeoutMs')
  }

  /**
   * Number of a new stream: not used again for 2^32 streams, whoever they go to, since an association that begins anew
   * may yet hear of those of its predecessor.
   */
  takeStreamId(): number {
    this.lastStreamId = this.lastStreamId === 0xffff_ffff ? 1 : this.lastStreamId + 1
    return this.lastStreamId
  }

  /** For the requests to one association, far from those of the one before; see `RequestTable`. */
  takeRequestOrigin(): number {
    this.lastRequestOrigin = (this.lastRequestOrigin + REQUEST_ORIGIN_STEP) >>> 0
    return this.lastRequestOrigin
  }

  deadLetter(letter: DeadLetter): void {
    this.counters.deadLetters += letter.count
    this.emit(letter)
  }

  /** A message that came, and that nobody here gets. */
  notTaken(reason: 'noHandler' | 'refused', peer: Sender, topic: string, bytes: number): void {
    this.deadLetter({ type: 'deadLetter', reason, peer, topic, bytes, count: 1, maybeDelivered: false })
  }

  handlerFailed(error: unknown, context: MessageContext): void {
    this.counters.handlersFailed += 1
    this.emit({ type: 'handlerFailed', topic: context.topic, from: context.from, error })
  }

  // ---- the data plane's sink

  topicOf(name: string): Topic {
    return this.topics.named(name)
  }

  clientOf(association: Association<Topic, PeerLink>): PeerLink {
    return new PeerLink(this, association)
  }

  onRoom(association: Association<Topic, PeerLink>, lane: Lane<Topic>): void {
    association.client.onRoom(lane)
  }

  onPeerReset(association: Association<Topic, PeerLink>, lane: Lane<Topic>): void {
    association.client.onPeerReset(lane)
  }

  onUnreachable(association: Association<Topic, PeerLink>): void {
    association.client.onUnreachable()
  }

  onUnacked(
    association: Association<Topic, PeerLink>,
    _lane: Lane<Topic>,
    frame: UnackedFrame,
    topic: string,
    reason: AssociationEnd,
  ): void {
    association.client.onUnacked(frame, topic, reason)
  }

  onAbandoned(association: Association<Topic, PeerLink>, lane: Lane<Topic>, reason: AssociationEnd): void {
    association.client.onAbandoned(lane, reason)
  }

  onEnded(association: Association<Topic, PeerLink>, reason: AssociationEnd): void {
    association.client.onEnded(reason)
  }

  onFault(association: Association<Topic, PeerLink>, lane: Lane<Topic>, reason: LaneFault): void {
    this.emit({ type: 'laneRejected', peer: association.client.sender, lane: lane.name, reason })
  }

  /** Of this layer and of the lanes below it; monotonic. */
  allCounters(): Record<string, number> {
    return { ...this.counters, ...this.plane.counters }
  }

  /** Sends what is queued, for at most `timeoutMs`; what is left then is given up. */
  close(
    schedule: (delayMs: number, task: () => void) => { cancel(): void },
    timeoutMs: number,
  ): Promise<void> {
    return new Promise((resolve) => {
      const timer = schedule(timeoutMs, () => this.plane.stop())
      this.plane.close(() => {
        timer.cancel()
        resolve()
      })
    })
  }
}
