/**
 * Options in, every value with its origin out. Nothing is started here, so whatever is wrong is told before
 * anything happens. Defaults that depend on other options follow them, so that no default breaks a rule.
 */
import { type Address, formatAddress } from '../core/address.js'
import { manual } from '../core/downing.js'
import { CORE_LIMITS } from '../core/limits.js'
import { MACHINE_DEFAULTS } from '../core/settings.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import type { DialOptions, HeartbeatOptions } from '../transport/transport.js'
import { DIAL_DEFAULTS, HEARTBEAT_DEFAULTS, NET_ACCEPTABLE_PAUSE_MS } from './defaults.js'
import { InvalidOptionError, refuseUnknownKeys } from './invalid-option.js'
import {
  abortSignal,
  address,
  type Check,
  downingStrategy,
  integer,
  isUnspecified,
  listOf,
  logger,
  oneOf,
  real,
  role,
  text,
} from './option-checks.js'
import { checkRules } from './option-rules.js'
import type { JoinOptions, Logger, OptionOrigin, ResolvedOptions, TransportFactory } from './options.js'

/** Whether `auto` would run on the native transport here. */
export type NativeProbe = () => boolean

export interface Resolution {
  readonly options: ResolvedOptions
  /** By dotted path, as in `heartbeat.intervalMs`. */
  readonly origins: ReadonlyMap<string, OptionOrigin>
}

const HOUR_MS = 3_600_000

/** A library says nothing unless asked to. */
const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** In the order of `JoinOptions`, which is that of the error for a key that is not here. */
const KNOWN: readonly (keyof JoinOptions)[] = [
  'name',
  'listen',
  'advertise',
  'nodeId',
  'seeds',
  'roles',
  'downing',
  'transport',
  'heartbeat',
  'dial',
  'aggregation',
  'observersMax',
  'maxLoopStallMs',
  'seedNodeTimeoutMs',
  'joinTimeoutMs',
  'rollCallTimeoutMs',
  'signal',
  'logger',
]

/** Reads the keys of one object and remembers where each value came from. */
class Reader {
  readonly #source: Record<string, unknown>
  readonly #prefix: string
  readonly #origins: Map<string, OptionOrigin>

  constructor(source: unknown, prefix: string, known: readonly string[], origins: Map<string, OptionOrigin>) {
    if (typeof source !== 'object' || source === null || Array.isArray(source)) {
      throw new InvalidOptionError(prefix === '' ? 'options' : prefix.slice(0, -1), source, 'an object')
    }
    refuseUnknownKeys(source, known, prefix)
    this.#source = source as Record<string, unknown>
    this.#prefix = prefix
    this.#origins = origins
  }

  /** An undefined value was not given: callers may pass options through without picking. */
  given(key: string): boolean {
    return this.#source[key] !== undefined
  }

