/**
 * Requests of one peer that wait for an answer. A correlation names a slot and how often the slot was used, so that a late
 * answer to a request that was given up never settles another one.
 */
import { MESSAGING_LIMITS } from './limits.js'

const SLOT_BITS = 16
const SLOT_MASK = (1 << SLOT_BITS) - 1
const USES_MASK = 0xffff

export interface PendingRequest {
  readonly topic: string
  readonly deadlineMs: number
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
  /** The caller's signal, and our listener on it. */
  readonly signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
  /** It went by the large lane. */
  isLarge?: boolean
}

export class RequestTable {
  private readonly slots: (PendingRequest | undefined)[] = []
  private readonly uses: number[] = []
  private readonly free: number[] = []
  size = 0

  /** `origin`: where the count of uses begins, so that a table is not answered what another one asked of the same peer. */
  constructor(private readonly origin = 0) {}

  /** The correlation of a new request; undefined when `requestsInFlightMax` wait. */
  add(request: PendingRequest): number | undefined {
    let slot = this.free.pop()
    if (slot === undefined) {
      if (this.slots.length >= MESSAGING_LIMITS.requestsInFlightMax) return undefined
      slot = this.slots.length
      this.slots.push(undefined)
      this.uses.push(this.origin & USES_MASK)
    }
    this.slots[slot] = request
    this.size += 1
    return ((this.uses[slot]! << SLOT_BITS) | slot) >>> 0
  }

  /** Removes and returns the request that a correlation names, if it still waits. */
  take(correlation: number): PendingRequest | undefined {
    const slot = correlation & SLOT_MASK
    const request = this.slots[slot]
    if (request === undefined || this.uses[slot] !== correlation >>> SLOT_BITS) return undefined
    this.slots[slot] = undefined
    this.uses[slot] = (this.uses[slot]! + 1) & USES_MASK
    this.free.push(slot)
    this.size -= 1
    if (request.onAbort !== undefined) request.signal!.removeEventListener('abort', request.onAbort)
    return request
  }

  /** Removes the requests that are due; returns the earliest deadline left. */
  takeDue(nowMs: number, each: (correlation: number, request: PendingRequest) => void): number {
    let earliest = Number.POSITIVE_INFINITY
    for (let slot = 0; slot < this.slots.length; slot += 1) {
      const request = this.slots[slot]
      if (request === undefined) continue
      if (request.deadlineMs > nowMs) {
        if (request.deadlineMs < earliest) earliest = request.deadlineMs
        continue
      }
      const correlation = ((this.uses[slot]! << SLOT_BITS) | slot) >>> 0
      this.take(correlation)
      each(correlation, request)
    }
    return earliest
  }

  /** Removes all of them. */
  takeAll(each: (request: PendingRequest) => void): void {
    this.takeDue(Number.POSITIVE_INFINITY, (_, request) => each(request))
  }
}
