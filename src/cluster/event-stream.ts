/**
 * One bounded iterator over events. A reader that falls behind loses nothing silently: what was buffered is
 * delivered in order, then the iterator ends with an error.
 */
import { SkeinError } from '../errors.js'
import type { StreamItem } from './events.js'

interface Waiter {
  resolve(result: IteratorResult<StreamItem, undefined>): void
  reject(error: SkeinError): void
}

export class EventStream implements AsyncIterableIterator<StreamItem, undefined> {
  readonly #bufferMax: number
  readonly #onEnd: (stream: EventStream) => void
  /** Unread items, at most `bufferMax`; empty while somebody waits. */
  #items: StreamItem[] = []
  /** Calls of `next` that are ahead of the events. */
  #waiters: Waiter[] = []
  #ended = false
  /** Told to the reader after the items that came before it. */
  #failure: SkeinError | undefined

  /** `onEnd` is called once, when nothing more is to be pushed. */
  constructor(bufferMax: number, onEnd: (stream: EventStream) => void) {
    this.#bufferMax = bufferMax
    this.#onEnd = onEnd
  }

  /** True when no more items are taken; some may still be unread. */
  get ended(): boolean {
    return this.#ended
  }

  /** True if this item ended the stream by overflow. */
  push(item: StreamItem): boolean {
    if (this.#ended) return false
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: item })
      return false
    }
    if (this.#items.length < this.#bufferMax) {
      this.#items.push(item)
      return false
    }
    this.#failure = new SkeinError(
      'ERR_SKEIN_EVENTS_OVERFLOW',
      `an event iterator held ${this.#bufferMax} unread events and was ended at the next (${item.type}). The cluster ` +
        'is unaffected: read faster, or call events() again, which starts from a fresh snapshot',
      { retryable: true },
    )
    this.end()
    return true
  }

  /** No more items will come; what is buffered can still be read. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    // Waiters exist only while the buffer is empty, so none of them is owed an item.
    for (const waiter of this.#waiters) this.#settle(waiter)
    this.#waiters = []
    this.#onEnd(this)
  }

  /** The next item, or the failure once, or the end. Calls may overlap; they are answered in order. */
  next(): Promise<IteratorResult<StreamItem, undefined>> {
    return new Promise((resolve, reject) => {
      const item = this.#items.shift()
      if (item !== undefined) resolve({ done: false, value: item })
      else if (this.#ended) this.#settle({ resolve, reject })
      else this.#waiters.push({ resolve, reject })
    })
  }

  /** Unsubscribes and forgets what was buffered; `for await` calls it on `break`. */
  return(): Promise<IteratorResult<StreamItem, undefined>> {
    this.#items = []
    this.#failure = undefined
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** A failure is told once; afterwards the iterator is simply over. */
  #settle(waiter: Waiter): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure === undefined) waiter.resolve({ done: true, value: undefined })
    else waiter.reject(failure)
  }
}
