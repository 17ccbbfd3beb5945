/**
 * The less busy of two members drawn at random (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"):
 * nearly as even as asking all, and many routers do not rush to one member together.
 */
import type { Routee } from './routee.js'
import type { RoutingStrategy } from './strategy.js'

export class PowerOfTwoChoices implements RoutingStrategy {
  readonly keyed = false
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  choose(routees: readonly Routee[]): Routee {
    const count = routees.length
    const at = Math.floor(this.#random() * count)
    const one = routees[at]!
    if (count === 1) return one
    // Drawn from the others, so that the two are never the same.
    const other = routees[(at + 1 + Math.floor(this.#random() * (count - 1))) % count]!
    return other.inFlight < one.inFlight ? other : one
  }
}
