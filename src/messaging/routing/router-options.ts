/** What can be set about a router and about one request through it. Times in milliseconds. */
import { CORE_LIMITS } from '../../core/limits.js'
import { flag, integer, oneOf, real, text } from '../../options/checks.js'
import { Reader } from '../../options/reader.js'
import { MESSAGING_LIMITS } from '../limits.js'
import type { RequestOptions, SendOptions } from '../messaging.js'
import { ROUTING_LIMITS as LIMITS } from './limits.js'
import { ROUTING_STRATEGIES, type RoutingStrategyName } from './strategy.js'

export interface RouterOptions {
  /** Default `powerOfTwoChoices`. */
  readonly strategy?: RoutingStrategyName
  /** Whether this node may be chosen too, where it has the role. Default false. */
  readonly includeSelf?: boolean
  /** How often one request is tried, the first time included. 1 to 16; 1 turns retries off. Default 3. */
  readonly attemptsMax?: number
  /** Retries that each request earns for the router as a whole. 0 to 1. Default 0.2. */
  readonly retryRatio?: number
  /** Retries granted besides, on average over 10 s. 0 to 1_000_000. Default 10. */
  readonly retryPerSecondMin?: number
  /**
   * How long a member that could not be sent to comes after all others; over at once when the cluster has news of it. Not with
   * `rendezvous`. 0 to 60_000. Default 500.
   */
  readonly setAsideMs?: number
}

export type ResolvedRouterOptions = Required<RouterOptions> & { readonly role: string }

export interface RouterSendOptions extends SendOptions {
  /** With `rendezvous`: what decides. Required there, ignored elsewhere. */
  readonly key?: string
}

/** `timeoutMs` is for all attempts together. */
export interface RouterRequestOptions extends RequestOptions {
  /** With `rendezvous`: what decides. Required there, ignored elsewhere. */
  readonly key?: string
  /** Handling it twice does the same as once: it may be tried again after a failure that leaves open whether it was. Default false. */
  readonly idempotent?: boolean
  /** Bound of each attempt, so that time is left for another one. Default: all that is left of `timeoutMs`. */
  readonly attemptTimeoutMs?: number
}

const KNOWN: readonly (keyof RouterOptions)[] = [
  'strategy',
  'includeSelf',
  'attemptsMax',
  'retryRatio',
  'retryPerSecondMin',
  'setAsideMs',
]

const role = text(CORE_LIMITS.roleBytesMax)

/** Throws `ERR_SKEIN_INVALID_OPTION`. */
export function resolveRouterOptions(roleName: string, options: RouterOptions): ResolvedRouterOptions {
  const reader = new Reader(options, '', KNOWN, new Map())
  return {
    role: role(roleName, 'role'),
    strategy: reader.optional('strategy', oneOf(ROUTING_STRATEGIES), 'powerOfTwoChoices'),
    includeSelf: reader.optional('includeSelf', flag, false),
    attemptsMax: reader.optional('attemptsMax', integer(1, LIMITS.attemptsCeiling), LIMITS.attemptsMax),
    retryRatio: reader.optional('retryRatio', real(0, 1), LIMITS.retryRatio),
    retryPerSecondMin: reader.optional(
      'retryPerSecondMin',
      real(0, LIMITS.retryPerSecondCeiling),
      LIMITS.retryPerSecondMin,
    ),
    setAsideMs: reader.optional('setAsideMs', integer(0, LIMITS.setAsideCeilingMs), LIMITS.setAsideMs),
  }
}

export const timeoutCheck = integer(1, MESSAGING_LIMITS.timeoutMsMax)
