/** Values as FlatBuffers, by the generated code of the user's own schema. */
import { Builder, ByteBuffer, type Offset } from 'flatbuffers'
import { InvalidOptionError } from '../options/invalid-option.js'
import type { Codec } from './codec.js'

export interface FlatbuffersCodecOptions<T> {
  /** For errors. Default `flatbuffers`. */
  readonly name?: string
  /** Writes the root table and returns its offset; the codec finishes the buffer. */
  encode(builder: Builder, value: T): Offset
  /** Reads a root, as `Order.getRootAsOrder(buffer)`, or makes something of it. */
  decode(buffer: ByteBuffer): T
  /**
   * Asked before `decode`, which follows whatever offsets it finds: false for bytes that are not a whole, valid buffer. Leave it out only
   * where every peer is trusted: from bad bytes the reader makes up values, and may not come to an end.
   */
  verify?(bytes: Uint8Array): boolean
  /** The schema's `file_identifier`, four characters: written, and required of a peer's bytes. */
  readonly identifier?: string
  /** True: `decode` reads a handler's bytes where they lie, and what it returns is borrowed. Default false: it reads a copy. */
  readonly borrows?: boolean
  /** What a builder begins with. Default 1024. */
  readonly initialBytes?: number
}

const INITIAL_BYTES = 1024
const IDENTIFIER = /^[\x20-\x7e]{4}$/
/** Offset of the root, then the identifier or part of the root's vtable: no buffer is shorter. */
const BYTES_MIN = 8

/** Throws `ERR_SKEIN_INVALID_OPTION` for an identifier that is none. */
export function flatbuffersCodec<T>(options: FlatbuffersCodecOptions<T>): Codec<T> {
  const { identifier, borrows = false, initialBytes = INITIAL_BYTES } = options
  if (identifier !== undefined && !IDENTIFIER.test(identifier)) {
    throw new InvalidOptionError('identifier', identifier, 'four ASCII characters')
  }
  return {
    name: options.name ?? 'flatbuffers',
    borrows,
    encode(value) {
      const builder = new Builder(initialBytes)
      builder.finish(options.encode(builder, value), identifier)
      return builder.asUint8Array()
    },
    decode(bytes) {
      if (bytes.length < BYTES_MIN) throw new RangeError('too short for a buffer')
      const own = borrows ? bytes : bytes.slice()
      const buffer = new ByteBuffer(own)
      if (identifier !== undefined && !buffer.__has_identifier(identifier)) {
        throw new TypeError(`not a buffer with the identifier ${identifier}`)
      }
      if (options.verify?.(own) === false) throw new TypeError('the verifier refuses them')
      return options.decode(buffer)
    },
  }
}
