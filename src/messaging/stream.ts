/**
 * One stream, as each of its two ends sees it: two directions that end separately, and break together. The end that opened it
 * and the end that has accepted it differ in who is told of what.
 */
import { SkeinError } from '../errors.js'
import { DataKind, FailureCode } from '../wire/data-frame.js'
import { peerText, remoteFailure, textOf } from './failures.js'
import { InboundContext } from './message-context.js'
import type { MessageStream, Sender, StreamHandler } from './messaging.js'
import { IncomingHalf, type IncomingOwner } from './stream-incoming.js'
import { OutgoingHalf, type OutgoingOwner } from './stream-outgoing.js'
import type { StreamTable } from './streams.js'

/** How a stream breaks: what this end's readers are told, and what the other end is. */
interface Break {
  readonly error: unknown
  /** Nothing that waits is of interest any more. */
  readonly discard?: boolean
  /** Left out: the peer knows, or cannot be told. */
  readonly code?: FailureCode
  readonly text?: string
}

export abstract class Stream implements IncomingOwner, OutgoingOwner {
  readonly incoming = new IncomingHalf(this)
  readonly outgoing = new OutgoingHalf(this)
  isOver = false

  constructor(
    protected readonly table: StreamTable,
    readonly id: number,
    readonly topic: string,
    readonly isOpener: boolean,
  ) {}

  /** What a reset from the peer stands for. */
  protected abstract onResetBy(peer: Sender, code: FailureCode, text: string): void
  /** `broken`: not by both ends having ended. */
  protected abstract onOver(broken: Break | undefined): void

  // ---- frames

  onData(bytes: Uint8Array, from: number, to: number): void {
    if (!this.incoming.take(bytes, from, to)) this.breach('more than it had credit for, or after its end')
  }

  onEnd(): void {
    this.incoming.end()
    this.onProgress()
  }

  onCredit(bytes: number): void {
    this.outgoing.giveCredit(bytes)
    this.onProgress()
  }

  onReset(code: FailureCode, text: string): void {
    this.onResetBy(this.table.peer, code, text)
  }

  /** The peer does not keep to the protocol: this stream is given up, others are not. */
  breach(what: string): void {
    const text = `stream ${JSON.stringify(this.topic)}: ${peerText(this.table.peer)} sent ${what}`
    this.breakOff({
      error: new SkeinError('ERR_SKEIN_STREAM_RESET', `${text}; the stream is reset`),
      code: FailureCode.remoteError,
      text: 'a frame that does not fit the stream',
    })
  }

  // ---- the two halves

  grant(bytes: number): void {
    if (!this.isOver) this.table.writeCredit(this, DataKind.streamCredit, bytes)
  }

  abstract onLeft(): void

  onReady(): void {
    this.table.schedule(this)
  }

  write(bytes: Uint8Array, from: number, to: number): void {
    this.table.writeData(this, bytes, from, to)
  }

  onSourceEnd(): void {
    if (this.isOver) return
    this.outgoing.isEnded = true
    this.table.writeEnd(this)
    this.onProgress()
  }

  abstract onSourceFailed(error: unknown): void

  /** Breaks both directions. */
  breakOff(how: Break): void {
    if (this.isOver) return
    this.isOver = true
    this.table.forget(this)
    if (how.code !== undefined) this.table.writeReset(this, how.code, how.text ?? '')
    this.table.noteReset()
    this.outgoing.stop()
    this.incoming.fail(how.error, how.discard === true)
    this.onOver(how)
  }

  protected onProgress(): void {
    if (this.outgoing.isEnded && this.incoming.isEnded) this.finish()
  }

  protected finish(): void {
    if (this.isOver) return
    this.isOver = true
    this.table.forget(this)
    this.outgoing.stop()
    this.onOver(undefined)
  }
}

export class OpenedStream extends Stream implements MessageStream {
  readonly sent: Promise<void>
  private resolveSent!: () => void
  private rejectSent!: (error: unknown) => void
  private isAccepted = false
  private signal: AbortSignal | undefined
  private readonly onAbort = () =>
    this.breakOff({
      error: abortedError(this.topic, 'by its signal'),
      discard: true,
      code: FailureCode.canceled,
    })

  constructor(table: StreamTable, id: number, topic: string) {
    super(table, id, topic, true)
    this.sent = new Promise((resolve, reject) => {
      this.resolveSent = resolve
      this.rejectSent = reject
    })
    // Not everybody looks at it.
    this.sent.catch(() => {})
  }

  start(source: AsyncIterable<Uint8Array> | undefined, signal: AbortSignal | undefined): void {
    this.signal = signal
    signal?.addEventListener('abort', this.onAbort, { once: true })
    this.outgoing.start(source)
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.incoming[Symbol.asyncIterator]()
  }

