/**
 * Who a node is and where it listens. Pure values, no I/O; every layer may import this file.
 *
 * A `uid` names one incarnation: 64 bits as 16 lower-case hex digits, start time in the high 42 bits
 * (milliseconds since 1970) and randomness in the low 22, so that string order is numeric order and a later
 * start is a higher incarnation. A `nodeId` is durable and survives restarts.
 */

/** One incarnation of a node: 16 lower-case hex digits, ordered as text. */
export type Uid = string

/** No incarnation: never drawn, used where "unknown" must be a value. */
export const NO_UID: Uid = '0000000000000000'

/** Where a node is dialled. `host` is a name or an IPv4 or IPv6 literal without brackets. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** An incarnation and where it is reached. */
export interface UniqueAddress {
  readonly uid: Uid
  readonly nodeId: string
  readonly address: Address
}

const UID_PATTERN = /^[0-9a-f]{16}$/
const RANDOM_BITS = 22n

/** True for 16 lower-case hex digits other than zero. */
export function isUid(value: unknown): value is Uid {
  return typeof value === 'string' && value !== NO_UID && UID_PATTERN.test(value)
}

/** Builds a uid from a wall-clock start time in milliseconds and 22 random bits; higher than `after`, if given. */
export function makeUid(startedAtMs: number, random22: number, after: Uid = NO_UID): Uid {
  const fresh = (BigInt(startedAtMs) << RANDOM_BITS) | BigInt(random22 & 0x3fffff)
  const floor = BigInt(`0x${after}`) + 1n
  return (fresh > floor ? fresh : floor).toString(16).padStart(16, '0')
}

/** `host:port`, with brackets around an IPv6 literal. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Reads `host:port` or `[v6]:port`; undefined when the text is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const host = match[1] ?? match[2]
  const port = Number(match[3])
  if (host === undefined || port > 65_535) return undefined
  return { host, port }
}

/** Orders by host as text, then by port as a number: the order that chooses leaders. */
export function compareAddress(a: Address, b: Address): number {
  if (a.host !== b.host) return a.host < b.host ? -1 : 1
  return a.port - b.port
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && a.host === b.host
}
