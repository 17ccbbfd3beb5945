/** The dead letters of one incident: told one by one up to a bound, then as one sum. Every one of them is counted. */
import type { AssociationEnd } from '../transport/data/association.js'
import { MESSAGING_LIMITS } from './limits.js'
import type { Sender } from './messaging.js'
import type { Office } from './office.js'

export class DeadLetterBox {
  private told = 0
  private rest = 0
  private restBytes = 0
  private restMaybe = false

  constructor(
    private readonly office: Office,
    private readonly peer: Sender,
    private readonly reason: AssociationEnd,
  ) {}

  add(topic: string, bytes: number, maybeDelivered: boolean): void {
    if (this.told < MESSAGING_LIMITS.deadLettersEventsMax) {
      this.told += 1
      this.office.deadLetter({ ...this.base, topic, bytes, count: 1, maybeDelivered })
      return
    }
    this.rest += 1
    this.restBytes += bytes
    this.restMaybe ||= maybeDelivered
  }

  close(): void {
    if (this.rest === 0) return
    const { rest: count, restBytes: bytes, restMaybe: maybeDelivered } = this
    this.rest = 0
    this.office.deadLetter({ ...this.base, topic: '', bytes, count, maybeDelivered })
  }

  private get base() {
    return { type: 'deadLetter', reason: this.reason, peer: this.peer } as const
  }
}