  cancel(reason = ''): void {
    this.breakOff({
      error: abortedError(this.topic, reason === '' ? 'here' : `here: ${reason}`),
      discard: true,
      code: FailureCode.canceled,
      text: reason,
    })
  }

  onAccept(windowBytes: number): void {
    if (this.isAccepted) return this.breach('a second acceptance')
    this.isAccepted = true
    this.outgoing.open(windowBytes)
    this.onProgress()
  }

  onLeft(): void {
    this.breakOff({ error: abortedError(this.topic, 'by its reader'), code: FailureCode.canceled })
  }

  onSourceFailed(error: unknown): void {
    this.breakOff({ error, code: FailureCode.remoteError, text: textOf(error) })
  }

  protected override onProgress(): void {
    const isTaken = this.isAccepted && this.outgoing.isRead
    if (this.outgoing.isEnded && (isTaken || this.incoming.isEnded)) this.resolveSent()
    super.onProgress()
  }

  protected onResetBy(peer: Sender, code: FailureCode, text: string): void {
    // Its handler has given all and reads no more: that is an end, not a failure.
    if (code === FailureCode.closed && this.incoming.isEnded) this.finish()
    else this.breakOff({ error: refusalOf(peer, this.topic, code, text) })
  }

  protected onOver(broken: Break | undefined): void {
    this.signal?.removeEventListener('abort', this.onAbort)
    if (broken === undefined) this.resolveSent()
    else this.rejectSent(broken.error)
  }
}

export class AcceptedStream extends Stream {
  private readonly context: InboundContext
  private failure: unknown

  constructor(table: StreamTable, id: number, topic: string) {
    super(table, id, topic, false)
    this.context = new InboundContext(table.peer, topic, 'large', true)
  }

  start(handler: StreamHandler): void {
    try {
      const result: unknown = handler(this.incoming, this.context)
      if (!this.isOver) this.table.accept(this)
      if (isAsyncIterable(result)) this.startSource(result)
      else
        Promise.resolve(result).then(
          () => this.onSourceEnd(),
          (error) => this.onSourceFailed(error),
        )
    } catch (error) {
      this.onSourceFailed(error)
    }
  }

  onLeft(): void {
    this.breakOff({
      error: resetError(this.table.peer, this.topic, 'left by its reader here'),
      code: FailureCode.canceled,
      text: 'its reader has left',
    })
  }

  override onSourceEnd(): void {
    super.onSourceEnd()
    // Who has never begun to read will not when the handler is done.
    if (!this.isOver && !this.incoming.isClaimed) {
      this.table.writeReset(this, FailureCode.closed, '')
      this.incoming.fail(
        resetError(this.table.peer, this.topic, 'not read by its handler, which is done'),
        true,
      )
      this.finish()
    }
  }

  onSourceFailed(error: unknown): void {
    // What the handler was told by us is no failure of its own.
    if (this.isOver && error === this.failure) return
    this.table.handlerFailed(error, this.context)
    this.breakOff({ error, code: FailureCode.remoteError, text: textOf(error) })
  }

  private startSource(source: AsyncIterable<Uint8Array>): void {
    this.outgoing.start(source)
    // The handler itself may have left the stream.
    if (this.isOver) this.outgoing.stop()
  }

  protected onResetBy(peer: Sender, code: FailureCode, text: string): void {
    const why = text === '' ? FailureCode[code] : text
    this.breakOff({ error: resetError(peer, this.topic, `reset by its opener (${why})`) })
  }

  protected onOver(broken: Break | undefined): void {
    if (broken === undefined) return
    this.failure = broken.error
    this.context.abort()
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  if (typeof value !== 'object' || value === null) return false
  return typeof (value as Partial<AsyncIterable<Uint8Array>>)[Symbol.asyncIterator] === 'function'
}

export function abortedError(topic: string, by: string): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_ABORTED',
    `stream ${JSON.stringify(topic)} was canceled ${by}; what was sent may have been handled`,
  )
}

function resetError(peer: Sender, topic: string, what: string): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_STREAM_RESET',
    `stream ${JSON.stringify(topic)} with ${peerText(peer)} was ${what}; it is not complete`,
  )
}

function refusalOf(peer: Sender, topic: string, code: FailureCode, text: string): SkeinError {
  if (code !== FailureCode.canceled && code !== FailureCode.closed)
    return remoteFailure(peer, topic, code, text)
  return resetError(peer, topic, `reset by its handler's end (${text === '' ? FailureCode[code] : text})`)
}
