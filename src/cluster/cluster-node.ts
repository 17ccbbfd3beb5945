/**
 * One node: a transport, a machine, a driver between them, and what users hold on to. Its life is
 * starting -> joining -> member -> ending -> closed; whatever ends it closes the transport exactly once.
 */
import type { Address, UniqueAddress } from '../core/address.js'
import type { ClusterEvent, ClusterState, Member, Message, TerminationReason } from '../core/model.js'
import { SkeinError } from '../errors.js'
import { MESSAGING_LIMITS } from '../messaging/limits.js'
import { LiveOffice } from '../messaging/live-office.js'
import { Messenger } from '../messaging/messenger.js'
import type { MessagingEvent, Office } from '../messaging/office.js'
import type { PeerLink } from '../messaging/peer-link.js'
import type { Router } from '../messaging/routing/router.js'
import type { RouterOptions } from '../messaging/routing/router-options.js'
import { integer } from '../options/checks.js'
import { InvalidOptionError } from '../options/invalid-option.js'
import type { ShellClock } from '../transport/clock.js'
import type {
  PeerStatus,
  TlsOptions,
  Transport,
  TransportCounters,
  TransportEvent,
} from '../transport/transport.js'
import type { BroadcastOptions, Cluster, EventsOptions, LeaveOptions } from './cluster.js'
import { SHELL_LIMITS } from './defaults.js'
import { Deferred } from './deferred.js'
import { type DrivenMachine, Driver, type MessageCodec } from './driver.js'
import { EventHub } from './event-hub.js'
import { blockersText, nodeText } from './event-text.js'
import type { Closed, EventOf, ShellEvent, ShellEventType, StreamItem } from './events.js'
import { JoinDiary, joinAborted, joinFailure } from './join-failure.js'
import { LinkWishes } from './link-wishes.js'
import { findMember, type NodeReference } from './member-lookup.js'
import { MemberMessaging } from './member-messaging.js'
import type { ResolvedOptions } from './options.js'

/** What a node is made of; tests hand in their own clock, machine or codec. */
export interface NodeParts {
  readonly clock: ShellClock
  readonly codec: MessageCodec
  readonly transport: Transport
  /** Runs a task when the turn's own code has run, its promises included. */
  readonly defer: (run: () => void) => void
  readonly random: () => number
  makeMachine(self: UniqueAddress, seeds: readonly Address[]): DrivenMachine
}

export interface NodeIdentity {
  readonly nodeId: string
  readonly uid: string
}

const bufferMaxCheck = integer(1, SHELL_LIMITS.eventsBufferCeiling)
const leaveTimeoutCheck = integer(1, SHELL_LIMITS.timerDelayMaxMs)

export class ClusterNode extends Messenger<NodeReference> implements Cluster {
  readonly #options: ResolvedOptions
  readonly #identity: NodeIdentity
  readonly #parts: NodeParts
  readonly #hub: EventHub
  readonly #wishes: LinkWishes
  readonly #live: LiveOffice
  readonly #office: Office
  readonly #members: MemberMessaging
  /** Settles once: up, refused, timed out, aborted or closed. */
  readonly #admission = new Deferred<void>()
  readonly #closed = new Deferred<Closed>()
  /** Undefined until the listener is bound: only then is the own address known, and the machine must know it. */
  #driver: Driver | undefined
  #machine: DrivenMachine | undefined
  /** Kept while joining, for the message of a failure. */
  #diary: JoinDiary | undefined
  #address: Address | undefined
  /** True from the first time this node was up or weakly up. */
  #member = false
  /** Set once, by whatever ends this node first; nothing goes in or out from then on. */
  #ending: Closed | undefined
  #skipLinger: (() => void) | undefined
  #joinTimer: { cancel(): void } | undefined
  /** The transport is not asked for anything once it closes. */
  #finalCounters: TransportCounters | undefined
  /** Between binding and the machine's start, one turn of the promise queue. */
  #early: TransportEvent[] = []

