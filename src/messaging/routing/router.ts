/**
 * Requests and messages to a role instead of a member. The router chooses by its strategy among the members that can be
 * sent to now, and tries a request again elsewhere where that is safe, in time, and within a budget.
 *
 * It reads the cluster's state at each choice and owns no timer: attempts are bounded by the timeouts they are given.
 */
import type { ClusterState, Member } from '../../core/model.js'
import { isSkeinError, SkeinError } from '../../errors.js'
import { InvalidOptionError } from '../../options/invalid-option.js'
import type { Messaging, RequestOptions, SendOptions } from '../messaging.js'
import { type Attempt, requestFailed } from './attempts.js'
import { RetryBudget } from './retry-budget.js'
import { retryRule } from './retry-rules.js'
import type { Routee } from './routee.js'
import { Routees } from './routees.js'
import {
  type ResolvedRouterOptions,
  type RouterRequestOptions,
  type RouterSendOptions,
  timeoutCheck,
} from './router-options.js'
import { type RoutingStrategy, routingStrategy } from './strategy.js'

/** All monotonic. */
export interface RouterCounters {
  readonly requests: number
  readonly sends: number
  /** Attempts after the first. */
  readonly retries: number
  /** Retries that were not made for want of budget. */
  readonly retriesOverBudget: number
  /** Requests and sends that found nobody to go to. */
  readonly withoutMember: number
}

export interface Router {
  readonly role: string
  /**
   * Sends to a member of the role, see `Messaging.send`. Unless a key decides, another member is taken where an outbox is full. Throws
   * `ERR_SKEIN_UNREACHABLE` when there is nobody to send to, with the reasons; then nothing was queued.
   */
  send(topic: string, bytes: Uint8Array, options?: RouterSendOptions): boolean
  /**
   * Asks a member of the role, see `Messaging.request`. Tried again elsewhere after `ERR_SKEIN_OUTBOX_FULL`, `_BUSY`, `_NO_HANDLER` and
   * `_NOT_MEMBER`, and if it is `idempotent` after `_UNREACHABLE`, `_QUARANTINED`, `_TIMEOUT` of an attempt and `_CLOSED`.
   * Later attempts read `bytes` again: they must stay as they are until the promise has settled.
   */
  request(topic: string, bytes: Uint8Array, options?: RouterRequestOptions): Promise<Uint8Array>
  /** Whom it would choose from now, ordered by address. */
  members(): readonly Member[]
  counters(): RouterCounters
  /** Takes nothing more: `ERR_SKEIN_CLOSED`. Requests under way end with the attempt they are at. Idempotent. */
  close(): void
}

/** The world as a router needs it. */
export interface RouterPorts {
  /** The same object until something changes. */
  state(): ClusterState
  /** Monotonic milliseconds. */
  nowMs(): number
  /** In [0, 1). */
  random(): number
  readonly messaging: Pick<Messaging<Member>, 'send' | 'request'>
  /** Where a request says nothing. */
  readonly requestTimeoutMs: number
}

export function createRouter(options: ResolvedRouterOptions, ports: RouterPorts): Router {
  return new RoleRouter(options, ports)
}

class RoleRouter implements Router {
  readonly role: string
  readonly #options: ResolvedRouterOptions
  readonly #ports: RouterPorts
  readonly #strategy: RoutingStrategy
  readonly #routees: Routees
  readonly #budget: RetryBudget
  readonly #counters = { requests: 0, sends: 0, retries: 0, retriesOverBudget: 0, withoutMember: 0 }
  readonly #nowMs = (): number => this.#ports.nowMs()
  #closed = false

  constructor(options: ResolvedRouterOptions, ports: RouterPorts) {
    this.role = options.role
    this.#options = options
    this.#ports = ports
    this.#strategy = routingStrategy(options.strategy, () => ports.random())
    this.#routees = new Routees(options.role, options.includeSelf)
    this.#budget = new RetryBudget(options)
  }

  send(topic: string, bytes: Uint8Array, options: RouterSendOptions = {}): boolean {
    this.#refuseIfClosed()
    this.#counters.sends += 1
    const sendOptions: SendOptions = options.lane === undefined ? {} : { lane: options.lane }
    const failed: Attempt[] = []
    let routee = this.#choose(options.key, topic)
    for (;;) {
      const { member } = routee
      try {
        return this.#ports.messaging.send(member, topic, bytes, sendOptions)
      } catch (error) {
        const attempt = { routee, member, error }
        failed.push(attempt)
        this.#note(attempt)
        const next = this.#afterSend(failed)
        if (next === undefined) throw error
        routee = next
      }
    }
  }

