/**
 * The messaging API, as a cluster and a standalone transport both have it. Bytes in, bytes out; a codec may sit above.
 *
 * Delivery: within the ordinary lane of one pair of incarnations messages arrive once and in the order of their sending, also
 * across reconnects. A message above `largeMessageBytes` travels on the large lane,
 * in chunks that take turns with those of others: it may be overtaken, also by a later large one. What cannot be delivered
 * is a dead letter with its reason; whether its last part had arrived may then be unknown.
 */
import type { Address, Uid } from '../core/address.js'
import type { DataLane } from '../transport/transport.js'

declare const borrowed: unique symbol

/**
 * Bytes in a receive buffer: valid until the handler that was given them returns, or for an asynchronous one until its first
 * `await`. `copyBytes` makes them yours. With `debugPoison` they are overwritten (0xDB) as soon as they are no longer valid.
 */
export type BorrowedBytes = Uint8Array & { readonly [borrowed]: true }

/** The other end of an association. */
export interface Sender {
  readonly uid: Uid
  readonly nodeId: string
  readonly address: Address
}

/** What is known of a message besides its bytes. */
export interface MessageContext {
  readonly from: Sender
  readonly topic: string
  readonly lane: DataLane
  /** Of a request or a stream: aborted when its sender has given it up, or is gone. Of a message: never. */
  readonly signal: AbortSignal
}

/** Answers a request with what it returns; of a message the result is ignored. What it throws becomes `ERR_SKEIN_REMOTE_ERROR`. */
export type Handler = (
  bytes: BorrowedBytes,
  context: MessageContext,
) => Uint8Array | undefined | void | Promise<Uint8Array | undefined | void>

/**
 * Chunks in, chunks out; they are the receiver's to keep. Their bytes stay in order, but where a chunk begins and ends is not kept:
 * long ones are cut, small ones may arrive together. Either side may end first; leaving a loop early cancels the stream. A handler
 * that is done and has not begun to read ends it too. What it throws becomes `ERR_SKEIN_REMOTE_ERROR` at the opener's end.
 */
export type StreamHandler = (
  incoming: AsyncIterable<Uint8Array>,
  context: MessageContext,
) => AsyncIterable<Uint8Array> | Promise<void>

export interface SendOptions {
  /** Default: by size. `large` keeps a message from delaying small ones; a message too long for the ordinary lane always takes it. */
  readonly lane?: DataLane
}

export interface RequestOptions extends SendOptions {
  /** Default 10_000. */
  readonly timeoutMs?: number
  /** Gives the request up: the handler's signal is aborted, and the promise rejects with `ERR_SKEIN_ABORTED`. */
  readonly signal?: AbortSignal
}

export interface StreamOptions {
  readonly signal?: AbortSignal
}

/** The other half of a stream that this side has opened. Leaving its loop early cancels both directions. Unread, it holds the handler up. */
export interface MessageStream extends AsyncIterable<Uint8Array> {
  /** Resolves when the peer's reader has taken all that `source` gave, or its handler has ended; rejects with what broke the stream. */
  readonly sent: Promise<void>
  cancel(reason?: string): void
}

/** A peer under one name: saves the look-up where many messages go to one. */
export interface Peer {
  /**
   * Queues a message. True while the outbox is below its high-water mark; false asks for `drain`. The bytes are copied.
   * Throws `ERR_SKEIN_OUTBOX_FULL`, `ERR_SKEIN_FRAME_TOO_LARGE`, `ERR_SKEIN_CLOSED`; then nothing was queued.
   */
  send(topic: string, bytes: Uint8Array, options?: SendOptions): boolean
  /**
   * Resolves with the answer, which is the caller's to keep. Rejects with `ERR_SKEIN_UNREACHABLE`, `_QUARANTINED`, `_TIMEOUT`,
   * `_NO_HANDLER`, `_BUSY`, `_REMOTE_ERROR`, `_ABORTED`, `_OUTBOX_FULL`, `_CLOSED`. Except after `_NO_HANDLER`, `_BUSY` and `_OUTBOX_FULL` it may have been handled.
   */
  request(topic: string, bytes: Uint8Array, options?: RequestOptions): Promise<Uint8Array>
  /**
   * Opens a stream; `source` is read as fast as the peer takes it. Throws `ERR_SKEIN_OUTBOX_FULL`, `_ABORTED`, `_CLOSED`; then nothing was
   * opened. The stream breaks with `_NO_HANDLER`, `_BUSY`, `_REMOTE_ERROR`, `_STREAM_RESET`, `_ABORTED`, `_UNREACHABLE`, `_QUARANTINED`, `_CLOSED`.
   */
  stream(topic: string, source?: AsyncIterable<Uint8Array>, options?: StreamOptions): MessageStream
  readonly writableNeedDrain: boolean
  /** Resolves once the outbox is below its low-water mark, or the peer is given up. */
  drain(): Promise<void>
}

export type DeadLetterReason =
  | 'unreachable'
  | 'quarantined'
  | 'left'
  | 'peerReset'
  | 'closed'
  | 'noHandler'
  | 'outboxFull'
  | 'refused'

/** A message that was not delivered, or not known to be. */
export interface DeadLetter {
  readonly type: 'deadLetter'
  readonly reason: DeadLetterReason
  /** The other end: whom it was for or, with `noHandler` and `refused`, whom it came from. */
  readonly peer: Sender
  /** Empty where messages are only counted. */
  readonly topic: string
  readonly bytes: number
  /** Messages this event stands for: 1, or what is left after `deadLettersEventsMax` of one incident. */
  readonly count: number
  /** True when it had left this node: it may have been delivered all the same. */
  readonly maybeDelivered: boolean
}

/** `To` names a peer: a member in a cluster, an address on a standalone transport, or the `from` of a message anywhere. */
export interface Messaging<To> {
  /** See `Peer`; in a cluster they throw or reject with `ERR_SKEIN_NOT_MEMBER` too. */
  send(to: To, topic: string, bytes: Uint8Array, options?: SendOptions): boolean
  request(to: To, topic: string, bytes: Uint8Array, options?: RequestOptions): Promise<Uint8Array>
  stream(to: To, topic: string, source?: AsyncIterable<Uint8Array>, options?: StreamOptions): MessageStream
  peer(to: To): Peer
  /** One handler per topic; throws `ERR_SKEIN_INVALID_OPTION` for a second. Returns what takes it away again. */
  handle(topic: string, handler: Handler): () => void
  handleStream(topic: string, handler: StreamHandler): () => void
}

/** Bytes that stay. */
export function copyBytes(bytes: BorrowedBytes): Uint8Array {
  return bytes.slice()
}
