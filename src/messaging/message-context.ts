/** What a handler is told besides the bytes. Made for each message, so it stays small. */
import type { DataLane } from '../transport/transport.js'
import type { MessageContext, Sender } from './messaging.js'

const NEVER = new AbortController().signal

export class InboundContext implements MessageContext {
  private controller: AbortController | undefined
  private aborted = false

  constructor(
    readonly from: Sender,
    readonly topic: string,
    readonly lane: DataLane,
    private readonly abortable: boolean,
  ) {}

  get signal(): AbortSignal {
    if (!this.abortable) return NEVER
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.aborted) this.controller.abort()
    }
    return this.controller.signal
  }

  /** Its sender does not wait any more. */
  abort(): void {
    this.aborted = true
    this.controller?.abort()
  }
}