  async request(topic: string, bytes: Uint8Array, options: RouterRequestOptions = {}): Promise<Uint8Array> {
    this.#refuseIfClosed()
    const { timeoutMs = this.#ports.requestTimeoutMs, attemptTimeoutMs } = options
    timeoutCheck(timeoutMs, 'timeoutMs')
    if (attemptTimeoutMs !== undefined) timeoutCheck(attemptTimeoutMs, 'attemptTimeoutMs')
    const startedMs = this.#ports.nowMs()
    this.#counters.requests += 1
    let routee = this.#choose(options.key, topic)
    this.#budget.deposit(startedMs)
    const failed: Attempt[] = []
    let remainingMs = timeoutMs
    for (;;) {
      const { member } = routee
      const attemptMs = attemptTimeoutMs === undefined ? remainingMs : Math.min(attemptTimeoutMs, remainingMs)
      routee.inFlight += 1
      try {
        return await this.#ports.messaging.request(member, topic, bytes, attemptOptions(options, attemptMs))
      } catch (error) {
        const attempt = { routee, member, error }
        failed.push(attempt)
        this.#note(attempt)
      } finally {
        routee.inFlight -= 1
      }
      remainingMs = Math.floor(startedMs + timeoutMs - this.#ports.nowMs())
      const next = remainingMs < 1 ? undefined : this.#afterRequest(failed, options)
      if (next === undefined) throw requestFailed(topic, this.role, failed)
      routee = next
    }
  }

  members(): readonly Member[] {
    return this.#closed ? [] : this.#pool().map(({ member }) => member)
  }

  counters(): RouterCounters {
    return { ...this.#counters }
  }

  close(): void {
    this.#closed = true
  }

  /** What a key decides is not moved by what only this router has met with. */
  #pool(): readonly Routee[] {
    const state = this.#ports.state()
    return this.#strategy.keyed ? this.#routees.eligible(state) : this.#routees.preferred(state, this.#nowMs)
  }

  #choose(key: string | undefined, topic: string): Routee {
    if (this.#strategy.keyed && typeof key !== 'string') {
      throw new InvalidOptionError('key', key, `a text: the strategy ${this.#options.strategy} chooses by it`)
    }
    const pool = this.#pool()
    if (pool.length > 0) return this.#strategy.choose(pool, key ?? '')
    this.#counters.withoutMember += 1
    const why = this.#routees.why(this.#ports.state())
    throw new SkeinError(
      'ERR_SKEIN_UNREACHABLE',
      `${JSON.stringify(topic)}: nobody with the role ${JSON.stringify(this.role)} can be sent to: ${why}. Nothing was sent; try again when one is up and reachable`,
      { retryable: true },
    )
  }

  /**
   * Remembers that a member cannot be sent to, so that the next message does not run into the same wall. What it was asked before
   * the cluster's latest news of it says nothing any more.
   */
  #note({ routee, member, error }: Attempt): void {
    const code = isSkeinError(error) ? error.code : undefined
    if (code === 'ERR_SKEIN_QUARANTINED') {
      this.#routees.lose(routee)
    } else if (code === 'ERR_SKEIN_UNREACHABLE' || code === 'ERR_SKEIN_OUTBOX_FULL') {
      if (routee.member !== member) return
      this.#routees.setAside(routee, this.#ports.nowMs() + this.#options.setAsideMs)
    }
  }

  /** Whom a message goes to after failed attempts: nothing was queued anywhere, so this repeats nothing. */
  #afterSend(failed: readonly Attempt[]): Routee | undefined {
    const rule = retryRule(failed.at(-1)!.error)
    if (rule === undefined || rule.maybeHandled || this.#strategy.keyed) return undefined
    if (failed.length >= this.#options.attemptsMax) return undefined
    return this.#another(failed, '')
  }

  /** Whom a request goes to after failed attempts; undefined when it has failed for good. The budget is asked last: it is spent by asking. */
  #afterRequest(failed: readonly Attempt[], options: RouterRequestOptions): Routee | undefined {
    const rule = retryRule(failed.at(-1)!.error)
    if (rule === undefined || (rule.maybeHandled && options.idempotent !== true)) return undefined
    if (this.#closed || options.signal?.aborted === true || failed.length >= this.#options.attemptsMax) {
      return undefined
    }
    const next = this.#another(failed, options.key ?? '')
    if (next === undefined) return undefined
    if (!this.#budget.withdraw(this.#ports.nowMs())) {
      this.#counters.retriesOverBudget += 1
      return undefined
    }
    this.#counters.retries += 1
    return next
  }

  /** First those that have not failed, then those that may do better now, the last one that failed only when alone. */
  #another(failed: readonly Attempt[], key: string): Routee | undefined {
    const pool = this.#pool()
    const untried = pool.filter((routee) => failed.every((attempt) => attempt.routee !== routee))
    if (untried.length > 0) return this.#strategy.choose(untried, key)
    const again = pool.filter((routee) =>
      failed.every((attempt) => attempt.routee !== routee || retryRule(attempt.error)?.sameMember === true),
    )
    const last = failed.at(-1)!.routee
    const others = again.filter((routee) => routee !== last)
    const rest = others.length > 0 ? others : again
    return rest.length > 0 ? this.#strategy.choose(rest, key) : undefined
  }

  #refuseIfClosed(): void {
    if (!this.#closed) return
    throw new SkeinError(
      'ERR_SKEIN_CLOSED',
      `the router of role ${JSON.stringify(this.role)} is closed; nothing was sent`,
    )
  }
}

/** Only what messaging knows. */
function attemptOptions({ lane, signal }: RouterRequestOptions, timeoutMs: number): RequestOptions {
  if (lane === undefined && signal === undefined) return { timeoutMs }
  return {
    timeoutMs,
    ...(lane === undefined ? undefined : { lane }),
    ...(signal === undefined ? undefined : { signal }),
  }
}