  constructor(options: ResolvedOptions, identity: NodeIdentity, parts: NodeParts) {
    super()
    this.#options = options
    this.#identity = identity
    this.#parts = parts
    this.#hub = new EventHub({ cluster: options.name, ...identity, logger: options.logger })
    this.#wishes = new LinkWishes(parts.transport)
    const lanes = this.#wishes.layer()
    const dialler = {
      ...lanes,
      openLane: (...lane: Parameters<Transport['openLane']>) => parts.transport.openLane(...lane),
    }
    const { clock, defer, random } = parts
    const emit = (event: MessagingEvent) => this.#hub.publish(event)
    this.#live = new LiveOffice(options.messaging, { clock, defer, random }, dialler, emit)
    this.#office = this.#live.office
    this.#members = new MemberMessaging(this.#office, identity.uid, () => this.state, random)
    this.serve(this.#office.topics, (to) => this.#linkTo(to))
    // Whoever joins awaits it; a failure before that must not count as unhandled.
    this.#admission.promise.catch(() => {})
  }

  /** Starts, and resolves once this node is up or weakly up. Rejects when that cannot be, and is closed by then. */
  async join(fallbackReason?: string): Promise<void> {
    const { signal, logger } = this.#options
    const onAbort = () => this.#admission.reject(joinAborted(this.#identity.nodeId, signal?.reason))
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
    try {
      if (fallbackReason !== undefined)
        logger.warn({ ...this.#identity }, `native transport: ${fallbackReason}`)
      if (signal?.aborted !== true) await this.#start()
      await this.#admission.promise
    } catch (error) {
      this.#retreat()
      await this.closed
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#joinTimer?.cancel()
    }
    if (fallbackReason === undefined) return
    // A task later, so that a listener added as soon as the join resolves hears of it.
    setImmediate(() => {
      this.#hub.publish({ type: 'transportFallback', from: 'native', to: 'net', reason: fallbackReason })
    })
  }

  get self(): Member {
    return this.state.self
  }

  get state(): ClusterState {
    if (this.#machine === undefined) throw new Error('the state of a node is read only after it has started')
    return this.#machine.state()
  }

  get closed(): Promise<Closed> {
    return this.#closed.promise
  }

  events(options: EventsOptions = {}): AsyncIterableIterator<StreamItem, undefined> {
    const bufferMax = bufferMaxCheck(options.bufferMax ?? SHELL_LIMITS.eventsBufferMax, 'bufferMax')
    return this.#hub.open(bufferMax, () => this.state)
  }

  on<T extends ShellEventType>(type: T, listener: (event: EventOf<T>) => void): this {
    this.#hub.on(type, listener)
    return this
  }

  once<T extends ShellEventType>(type: T, listener: (event: EventOf<T>) => void): this {
    this.#hub.once(type, listener)
    return this
  }

  off<T extends ShellEventType>(type: T, listener: (event: EventOf<T>) => void): this {
    this.#hub.off(type, listener)
    return this
  }

  down(node: NodeReference): void {
    this.#refuseIfEnded()
    const { uid } = findMember(this.state.members, node)
    this.#driver?.submit([{ type: 'down', uid }])
  }

  async leave(first?: NodeReference | LeaveOptions, second: LeaveOptions = {}): Promise<void> {
    const named = typeof first === 'string' || (first !== undefined && 'uid' in first)
    const options = named ? second : (first ?? {})
    const timeoutMs = leaveTimeoutCheck(options.timeoutMs ?? SHELL_LIMITS.leaveTimeoutMs, 'timeoutMs')
    if (this.#ending !== undefined && !named) return this.#awaitOwnRemoval(timeoutMs)
    this.#refuseIfEnded()
    const subject = named ? findMember(this.state.members, first) : this.self
    const removed = subject.uid === this.#identity.uid ? undefined : this.#awaitRemoval(subject, timeoutMs)
    this.#driver?.submit([{ type: 'leave', uid: subject.uid }])
    return removed ?? this.#awaitOwnRemoval(timeoutMs)
  }

  async close(): Promise<void> {
    this.#end({ reason: 'closed', detail: '' }, 0)
    this.#skipLinger?.()
    await this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  broadcast(topic: string, bytes: Uint8Array, options: BroadcastOptions = {}): number {
    this.#refuseIfEnded()
    return this.#members.broadcast(topic, bytes, options)
  }

  router(role: string, options: RouterOptions = {}): Router {
    this.#refuseIfEnded()
    return this.#members.router(role, options)
  }

  setTls(tls: TlsOptions): void {
    const { transport } = this.#parts
    if (transport.setTls === undefined)
      throw new InvalidOptionError('tls', '(not shown)', "nothing: only transport 'net' speaks TLS")
    transport.setTls(tls)
  }

  peers(): readonly PeerStatus[] {
    return this.#finalCounters === undefined ? this.#parts.transport.peers() : []
  }

  counters(): Readonly<Record<string, number>> {
    const transport = this.#finalCounters ?? this.#parts.transport.counters()
    const messaging = this.#office.allCounters()
    return { ...transport, ...messaging, ...this.#hub.counters(), ...this.#driver?.counters() }
  }

  /** Binds, then makes the machine and lets it join. What peers said in between is handled in order. */
  async #start(): Promise<void> {
    const { transport, clock, codec } = this.#parts
    const address = await transport.start((batch) => this.#receive(batch))
    // Given up or closed while it was binding: the caller closes the transport.
    if (this.#options.signal?.aborted === true || this.#ending !== undefined) return
    const self = { ...this.#identity, address }
    this.#live.introduce({ ...self, bind: address })
    const seeds = this.#options.seeds ?? [address]
    this.#address = address
    this.#diary = new JoinDiary(seeds)
    this.#machine = this.#parts.makeMachine(self, seeds)
    this.#driver = new Driver(this.#machine, transport, this.#wishes.layer(), codec, clock, {
      batch: (apply) => this.#batch(apply),
      publish: (event) => this.#publish(event),
      terminated: (reason, detail) => this.#terminated(reason, detail),
      crashed: (error) => this.#crashed(error),
      sendFault: (error, message) => this.#sendFault(error, message),
      malformed: (from, detail) =>
        this.#options.logger.warn({ ...self, from }, `malformed message: ${detail}`),
    })
    this.#hub.publish({ type: 'listening', self, transport: transport.kind })
    this.#joinTimer = clock.schedule(this.#options.joinTimeoutMs, () => {
      // The machine's own bound ends with admission; a newcomer may then still wait for the others to converge.
      this.#admission.reject(this.#joinFailure('joinTimeout', ''))
    })
    this.#driver.submit([{ type: 'join' }])
    const early = this.#early
    this.#early = []
    this.#receive(early)
  }

  /** The transport's sink. What only concerns operators is told before the machine draws its conclusions. */
  #receive(batch: readonly TransportEvent[]): void {
    if (this.#driver === undefined) {
      if (this.#ending === undefined) this.#early.push(...batch)
      else destroyLanes(batch)
      return
    }
    for (const event of batch) {
      // To the end: a lane socket that nobody takes stays open, and with it the process.
      this.#office.plane.onTransportEvent(event)
      if (this.#ending !== undefined) continue
      if (!this.#member) this.#diary?.note(event)
      const told = shellEventOf(event)
      if (told !== undefined) this.#hub.publish(told)
    }
    if (this.#ending === undefined) this.#driver.receive(batch)
  }

  /** Ends a join that failed. Whoever was let in already says that it is gone, so that nobody waits for it. */
  #retreat(): void {
    const { uid } = this.#identity
    if (this.#machine?.state().members.some((m) => m.uid === uid) === true) {
      this.#driver?.submit([{ type: 'down', uid }])
    }
    this.#end({ reason: 'closed', detail: '' }, 0)
  }

  /** Publishes one batch, then looks whether this node has become a member by it. */
  #batch(apply: () => void): void {
    this.#hub.batch(apply, () => this.state)
    if (this.#member || this.#ending !== undefined) return
    const { status } = this.self
    if (status === 'joining') return
    this.#member = true
    this.#diary = undefined
    this.#admission.resolve()
  }

  #publish(event: ClusterEvent): void {
    this.#members.onClusterEvent(event)
    this.#hub.publish(event)
  }

  /** The machine has spoken its last; what it sent before must still reach its neighbours. */
  #terminated(reason: TerminationReason, detail: string): void {
    if (!this.#member) this.#admission.reject(this.#joinFailure(reason, detail))
    const lastWords = reason === 'left' || reason === 'downed'
    this.#end({ reason, detail }, lastWords ? SHELL_LIMITS.lingerMs : 0)
  }

  #joinFailure(reason: TerminationReason, detail: string): SkeinError {
    const { name: cluster, joinTimeoutMs } = this.#options
    const address = this.#address ?? this.#options.advertise
    const diary = this.#diary ?? new JoinDiary([])
    const blockers = this.#machine?.state().blockers ?? []
    return joinFailure(
      { cluster, ...this.#identity, address, joinTimeoutMs, diary, blockers },
      reason,
      detail,
    )
  }

  /** Fail-stop: a node that no longer knows its own state must be seen as unreachable, not as wrong. */
  #crashed(error: unknown): void {
    this.#options.logger.error({ ...this.#identity, error }, 'an invariant of this node broke; it closes')
    this.#admission.reject(error)
    this.#end({ reason: 'closed', detail: `internal fault: ${String(error)}` }, 0)
    setImmediate(() => {
      throw error
    })
  }

  /** Bounds make this unreachable; the machine is told that the send failed and goes on. */
  #sendFault(error: unknown, message: Message): void {
    this.#options.logger.error({ ...this.#identity, error }, `a ${message.type} message could not be sent`)
  }

  /** Idempotent: the first reason stands. */
  #end(closed: Closed, lingerMs: number): void {
    if (this.#ending !== undefined) return
    this.#ending = closed
    this.#driver?.stop()
    // Only a join that is still under way hears of it.
    this.#admission.reject(this.#closedError())
    destroyLanes(this.#early)
    this.#early = []
    void this.#finish(closed, lingerMs)
  }

  async #finish(closed: Closed, lingerMs: number): Promise<void> {
    if (lingerMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#parts.clock.schedule(lingerMs, resolve)
        this.#skipLinger = () => {
          timer.cancel()
          resolve()
        }
      })
    }
    await this.#office.close(
      (delayMs, task) => this.#parts.clock.schedule(delayMs, task),
      MESSAGING_LIMITS.closeTimeoutMs,
    )
    try {
      this.#finalCounters = this.#parts.transport.counters()
      await this.#parts.transport.close()
    } catch (error) {
      this.#options.logger.error({ ...this.#identity, error }, 'the transport did not close cleanly')
    }
    this.#hub.publish({ type: 'closed', ...closed })
    this.#hub.end()
    this.#closed.resolve(closed)
  }