  /** The check sees undefined, too, and refuses it with its own expectation. */
  required<T>(key: string, check: Check<T>): T {
    this.#origins.set(this.#prefix + key, 'given')
    return check(this.#source[key], this.#prefix + key)
  }

  /** `fallback` is not checked: it must be valid by construction, which the rules then confirm. */
  optional<T, U = T>(key: string, check: Check<T>, fallback: U, origin: OptionOrigin = 'default'): T | U {
    if (this.given(key)) return this.required(key, check)
    this.#origins.set(this.#prefix + key, origin)
    return fallback
  }

  /** A group of options; absent is the same as empty. */
  nested(key: string, known: readonly string[]): Reader {
    return new Reader(this.#source[key] ?? {}, `${this.#prefix}${key}.`, known, this.#origins)
  }
}

/** Validates and completes `options`. Throws `InvalidOptionError` for the first fault found. */
export function resolveOptions(options: JoinOptions, nativeAvailable: NativeProbe): Resolution {
  const origins = new Map<string, OptionOrigin>()
  const reader = new Reader(options, '', KNOWN, origins)
  const name = reader.required('name', text(TRANSPORT_LIMITS.clusterNameBytesMax))
  const place = readPlace(reader)
  const seeds = reader.optional('seeds', seedList, undefined, 'derived')
  const roles = reader.optional('roles', roleList, [])
  const downing = readDowning(reader, seeds)
  const transport = reader.optional('transport', transportOption, 'auto')
  const onLoop = transport === 'net' || (transport === 'auto' && !nativeAvailable())
  const heartbeat = readHeartbeat(reader, onLoop)
  const dial = readDial(reader)
  const joinTimeoutMs = reader.optional(
    'joinTimeoutMs',
    integer(100, HOUR_MS),
    MACHINE_DEFAULTS.joinTimeoutMs,
  )
  const resolved: ResolvedOptions = {
    name,
    ...place,
    seeds,
    roles,
    downing,
    transport,
    heartbeat,
    dial,
    aggregation: reader.optional('aggregation', oneOf(['quorum', 'any']), MACHINE_DEFAULTS.aggregation),
    observersMax: reader.optional('observersMax', integer(1, 100), MACHINE_DEFAULTS.observersMax),
    maxLoopStallMs: following(
      reader,
      'maxLoopStallMs',
      integer(1000, HOUR_MS),
      MACHINE_DEFAULTS.maxLoopStallMs,
      (base) => Math.max(base, 2 * heartbeat.stalledAfterMs),
    ),
    joinTimeoutMs,
    seedNodeTimeoutMs: following(
      reader,
      'seedNodeTimeoutMs',
      integer(10, HOUR_MS),
      MACHINE_DEFAULTS.seedNodeTimeoutMs,
      (base) => Math.min(base, Math.floor(joinTimeoutMs / 2)),
    ),
    rollCallTimeoutMs: following(
      reader,
      'rollCallTimeoutMs',
      integer(10, 60_000),
      MACHINE_DEFAULTS.rollCallTimeoutMs,
      (base) => (downing.stableAfterMs === 0 ? base : Math.min(base, Math.floor(downing.stableAfterMs / 4))),
    ),
    signal: reader.optional('signal', abortSignal, undefined),
    logger: reader.optional('logger', logger, silent),
  }
  checkRules(resolved)
  return { options: resolved, origins }
}

/** A default that moves with other options is `derived` when they moved it. */
function following(
  reader: Reader,
  key: string,
  check: Check<number>,
  base: number,
  move: (base: number) => number,
): number {
  const moved = move(base)
  return reader.optional(key, check, moved, moved === base ? 'default' : 'derived')
}

const seedList = listOf(address(1), 1, CORE_LIMITS.seedsMax, formatAddress)
const roleList = listOf(role, 0, CORE_LIMITS.rolesPerMemberMax, (name) => name)

const transportOption: Check<'auto' | 'native' | 'net' | TransportFactory> = (value, path) => {
  if (typeof value === 'function') return value as TransportFactory
  const names = ['auto', 'native', 'net'] as const
  if (names.includes(value as 'auto')) return value as 'auto' | 'native' | 'net'
  throw new InvalidOptionError(path, value, `'auto', 'native', 'net' or a function that makes a transport`)
}

/** Where to listen, what to be called there, and by which name to be known. */
function readPlace(reader: Reader): Pick<ResolvedOptions, 'listen' | 'advertise' | 'nodeId'> {
  const listen = reader.required('listen', address(0))
  // The host is advertised as written, not as resolved: seeds name it that way, and so does the operator.
  const advertise = reader.optional('advertise', address(0), listen, 'derived')
  if (isUnspecified(advertise.host)) {
    const shown = reader.given('advertise') ? formatAddress(advertise) : undefined
    const why = 'an address that peers can dial: 0.0.0.0 and :: mean every interface, and name none'
    throw new InvalidOptionError('advertise', shown, why)
  }
  // A port chosen by the kernel is only known once bound, and is no durable name anyway.
  const portKnown = advertise.port !== 0 || listen.port !== 0
  const port = advertise.port !== 0 ? advertise.port : listen.port
  const fallback = portKnown ? formatAddress({ host: advertise.host, port }) : undefined
  const nodeId = reader.optional('nodeId', text(TRANSPORT_LIMITS.nodeIdBytesMax), fallback, 'derived')
  return { listen, advertise, nodeId }
}

/** A cluster that others join by a list of seeds can be cut; what then happens must not be a surprise. */
function readDowning(reader: Reader, seeds: readonly Address[] | undefined): ResolvedOptions['downing'] {
  if (!reader.given('downing') && seeds !== undefined && seeds.length >= 2) {
    throw new InvalidOptionError(
      'downing',
      undefined,
      `an explicit choice, as ${seeds.length} seeds are listed: keepMajority() (of a cut cluster the larger side survives, ` +
        'the smaller one downs itself) or manual() (nobody is downed until a person says so; until then an ' +
        'unreachable member stays a member, and others can neither join nor leave)',
    )
  }
  return reader.optional('downing', downingStrategy, manual())
}

/** `onLoop`: beats leave from the JavaScript loop, whose own pauses must be forgiven as well. */
function readHeartbeat(parent: Reader, onLoop: boolean): HeartbeatOptions {
  const defaults = HEARTBEAT_DEFAULTS
  const reader = parent.nested('heartbeat', Object.keys(defaults))
  const intervalMs = reader.optional('intervalMs', integer(20, 60_000), defaults.intervalMs)
  const pauseMs = Math.max(onLoop ? NET_ACCEPTABLE_PAUSE_MS : defaults.acceptablePauseMs, 2 * intervalMs)
  const stalledAfterMs = Math.max(defaults.stalledAfterMs, 2 * intervalMs)
  const pauseOrigin = pauseMs === defaults.acceptablePauseMs ? 'default' : 'derived'
  const stalledOrigin = stalledAfterMs === defaults.stalledAfterMs ? 'default' : 'derived'
  return {
    intervalMs,
    echoEvery: reader.optional('echoEvery', integer(1, 1000), defaults.echoEvery),
    phiThreshold: reader.optional('phiThreshold', real(0.5, 100), defaults.phiThreshold),
    acceptablePauseMs: reader.optional('acceptablePauseMs', integer(0, 600_000), pauseMs, pauseOrigin),
    minStdDeviationMs: reader.optional('minStdDeviationMs', integer(1, 60_000), defaults.minStdDeviationMs),
    windowSize: reader.optional('windowSize', integer(2, 10_000), defaults.windowSize),
    stalledAfterMs: reader.optional('stalledAfterMs', integer(20, 600_000), stalledAfterMs, stalledOrigin),
  }
}

/** The order of the three back-offs is a rule of `option-rules.ts`. */
function readDial(parent: Reader): DialOptions {
  const defaults = DIAL_DEFAULTS
  const reader = parent.nested('dial', Object.keys(defaults))
  const time = integer(10, 60_000)
  return {
    connectTimeoutMs: reader.optional('connectTimeoutMs', time, defaults.connectTimeoutMs),
    backoffMinMs: reader.optional('backoffMinMs', time, defaults.backoffMinMs),
    backoffMaxMs: reader.optional('backoffMaxMs', integer(10, HOUR_MS), defaults.backoffMaxMs),
    backoffWatchedMaxMs: reader.optional('backoffWatchedMaxMs', time, defaults.backoffWatchedMaxMs),
    confirmGoneMs: reader.optional('confirmGoneMs', integer(0, 10_000), defaults.confirmGoneMs),
  }
}
