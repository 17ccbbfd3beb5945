/** Values instead of bytes: what a codec is, and how its failures are told. Codecs sit above messaging, which knows none. */
import { SkeinError } from '../errors.js'
import type { BorrowedBytes } from './messaging.js'

export interface Codec<T> {
  /** For errors, as in `json`. */
  readonly name: string
  /** True when a decoded value refers to its bytes: a handler's value is then borrowed as bytes are. Default false. */
  readonly borrows?: boolean
  /** Bytes that nobody writes to afterwards. Throws for what it cannot encode. */
  encode(value: T): Uint8Array
  /** Throws for bytes of a peer that are no `T`. Unless the codec borrows, nothing of the value refers to `bytes`. */
  decode(bytes: BorrowedBytes | Uint8Array): T
}

/**
 * A codec and a value, or a peer's bytes, do not fit. `ERR_SKEIN_INVALID_OPTION`: the value could not be encoded, nothing was
 * sent. `ERR_SKEIN_REMOTE_ERROR`: what came could not be decoded; it was delivered, and a request may have been handled.
 */
export class CodecError extends SkeinError {
  readonly codec: string
  readonly topic: string

  constructor(
    code: 'ERR_SKEIN_INVALID_OPTION' | 'ERR_SKEIN_REMOTE_ERROR',
    codec: string,
    topic: string,
    message: string,
    cause?: unknown,
  ) {
    super(code, `codec ${codec}, topic ${JSON.stringify(topic)}: ${message}`, { cause })
    this.codec = codec
    this.topic = topic
  }
}

/** Throws `CodecError`, whatever the codec throws. */
export function encodeValue<T>(codec: Codec<T>, topic: string, value: T): Uint8Array {
  let bytes: unknown
  try {
    bytes = codec.encode(value)
  } catch (error) {
    const why = `the value cannot be encoded (${reasonOf(error)}). Nothing was sent; correct the value`
    throw new CodecError('ERR_SKEIN_INVALID_OPTION', codec.name, topic, why, error)
  }
  if (bytes instanceof Uint8Array) return bytes
  const why = `encode() gave ${typeof bytes} instead of a Uint8Array. Nothing was sent; correct the codec`
  throw new CodecError('ERR_SKEIN_INVALID_OPTION', codec.name, topic, why)
}

/** Throws `CodecError`, whatever the codec throws. */
export function decodeValue<T>(codec: Codec<T>, topic: string, bytes: BorrowedBytes | Uint8Array): T {
  try {
    return codec.decode(bytes)
  } catch (error) {
    const why = `${bytes.length} bytes of the peer cannot be decoded (${reasonOf(error)}). Both ends need the same codec and schema`
    throw new CodecError('ERR_SKEIN_REMOTE_ERROR', codec.name, topic, why, error)
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
