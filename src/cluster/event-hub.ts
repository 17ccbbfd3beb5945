/**
 * Where events go: the log, the diagnostics channel, iterators, listeners, in this order, and counted by type.
 *
 * A listener that throws does not disturb the node or the other listeners: the error is logged and thrown again
 * from a task of its own, where it meets the process's usual handling of uncaught exceptions.
 */
import diagnostics from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { Uid } from '../core/address.js'
import type { ClusterState } from '../core/model.js'
import type { Logger } from '../options/types.js'
import { EventStream } from './event-stream.js'
import { eventText } from './event-text.js'
import type { DiagnosticsMessage, EventOf, ShellEvent, ShellEventType } from './events.js'

/** Name of the diagnostics channel; it carries a `DiagnosticsMessage` for each event. */
export const EVENT_CHANNEL = 'skein:event'

const channel = diagnostics.channel(EVENT_CHANNEL)

export type Listener<T extends ShellEventType> = (event: EventOf<T>) => void

export interface HubOwner {
  readonly cluster: string
  readonly nodeId: string
  readonly uid: Uid
  readonly logger: Logger
}

export class EventHub {
  readonly #owner: HubOwner
  /** Only keeps the lists: listeners are called one by one, so that one that throws does not starve the rest. */
  readonly #emitter = new EventEmitter()
  readonly #streams = new Set<EventStream>()
  /** Opened while a batch is being published: their snapshot is taken when it is complete, so no event repeats it. */
  #waiting: EventStream[] = []
  #publishing = false
  #over = false
  readonly #published = new Map<ShellEventType, number>()
  #listenerErrors = 0
  #streamOverflows = 0

  constructor(owner: HubOwner) {
    this.#owner = owner
  }

  /** Brackets the events of one batch. `state` is the state after all of them. */
  batch(publishAll: () => void, state: () => ClusterState): void {
    this.#publishing = true
    try {
      publishAll()
    } finally {
      this.#publishing = false
      const waiting = this.#waiting
      this.#waiting = []
      for (const stream of waiting) this.#activate(stream, state())
    }
  }

  /** Tells everybody, in a fixed order. Never throws because of a listener or a logger. */
  publish(event: ShellEvent): void {
    this.#published.set(event.type, (this.#published.get(event.type) ?? 0) + 1)
    this.#log(event)
    if (channel.hasSubscribers) {
      const { cluster, nodeId, uid } = this.#owner
      channel.publish({ cluster, nodeId, uid, event } satisfies DiagnosticsMessage)
    }
    for (const stream of [...this.#streams]) {
      if (stream.push(event)) this.#streamOverflows += 1
    }
    for (const listener of this.#emitter.rawListeners(event.type)) this.#call(listener, event)
  }

  /** A new iterator. `state` is asked once, when its snapshot is due. */
  open(bufferMax: number, state: () => ClusterState): EventStream {
    const stream = new EventStream(bufferMax, (ended) => this.#streams.delete(ended))
    if (this.#publishing) this.#waiting.push(stream)
    else this.#activate(stream, state())
    return stream
  }

  /** Ends every iterator; later ones get their snapshot and end. */
  end(): void {
    this.#over = true
    for (const stream of [...this.#streams]) stream.end()
  }

  on<T extends ShellEventType>(type: T, listener: Listener<T>): void {
    this.#emitter.on(type, listener as (event: ShellEvent) => void)
  }

  once<T extends ShellEventType>(type: T, listener: Listener<T>): void {
    this.#emitter.once(type, listener as (event: ShellEvent) => void)
  }

  off<T extends ShellEventType>(type: T, listener: Listener<T>): void {
    this.#emitter.off(type, listener as (event: ShellEvent) => void)
  }

  /** `events.<type>` and what went wrong with those who listen; monotonic. */
  counters(): Record<string, number> {
    const counters: Record<string, number> = {
      eventListenerErrors: this.#listenerErrors,
      eventStreamOverflows: this.#streamOverflows,
    }
    for (const [type, count] of this.#published) counters[`events.${type}`] = count
    return counters
  }

  #activate(stream: EventStream, state: ClusterState): void {
    if (stream.ended) return
    this.#streams.add(stream)
    stream.push({ type: 'snapshot', state })
    if (this.#over) stream.end()
  }

  #log(event: ShellEvent): void {
    const { logger, cluster, nodeId, uid } = this.#owner
    const { level, text } = eventText(event)
    try {
      logger[level]({ cluster, nodeId, uid, event }, text)
    } catch (error) {
      this.#fail(error)
    }
  }

  #call(listener: unknown, event: ShellEvent): void {
    try {
      ;(listener as (event: ShellEvent) => void).call(this.#emitter, event)
    } catch (error) {
      const { logger, cluster, nodeId, uid } = this.#owner
      this.#fail(error)
      try {
        logger.error(
          { cluster, nodeId, uid, error },
          `a listener of ${event.type} threw; the node is unaffected`,
        )
      } catch (loggerError) {
        this.#fail(loggerError)
      }
    }
  }

  /** Out of this call stack, which is the machine's. */
  #fail(error: unknown): void {
    this.#listenerErrors += 1
    setImmediate(() => {
      throw error
    })
  }
}
