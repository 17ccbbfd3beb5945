/**
 * Drives the machine: transport events and commands in, effects out, one timer. It decides nothing.
 *
 * The machine is never re-entered: what arrives while effects are applied (a command from a listener, a send
 * that failed) waits for the next turn of the loop. Effects are applied in the order in which they were given.
 */
import type { Effect, Input } from '../core/machine-io.js'
import type { ClusterEvent, ClusterState, DropReason, Message, TerminationReason } from '../core/model.js'
import type { ShellClock } from '../transport/clock.js'
import type { Transport, TransportEvent } from '../transport/transport.js'
import { SHELL_LIMITS } from './defaults.js'
import type { LinkWisher } from './link-wishes.js'

/** What the driver needs of the core's `Machine`. */
export interface DrivenMachine {
  handle(batch: readonly Input[], nowMs: number): readonly Effect[]
  nextDeadline(): number | undefined
  state(): ClusterState
}

export interface MessageCodec {
  encode(message: Message): Uint8Array
  decode(
    bytes: Uint8Array,
  ): { ok: true; message: Message } | { ok: false; reason: 'malformed'; detail: string }
}

/** Where the driver reports to. Called while effects are applied; may call `submit`. */
export interface DriverOutlet {
  /** Brackets one batch of effects. */
  batch(apply: () => void): void
  publish(event: ClusterEvent): void
  terminated(reason: TerminationReason, detail: string): void
  /** A message this node could not even encode or send: a bug worth a log line, never a crash. */
  sendFault(error: unknown, message: Message): void
  /** The machine or a listener's bracket broke; the driver has stopped. */
  crashed(error: unknown): void
  /** What the bytes of a malformed message were refused for. */
  malformed(from: string, detail: string): void
}

export class Driver {
  readonly #machine: DrivenMachine
  readonly #transport: Transport
  readonly #links: LinkWisher
  readonly #codec: MessageCodec
  readonly #clock: ShellClock
  readonly #outlet: DriverOutlet
  /** Inputs of the next turn. Bounded by one transport batch and the sends of one turn. */
  #queue: Input[] = []
  #running = false
  #stopped = false
  #timer: { cancel(): void } | undefined
  /** The deadline for which the timer was set, in the clock's time. */
  #armedFor: number | undefined
  readonly #effects = new Map<Effect['type'], number>()
  readonly #dropped = new Map<DropReason, number>()

  constructor(
    machine: DrivenMachine,
    transport: Transport,
    links: LinkWisher,
    codec: MessageCodec,
    clock: ShellClock,
    outlet: DriverOutlet,
  ) {
    this.#machine = machine
    this.#transport = transport
    this.#links = links
    this.#codec = codec
    this.#clock = clock
    this.#outlet = outlet
  }

