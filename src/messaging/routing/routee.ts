/** A member as one router sees it: whom it may choose, and what it has learned of it by sending. */
import type { Member } from '../../core/model.js'
import { hashText } from './hash.js'

export class Routee {
  /** Replaced when the cluster's word on the member changes. */
  member: Member
  /** Requests of this router that are not answered yet. */
  inFlight = 0
  /** Until then it is passed over where another can be chosen. */
  setAsideUntilMs = Number.NEGATIVE_INFINITY
  /** Quarantined: nothing will ever go to this incarnation. */
  lost = false
  /**
   * Its place for rendezvous, 64 bits in two halves. Of the nodeId, which survives a restart: keys come home to the next
   * incarnation.
   */
  readonly placeHigh: number
  readonly placeLow: number

  constructor(member: Member) {
    this.member = member
    this.placeHigh = hashText(member.nodeId, 1)
    this.placeLow = hashText(member.nodeId, 2)
  }
}
