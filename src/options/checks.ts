/**
 * The kinds of value an option may have. A check returns the value as the rest of the shell wants it, or says
 * what it expected; it never guesses. Undefined means "not given" everywhere and never reaches a check.
 */
import { isIP } from 'node:net'
import { type Address, parseAddress } from '../core/address.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import { InvalidOptionError, refuseUnknownKeys } from './invalid-option.js'
import type { Logger } from './types.js'

/** Turns a given value into a valid one or throws `InvalidOptionError`. */
export type Check<T> = (value: unknown, path: string) => T

/** Names end up in logs and terminals; lone surrogates have no UTF-8. */
const UNPRINTABLE = /[\p{Cc}\p{Surrogate}]/u

/** `bytesMax` counts UTF-8, as the wire does. */
export function text(bytesMax: number): Check<string> {
  return (value, path) => {
    const valid =
      typeof value === 'string' &&
      value.length > 0 &&
      Buffer.byteLength(value) <= bytesMax &&
      !UNPRINTABLE.test(value)
    if (!valid) {
      throw new InvalidOptionError(path, value, `a text of 1 to ${bytesMax} bytes without control characters`)
    }
    return value
  }
}

export const flag: Check<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw new InvalidOptionError(path, value, 'true or false')
  return value
}

/** Bounds are inclusive. */
export function integer(min: number, max: number): Check<number> {
  return (value, path) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw new InvalidOptionError(path, value, `an integer from ${min} to ${max}`)
    }
    return value as number
  }
}

/** Bounds are inclusive; NaN is outside of all. */
export function real(min: number, max: number): Check<number> {
  return (value, path) => {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw new InvalidOptionError(path, value, `a number from ${min} to ${max}`)
    }
    return value
  }
}

export function oneOf<T extends string>(names: readonly T[]): Check<T> {
  return (value, path) => {
    if (!names.includes(value as T)) {
      throw new InvalidOptionError(path, value, `one of ${names.map((name) => `'${name}'`).join(', ')}`)
    }
    return value as T
  }
}

/** `{ host, port }`, `'host:port'` or `'[v6]:port'`. */
export function address(portMin: 0 | 1): Check<Address> {
  const expectation = `'host:port' or { host, port } with a host name or IP literal and a port from ${portMin} to 65535`
  return (value, path) => {
    const parsed = typeof value === 'string' ? parseAddress(value) : addressOf(value, path)
    if (parsed === undefined || !isHost(parsed.host)) throw new InvalidOptionError(path, value, expectation)
    if (!Number.isInteger(parsed.port) || parsed.port < portMin || parsed.port > 65_535) {
      throw new InvalidOptionError(path, value, expectation)
    }
    return { host: parsed.host, port: parsed.port }
  }
}

function addressOf(value: unknown, path: string): Address | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  refuseUnknownKeys(value, ['host', 'port'], `${path}.`)
  const { host, port } = value as { host?: unknown; port?: unknown }
  return typeof host === 'string' && typeof port === 'number' ? { host, port } : undefined
}

const HOST_NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/

/** A name that ends in a numeric label is a mistyped IPv4 literal: resolvers disagree on what it means. */
function isHost(host: string): boolean {
  if (Buffer.byteLength(host) > TRANSPORT_LIMITS.hostBytesMax) return false
  if (isIP(host) !== 0) return true
  return HOST_NAME.test(host) && !/(?:^|\.)[0-9]+\.?$/.test(host)
}

/** True for the hosts that mean "every interface": a peer cannot dial them. */
export function isUnspecified(host: string): boolean {
  return host === '0.0.0.0' || (isIP(host) === 6 && /^[0:]+(?:%.*)?$/.test(host))
}

/** A list whose repetitions say nothing and are dropped; `key` tells what is a repetition. */
export function listOf<T>(
  check: Check<T>,
  min: number,
  max: number,
  key: (item: T) => string,
): Check<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      throw new InvalidOptionError(path, value, `a list of ${min} to ${max} items`)
    }
    const items = new Map<string, T>()
    for (const [index, item] of value.entries()) {
      const checked = check(item, `${path}[${index}]`)
      if (!items.has(key(checked))) items.set(key(checked), checked)
    }
    return [...items.values()]
  }
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

export const logger: Check<Logger> = (value, path) => {
  const candidate = value as Record<string, unknown> | null
  if (
    typeof candidate !== 'object' ||
    candidate === null ||
    LOG_LEVELS.some((level) => typeof candidate[level] !== 'function')
  ) {
    throw new InvalidOptionError(
      path,
      value,
      'an object with the functions debug, info, warn and error (obj, msg)',
    )
  }
  return value as Logger
}

/** The platform's own class: anything else would have to be trusted to forget its listeners. */
export const abortSignal: Check<AbortSignal> = (value, path) => {
  if (!(value instanceof AbortSignal)) throw new InvalidOptionError(path, value, 'an AbortSignal')
  return value
}