  /** Hands inputs to the machine: at once, or after the turn under way. Without effect once stopped. */
  submit(inputs: readonly Input[]): void {
    if (this.#stopped) return
    for (const input of inputs) this.#queue.push(input)
    if (this.#running) return
    this.#running = true
    try {
      for (let turns = 0; turns < SHELL_LIMITS.turnsMax && this.#queue.length > 0 && !this.#stopped; turns++)
        this.#turn()
      this.#arm()
    } catch (error) {
      // Peer input cannot cause this; a broken invariant of ours must not go on talking to a cluster.
      this.stop()
      this.#outlet.crashed(error)
    } finally {
      this.#running = false
    }
  }

  /** The transport's sink. */
  receive(batch: readonly TransportEvent[]): void {
    if (this.#stopped) return
    const inputs: Input[] = []
    for (const event of batch) {
      const input = event.type === 'message' ? this.#messageOf(event) : inputOf(event)
      if (input === 'malformed') {
        // What came before it is told first.
        this.submit(inputs.splice(0))
        if (this.#stopped) return
        if (event.type === 'message') this.#dropMalformed(event.uid)
      } else if (input !== undefined) {
        inputs.push(input)
      }
    }
    if (inputs.length > 0) this.submit(inputs)
  }

  #dropMalformed(from: string): void {
    this.#outlet.batch(() => this.#publish({ type: 'messageDropped', from, reason: 'malformed' }))
  }

  /** Nothing goes in or out any more. */
  stop(): void {
    this.#stopped = true
    this.#queue = []
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** `effects.<type>` and `messagesDropped.<reason>`, both monotonic; absent while zero. */
  counters(): Record<string, number> {
    const counters: Record<string, number> = {}
    for (const [type, count] of this.#effects) counters[`effects.${type}`] = count
    for (const [reason, count] of this.#dropped) counters[`messagesDropped.${reason}`] = count
    return counters
  }

  /** One step of the machine. Effects are one batch: whoever reads the state meanwhile sees it after all of them. */
  #turn(): void {
    const batch = this.#queue
    this.#queue = []
    const effects = this.#machine.handle(batch, this.#clock.nowMs())
    this.#outlet.batch(() => {
      for (const effect of effects) {
        if (this.#stopped) return
        this.#effects.set(effect.type, (this.#effects.get(effect.type) ?? 0) + 1)
        this.#apply(effect)
      }
    })
  }

  #apply(effect: Effect): void {
    if (effect.type === 'send') {
      this.#send(effect.to, effect.message)
    } else if (effect.type === 'publish') {
      this.#publish(effect.event)
    } else if (effect.type === 'terminate') {
      this.stop()
      this.#outlet.terminated(effect.reason, effect.detail)
    } else {
      command(this.#transport, this.#links, effect)
    }
  }

  /** The transport takes a message or says why not; there is no third way, so nothing is lost silently. */
  #send(to: string, message: Message): void {
    let accepted = false
    try {
      accepted = this.#transport.send(to, this.#codec.encode(message)) === 'sent'
    } catch (error) {
      this.#outlet.sendFault(error, message)
    }
    if (!accepted) this.#queue.push({ type: 'sendFailed', to })
  }

  #publish(event: ClusterEvent): void {
    if (event.type === 'messageDropped') {
      this.#dropped.set(event.reason, (this.#dropped.get(event.reason) ?? 0) + 1)
    }
    this.#outlet.publish(event)
  }

  #messageOf(event: Extract<TransportEvent, { type: 'message' }>): Input | 'malformed' {
    const decoded = this.#codec.decode(event.bytes)
    if (decoded.ok)
      return { type: 'message', from: event.uid, session: event.session, message: decoded.message }
    this.#outlet.malformed(event.uid, decoded.detail)
    return 'malformed'
  }

  /** One timer for all deadlines; left alone while it is armed for the right time. */
  #arm(): void {
    if (this.#stopped) return
    // Inputs are left over only where each turn fails to send what the last one asked for.
    const deadline = this.#queue.length > 0 ? this.#clock.nowMs() + 1 : this.#machine.nextDeadline()
    if (deadline === this.#armedFor && this.#timer !== undefined) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = deadline
    if (deadline === undefined) return
    const delayMs = Math.min(Math.max(deadline - this.#clock.nowMs(), 0), SHELL_LIMITS.timerDelayMaxMs)
    this.#timer = this.#clock.schedule(delayMs, () => this.#fire())
  }

  /** The timer has run out. */
  #fire(): void {
    this.#timer = undefined
    // What has arrived was there before the deadline passed here: a busy loop must not accuse a punctual peer.
    this.#transport.drain()
    this.submit([{ type: 'deadline' }])
  }
}

/** The input a transport event is for the machine; undefined where it only concerns operators. */
function inputOf(event: Exclude<TransportEvent, { type: 'message' }>): Input | undefined {
  switch (event.type) {
    case 'linkUp': {
      const { uid, nodeId, address } = event.peer
      return { type: 'linkUp', peer: { uid, nodeId, address }, session: event.session }
    }
    case 'linkDown':
      return { type: 'linkDown', uid: event.uid, session: event.session }
    case 'suspicion':
      return { type: 'suspicion', uid: event.uid, suspected: event.suspected, cause: event.cause }
    case 'identityChanged': {
      const { uid, nodeId, address } = event.actual
      return { type: 'identityChanged', expected: event.expected, actual: { uid, nodeId, address } }
    }
    case 'stalled':
    case 'probed':
    case 'quarantinedBy':
    case 'paused':
      return event
    case 'gated':
    case 'refused':
    case 'badInput':
    case 'laneOpened':
    case 'laneFailed':
      return undefined
  }
}

function command(
  transport: Transport,
  links: LinkWisher,
  effect: Exclude<Effect, { type: 'send' | 'publish' | 'terminate' }>,
): void {
  switch (effect.type) {
    case 'connect':
      links.connect(effect.address, effect.uid)
      break
    case 'disconnect':
      links.disconnect(effect.address)
      break
    case 'watch':
      transport.watch(effect.uid, effect.address)
      break
    case 'unwatch':
      transport.unwatch(effect.uid)
      break
    case 'probe':
      transport.probe(effect.uid, effect.address)
      break
    case 'quarantine':
      transport.quarantine(effect.uid, effect.reason)
      break
  }
}
