/** Whoever has the fewest unanswered requests of this router; among equals, one after the other. */
import type { Routee } from './routee.js'
import type { RoutingStrategy } from './strategy.js'

export class LeastInFlight implements RoutingStrategy {
  readonly keyed = false
  /** Where the search begins: without it the first of the equals would get all there is at low load. */
  #from: number

  constructor(random: () => number) {
    this.#from = Math.floor(random() * 2 ** 31)
  }

  choose(routees: readonly Routee[]): Routee {
    const count = routees.length
    let at = this.#from % count
    let best = at
    for (let step = 1; step < count && routees[best]!.inFlight > 0; step++) {
      at = at + 1 === count ? 0 : at + 1
      if (routees[at]!.inFlight < routees[best]!.inFlight) best = at
    }
    this.#from = best + 1
    return routees[best]!
  }
}
