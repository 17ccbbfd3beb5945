/**
 * Options in, every value with its origin out. Nothing is started here, so whatever is wrong is told before
 * anything happens. Defaults that depend on other options follow them, so that no default breaks a rule.
 */
import { type Address, formatAddress } from '../core/address.js'
import { manual } from '../core/downing.js'
import { CORE_LIMITS } from '../core/limits.js'
import { MACHINE_DEFAULTS } from '../core/settings.js'
import { readMessaging } from '../messaging/check-options.js'
import { abortSignal, address, type Check, integer, listOf, logger, oneOf, text } from '../options/checks.js'
import { InvalidOptionError } from '../options/invalid-option.js'
import {
  readAdmission,
  readDial,
  readHeartbeat,
  readPlace,
  readTransport,
  silent,
} from '../options/network.js'
import { Reader } from '../options/reader.js'
import type { OptionOrigin } from '../options/types.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import { downingStrategy, role } from './option-checks.js'
import { checkRules } from './option-rules.js'
import type { JoinOptions, ResolvedOptions } from './options.js'

/** Whether `auto` would run on the native transport here. */
export type NativeProbe = () => boolean

export interface Resolution {
  readonly options: ResolvedOptions
  /** By dotted path, as in `heartbeat.intervalMs`. */
  readonly origins: ReadonlyMap<string, OptionOrigin>
}

const HOUR_MS = 3_600_000

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
  'secret',
  'tls',
  'messaging',
  'aggregation',
  'observersMax',
  'maxLoopStallMs',
  'seedNodeTimeoutMs',
  'joinTimeoutMs',
  'rollCallTimeoutMs',
  'signal',
  'logger',
]

/** Validates and completes `options`. Throws `InvalidOptionError` for the first fault found. */
export function resolveOptions(options: JoinOptions, nativeAvailable: NativeProbe): Resolution {
  const origins = new Map<string, OptionOrigin>()
  const reader = new Reader(options, '', KNOWN, origins)
  const name = reader.required('name', text(TRANSPORT_LIMITS.clusterNameBytesMax))
  const place = readPlace(reader)
  const seeds = reader.optional('seeds', seedList, undefined, 'derived')
  const roles = reader.optional('roles', roleList, [])
  const downing = readDowning(reader, seeds)
  const { secrets, tls } = readAdmission(reader)
  const transport = readTransport(reader, tls)
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
    secrets,
    tls,
    messaging: readMessaging(reader),
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
