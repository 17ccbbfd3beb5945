/** One end that talks to itself: what is sent comes in through lent memory, which is overwritten when the handler has returned. */
import type { SkeinError } from '../../src/errors.js'
import type {
  BorrowedBytes,
  Handler,
  MessageContext,
  MessageStream,
  Messaging,
  Peer,
  SendOptions,
  StreamHandler,
} from '../../src/messaging/messaging.js'

const POISON = 0xdb
const NO_BYTES = new Uint8Array(0)

export class Loopback implements Messaging<string> {
  readonly handlers = new Map<string, Handler>()
  readonly streams = new Map<string, StreamHandler>()
  /** What went through, as bytes of one's own. */
  readonly sent: Uint8Array[] = []
  readonly options: unknown[] = []
  /** What handlers threw. */
  readonly failures: unknown[] = []
  readonly canceled: (string | undefined)[] = []
  /** Bytes of the pieces that streams are cut into, whatever chunks they were given in; 0: as given. */
  cutBytes = 0

  send(_to: string, topic: string, bytes: Uint8Array, options?: SendOptions): boolean {
    this.sent.push(bytes.slice())
    this.options.push(options)
    const failed = (error: unknown) => void this.failures.push(error)
    try {
      const result = this.#lend(topic, bytes)
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
    return true
  }

  async request(_to: string, topic: string, bytes: Uint8Array, options?: SendOptions): Promise<Uint8Array> {
    this.sent.push(bytes.slice())
    this.options.push(options)
    return ((await this.#lend(topic, bytes)) ?? NO_BYTES).slice()
  }

  stream(_to: string, topic: string, source?: AsyncIterable<Uint8Array>): MessageStream {
    const outgoing = this.streams.get(topic)!(this.#cut(source ?? nothing()), context(topic))
    if (!(Symbol.asyncIterator in outgoing)) throw new Error('the handler gives no stream')
    const chunks = this.#cut(outgoing)
    return {
      sent: Promise.resolve(),
      cancel: (reason) => void this.canceled.push(reason),
      [Symbol.asyncIterator]: () => chunks[Symbol.asyncIterator](),
    }
  }

  peer(): Peer {
    throw new Error('not in this test')
  }

  handle(topic: string, handler: Handler): () => void {
    this.handlers.set(topic, handler)
    return () => void this.handlers.delete(topic)
  }

  handleStream(topic: string, handler: StreamHandler): () => void {
    this.streams.set(topic, handler)
    return () => void this.streams.delete(topic)
  }

  #lend(topic: string, bytes: Uint8Array): ReturnType<Handler> {
    const lent = bytes.slice() as BorrowedBytes
    try {
      return this.handlers.get(topic)!(lent, context(topic))
    } finally {
      lent.fill(POISON)
    }
  }

  async *#cut(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      const step = this.cutBytes || Math.max(chunk.length, 1)
      for (let at = 0; at < chunk.length; at += step) yield chunk.slice(at, at + step)
    }
  }
}

function context(topic: string): MessageContext {
  return {
    from: { uid: '0000000000000001', nodeId: 'n1', address: { host: '127.0.0.1', port: 1 } },
    topic,
    lane: 'ordinary',
    signal: new AbortController().signal,
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

export async function* stream<T>(values: Iterable<T>): AsyncGenerator<T> {
  for (const value of values) yield value
}

export async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const value of values) list.push(value)
  return list
}

/** What `run` throws or rejects with; fails the test when it does neither. */
export async function errorOf(run: () => unknown): Promise<SkeinError> {
  try {
    await run()
  } catch (error) {
    return error as SkeinError
  }
  throw new Error('nothing was thrown')
}
