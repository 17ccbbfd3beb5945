/** Messaging with values in place of bytes; one view per pair of codecs, any number of them over one messaging. */
import { type Codec, decodeValue, encodeValue } from './codec.js'
import { decodeStream, encodeStream } from './codec-stream.js'
import type {
  MessageContext,
  MessageStream,
  Messaging,
  RequestOptions,
  SendOptions,
  StreamOptions,
} from './messaging.js'

/** See `Handler`. Of a codec that borrows, `value` is valid as long as borrowed bytes are. */
export type TypedHandler<In, Out> = (
  value: In,
  context: MessageContext,
) => Out | undefined | void | Promise<Out | undefined | void>

/** See `StreamHandler`. */
export type TypedStreamHandler<In, Out> = (
  incoming: AsyncIterable<In>,
  context: MessageContext,
) => AsyncIterable<Out> | Promise<void>

/** See `MessageStream`. What cannot be decoded throws `CodecError` into its loop, which cancels the stream. */
export interface TypedStream<Out> extends AsyncIterable<Out> {
  readonly sent: Promise<void>
  cancel(reason?: string): void
}

/**
 * See `Messaging`. `In` is what is sent and asked, `Out` what is answered. What cannot be encoded throws or rejects with `CodecError` and is not
 * sent, and so does an answer that cannot be decoded. A message that cannot be decoded does not reach its handler: it counts as a
 * handler that failed, with a `CodecError`, and of a request the sender gets `ERR_SKEIN_REMOTE_ERROR`.
 */
export interface TypedMessaging<To, In, Out> {
  send(to: To, topic: string, value: In, options?: SendOptions): boolean
  request(to: To, topic: string, value: In, options?: RequestOptions): Promise<Out>
  stream(to: To, topic: string, source?: AsyncIterable<In>, options?: StreamOptions): TypedStream<Out>
  /** Of an answer of `undefined` the sender gets no bytes, as from a handler of bytes. */
  handle(topic: string, handler: TypedHandler<In, Out>): () => void
  handleStream(topic: string, handler: TypedStreamHandler<In, Out>): () => void
}

/** `answers` where they are of another type than what is asked. */
export function withCodec<To, T>(messaging: Messaging<To>, codec: Codec<T>): TypedMessaging<To, T, T>
export function withCodec<To, In, Out>(
  messaging: Messaging<To>,
  codec: Codec<In>,
  answers: Codec<Out>,
): TypedMessaging<To, In, Out>
export function withCodec<To, T>(
  messaging: Messaging<To>,
  codec: Codec<T>,
  answers: Codec<T> = codec,
): TypedMessaging<To, T, T> {
  return new CodecMessaging(messaging, codec, answers)
}

class CodecMessaging<To, In, Out> implements TypedMessaging<To, In, Out> {
  readonly #messaging: Messaging<To>
  readonly #asked: Codec<In>
  readonly #answered: Codec<Out>

  constructor(messaging: Messaging<To>, asked: Codec<In>, answered: Codec<Out>) {
    this.#messaging = messaging
    this.#asked = asked
    this.#answered = answered
  }

  send(to: To, topic: string, value: In, options?: SendOptions): boolean {
    return this.#messaging.send(to, topic, encodeValue(this.#asked, topic, value), options)
  }

  async request(to: To, topic: string, value: In, options?: RequestOptions): Promise<Out> {
    const bytes = encodeValue(this.#asked, topic, value)
    return decodeValue(this.#answered, topic, await this.#messaging.request(to, topic, bytes, options))
  }

  stream(to: To, topic: string, source?: AsyncIterable<In>, options?: StreamOptions): TypedStream<Out> {
    const chunks = source === undefined ? undefined : encodeStream(this.#asked, topic, source)
    return new DecodedStream(this.#messaging.stream(to, topic, chunks, options), this.#answered, topic)
  }

  handle(topic: string, handler: TypedHandler<In, Out>): () => void {
    const encode = (answer: Out | undefined | void): Uint8Array | undefined =>
      answer === undefined ? undefined : encodeValue(this.#answered, topic, answer as Out)
    return this.#messaging.handle(topic, (bytes, context) => {
      const answer = handler(decodeValue(this.#asked, topic, bytes), context)
      return answer instanceof Promise ? answer.then(encode) : encode(answer)
    })
  }

  handleStream(topic: string, handler: TypedStreamHandler<In, Out>): () => void {
    return this.#messaging.handleStream(topic, (incoming, context) => {
      const outgoing = handler(decodeStream(this.#asked, topic, incoming), context)
      return Symbol.asyncIterator in outgoing ? encodeStream(this.#answered, topic, outgoing) : outgoing
    })
  }
}

class DecodedStream<Out> implements TypedStream<Out> {
  readonly #stream: MessageStream
  readonly #codec: Codec<Out>
  readonly #topic: string

  constructor(stream: MessageStream, codec: Codec<Out>, topic: string) {
    this.#stream = stream
    this.#codec = codec
    this.#topic = topic
  }

  get sent(): Promise<void> {
    return this.#stream.sent
  }

  cancel(reason?: string): void {
    this.#stream.cancel(reason)
  }

  [Symbol.asyncIterator](): AsyncIterator<Out> {
    return decodeStream(this.#codec, this.#topic, this.#stream)
  }
}
