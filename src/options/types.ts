/** What options are made of, wherever they are taken. */
import type { Address } from '../core/address.js'
import type { Transport, TransportOptions } from '../transport/transport.js'

/** Takes an object with the facts and a sentence with their meaning; `pino` fits as it is. */
export interface Logger {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

/** Makes a transport that keeps the contract of `Transport`. */
export type TransportFactory = (options: TransportOptions) => Transport

/** `'host:port'`, `'[v6]:port'` or the two apart. */
export type AddressOption = Address | string

/** `given` by the caller; a constant `default`; `derived` from other options. */
export type OptionOrigin = 'given' | 'default' | 'derived'
