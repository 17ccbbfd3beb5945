/** The options of a node on a network: where it listens, on which transport, how it dials and beats. */
import { type Address, formatAddress } from '../core/address.js'
import { DIAL_DEFAULTS, HEARTBEAT_DEFAULTS, NET_ACCEPTABLE_PAUSE_MS } from '../transport/defaults.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import type { DialOptions, HeartbeatOptions, TlsOptions, TransportOptions } from '../transport/transport.js'
import { address, type Check, integer, isUnspecified, real, text } from './checks.js'
import { InvalidOptionError, refuseUnknownKeys } from './invalid-option.js'
import type { Reader } from './reader.js'
import type { Logger, TransportFactory } from './types.js'

const HOUR_MS = 3_600_000

/** A library says nothing unless asked to. */
export const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const transportOption: Check<'auto' | 'native' | 'net' | TransportFactory> = (value, path) => {
  if (typeof value === 'function') return value as TransportFactory
  const names = ['auto', 'native', 'net'] as const
  if (names.includes(value as 'auto')) return value as 'auto' | 'native' | 'net'
  throw new InvalidOptionError(path, value, `'auto', 'native', 'net' or a function that makes a transport`)
}

/** With `tls` it is the transport that speaks it. */
export function readTransport(
  reader: Reader,
  tls: TlsOptions | undefined,
): 'auto' | 'native' | 'net' | TransportFactory {
  const transport = reader.optional(
    'transport',
    transportOption,
    tls === undefined ? 'auto' : 'net',
    tls === undefined ? 'default' : 'derived',
  )
  if (tls === undefined || transport !== 'native')
    return transport === 'auto' && tls !== undefined ? 'net' : transport
  throw new InvalidOptionError('tls', '(not shown)', "nothing with transport 'native': 'net' speaks TLS")
}

/** Where to listen, what to be called there, and by which name to be known. */
export function readPlace(reader: Reader): {
  listen: Address
  advertise: Address
  /** Undefined: the port is drawn by the kernel, and a name for this incarnation only is made from its uid. */
  nodeId: string | undefined
} {
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

/** `onLoop`: beats leave from the JavaScript loop, whose own pauses must be forgiven as well. */
export function readHeartbeat(parent: Reader, onLoop: boolean): HeartbeatOptions {
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

/** The order of the three back-offs is a rule of its own. */
export function readDial(parent: Reader): DialOptions {
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

const { secretsMax, secretBytesMin, secretBytesMax } = TRANSPORT_LIMITS

/** A text or bytes, or a list of them with the one to be shown first; never quoted in an error. */
const secretList: Check<readonly Uint8Array[]> = (value, path) => {
  const list: unknown[] = Array.isArray(value) ? value : [value]
  const hidden = Array.isArray(value) ? `(a list of ${value.length})` : '(a secret)'
  const expected = `1 to ${secretsMax} texts or Uint8Arrays of ${secretBytesMin} to ${secretBytesMax} bytes`
  if (list.length === 0 || list.length > secretsMax) throw new InvalidOptionError(path, hidden, expected)
  return list.map((secret) => {
    const bytes = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret
    const fits =
      bytes instanceof Uint8Array && bytes.length >= secretBytesMin && bytes.length <= secretBytesMax
    if (!fits) throw new InvalidOptionError(path, hidden, expected)
    return bytes
  })
}

const tlsOption: Check<TlsOptions> = (value, path) => {
  const given = value as Partial<Record<keyof TlsOptions, unknown>> | null
  if (typeof given !== 'object' || given === null)
    throw new InvalidOptionError(path, value, 'an object with cert, key and ca as PEM texts')
  refuseUnknownKeys(given, ['cert', 'key', 'ca'], `${path}.`)
  const pem = (key: keyof TlsOptions) => {
    const text = given[key]
    if (typeof text === 'string' && text.includes('-----BEGIN ')) return text
    throw new InvalidOptionError(`${path}.${key}`, '(not shown)', 'a PEM text')
  }
  return { cert: pem('cert'), key: pem('key'), ca: pem('ca') }
}

/** Who is let in: secrets that peers must know, and certificates. */
export function readAdmission(reader: Reader): {
  readonly secrets: readonly Uint8Array[] | undefined
  readonly tls: TlsOptions | undefined
} {
  return {
    secrets: reader.optional('secret', secretList, undefined),
    tls: reader.optional('tls', tlsOption, undefined),
  }
}

/** As a transport takes them. */
export function admissionOf(
  given: ReturnType<typeof readAdmission>,
): Pick<TransportOptions, 'secrets' | 'tls'> {
  const { secrets, tls } = given
  return { ...(secrets === undefined ? {} : { secrets }), ...(tls === undefined ? {} : { tls }) }
}