  #linkTo(to: NodeReference): PeerLink {
    if (this.#ending !== undefined) throw this.#closedError()
    return this.#members.linkTo(to)
  }

  #refuseIfEnded(): void {
    if (this.#ending !== undefined) throw this.#closedError()
  }

  #closedError(): SkeinError {
    const { reason, detail } = this.#ending ?? { reason: 'closed', detail: '' }
    const why = detail === '' ? reason : `${reason}, ${detail}`
    return new SkeinError(
      'ERR_SKEIN_CLOSED',
      `node ${this.#identity.nodeId} is closed (${why}); nothing changed`,
    )
  }

  async #awaitOwnRemoval(timeoutMs: number): Promise<void> {
    const before = this.#ending
    const closed = await this.#within(this.closed, timeoutMs, this.#identity.nodeId)
    if (before !== undefined || closed.reason === 'left') return
    const why = closed.detail === '' ? closed.reason : `${closed.reason}, ${closed.detail}`
    throw new SkeinError('ERR_SKEIN_CLOSED', `node ${this.#identity.nodeId} ended before it had left: ${why}`)
  }

  async #awaitRemoval(subject: Member, timeoutMs: number): Promise<void> {
    const removal = new Deferred<void>()
    const onRemoved = (event: EventOf<'memberRemoved'>) => {
      if (event.member.uid === subject.uid) removal.resolve()
    }
    const onClosed = (event: EventOf<'closed'>) =>
      removal.reject(
        new SkeinError(
          'ERR_SKEIN_CLOSED',
          `this node closed (${event.reason}) before ${nodeText(subject)} left`,
        ),
      )
    this.#hub.on('memberRemoved', onRemoved)
    this.#hub.on('closed', onClosed)
    try {
      await this.#within(removal.promise, timeoutMs, nodeText(subject))
    } finally {
      this.#hub.off('memberRemoved', onRemoved)
      this.#hub.off('closed', onClosed)
    }
  }

  /** A removal may wait for others for ever, so every wait for one has an end that says whom it waits for. */
  async #within<T>(promise: Promise<T>, timeoutMs: number, who: string): Promise<T> {
    const late = new Deferred<never>()
    const timer = this.#parts.clock.schedule(timeoutMs, () => {
      const { blockers } = this.state
      const why = blockers.length === 0 ? '' : ` Convergence waits: ${blockersText(blockers)}.`
      late.reject(
        new SkeinError(
          'ERR_SKEIN_LEAVE_TIMEOUT',
          `${who} has not been removed within ${timeoutMs} ms and is still leaving.${why} Wait for it, or close()`,
          { retryable: true },
        ),
      )
    })
    try {
      return await Promise.race([promise, late.promise])
    } finally {
      timer.cancel()
    }
  }
}

/** Of events that nobody is told of. */
function destroyLanes(events: readonly TransportEvent[]): void {
  for (const event of events) if (event.type === 'laneOpened') event.socket.destroy()
}

/** What operators are told of the transport itself; the rest is the machine's to judge. */
function shellEventOf(event: TransportEvent): ShellEvent | undefined {
  if (event.type === 'gated' || event.type === 'refused') return event
  if (event.type === 'badInput')
    return { type: 'connectionRejected', remote: event.remote, reason: event.reason }
  return undefined
}
