/** Values as JSON, UTF-8. */
import type { Codec } from './codec.js'

export interface JsonCodecOptions<T> {
  /** Turns what was parsed into a `T`, or throws. Without it a peer's JSON is taken for a `T` unseen. */
  readonly validate?: (value: unknown) => T
}

const ENCODER = new TextEncoder()
/** A byte order mark is no part of JSON, so it is left in for the parser to refuse. */
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const NO_BYTES = new Uint8Array(0)

/** `undefined` is no bytes at all, so that a handler that answers nothing can be asked. */
export function jsonCodec<T>(options: JsonCodecOptions<T> = {}): Codec<T> {
  const { validate } = options
  return {
    name: 'json',
    encode(value) {
      if (value === undefined) return NO_BYTES
      const text: string | undefined = JSON.stringify(value)
      if (text === undefined) throw new TypeError(`JSON has no ${typeof value}`)
      return ENCODER.encode(text)
    },
    decode(bytes) {
      const value: unknown = bytes.length === 0 ? undefined : JSON.parse(DECODER.decode(bytes))
      return validate === undefined ? (value as T) : validate(value)
    },
  }
}
