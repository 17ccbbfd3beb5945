/** What users hand in as bytes, now or later. */
import { SkeinError } from '../errors.js'

/** A Uint8Array or a Buffer, of this realm or another: `instanceof` knows only this one's. */
export function isBytes(value: unknown): value is Uint8Array {
  if (value instanceof Uint8Array) return true
  return ArrayBuffer.isView(value) && (value as Uint8Array).BYTES_PER_ELEMENT === 1
}

/** A promise, whoever made it, in place of bytes. */
export function isThenable<T>(value: T): value is Extract<T, PromiseLike<unknown>> {
  if (value instanceof Uint8Array) return false
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** `where`: who gave it, and what became of it. */
export function notBytes(value: unknown, where: string): SkeinError {
  const given = value === null ? 'null' : typeof value
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `${where} is ${given}, expected a Uint8Array`)
}
