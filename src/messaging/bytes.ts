/** What users hand in as bytes. */
import { SkeinError } from '../errors.js'

/** A Uint8Array or a Buffer, of this realm or another: `instanceof` knows only this one's. */
export function isBytes(value: unknown): value is Uint8Array {
  return (value as Uint8Array | null | undefined)?.BYTES_PER_ELEMENT === 1
}

/** `where`: who gave it, and what became of it. */
export function notBytes(value: unknown, where: string): SkeinError {
  const given = value === null ? 'null' : typeof value
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `${where} is ${given}, expected a Uint8Array`)
}
