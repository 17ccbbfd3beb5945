/**
 * Values over a stream of chunks, whose borders mean nothing: each value is its length, 4 bytes little-endian, and its
 * bytes. A length above `messageBytesMax` ends the stream before anything is kept for it.
 */
import { type Codec, CodecError, decodeValue, encodeValue } from './codec.js'
import { MESSAGING_LIMITS } from './limits.js'

const LENGTH_BYTES = 4
const NOTHING = new Uint8Array(0)
const VALUE_BYTES_MAX = MESSAGING_LIMITS.messageBytesMax

/** One chunk per value. Throws `CodecError` for what cannot be encoded, or is too long; then nothing of it was given. */
export async function* encodeStream<T>(
  codec: Codec<T>,
  topic: string,
  values: AsyncIterable<T>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const value of values) {
    const bytes = encodeValue(codec, topic, value)
    if (bytes.length > VALUE_BYTES_MAX) throw tooLong('ERR_SKEIN_INVALID_OPTION', codec, topic, bytes.length)
    const chunk = new Uint8Array(LENGTH_BYTES + bytes.length)
    new DataView(chunk.buffer).setUint32(0, bytes.length, true)
    chunk.set(bytes, LENGTH_BYTES)
    yield chunk
  }
}

/** Throws `CodecError` for what cannot be decoded, is too long, or ends within a value. Chunks are its to keep. */
export async function* decodeStream<T>(
  codec: Codec<T>,
  topic: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<T, void, undefined> {
  const gathered = new Gathered()
  let length: number | undefined
  for await (const chunk of chunks) {
    gathered.add(chunk)
    for (;;) {
      if (length === undefined) {
        const head = gathered.take(LENGTH_BYTES)
        if (head === undefined) break
        length = new DataView(head.buffer, head.byteOffset).getUint32(0, true)
        if (length > VALUE_BYTES_MAX) throw tooLong('ERR_SKEIN_REMOTE_ERROR', codec, topic, length)
      }
      const bytes = gathered.take(length)
      if (bytes === undefined) break
      length = undefined
      yield decodeValue(codec, topic, bytes)
    }
  }
  if (length === undefined && gathered.isEmpty) return
  throw new CodecError(
    'ERR_SKEIN_REMOTE_ERROR',
    codec.name,
    topic,
    'the stream ended within a value; those before it are whole',
  )
}

function tooLong<T>(
  code: 'ERR_SKEIN_INVALID_OPTION' | 'ERR_SKEIN_REMOTE_ERROR',
  codec: Codec<T>,
  topic: string,
  bytes: number,
): CodecError {
  const why = `a value of ${bytes} bytes, more than the ${VALUE_BYTES_MAX} one may have; it ends the stream`
  return new CodecError(code, codec.name, topic, why)
}

/**
 * What has come and was not taken yet. What lies within one chunk is not copied; what does not is gathered in memory that grows with
 * what has really come, so that neither a false length nor a great many small chunks cost more than twice their bytes.
 */
class Gathered {
  #chunk: Uint8Array = NOTHING
  #at = 0
  #held: Uint8Array = NOTHING
  #filled = 0

  get isEmpty(): boolean {
    return this.#filled === 0
  }

  /** Only after `take` has asked for more than there is: then all of the chunk before is held. */
  add(chunk: Uint8Array): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /** The next `count` bytes; undefined while they are not all there. Then ask for the same again after `add`. */
  take(count: number): Uint8Array | undefined {
    const rest = this.#chunk.length - this.#at
    if (this.#filled === 0 && rest >= count) {
      this.#at += count
      return this.#chunk.subarray(this.#at - count, this.#at)
    }
    const part = this.#chunk.subarray(this.#at, this.#at + count - this.#filled)
    this.#grow(this.#filled + part.length, count)
    this.#held.set(part, this.#filled)
    this.#filled += part.length
    this.#at += part.length
    if (this.#filled < count) return undefined
    const taken = this.#held.subarray(0, count)
    this.#held = NOTHING
    this.#filled = 0
    return taken
  }

  #grow(size: number, count: number): void {
    if (this.#held.length >= size) return
    const grown = new Uint8Array(Math.min(count, Math.max(size, 2 * this.#held.length)))
    grown.set(this.#held.subarray(0, this.#filled))
    this.#held = grown
  }
}
