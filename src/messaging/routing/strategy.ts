/** How a router chooses among the members it may choose. A strategy sees nothing else, and sends nothing. */
import { LeastInFlight } from './least-in-flight.js'
import { PowerOfTwoChoices } from './power-of-two-choices.js'
import { Rendezvous } from './rendezvous.js'
import { RoundRobin } from './round-robin.js'
import type { Routee } from './routee.js'

export const ROUTING_STRATEGIES = ['roundRobin', 'leastInFlight', 'rendezvous', 'powerOfTwoChoices'] as const
export type RoutingStrategyName = (typeof ROUTING_STRATEGIES)[number]

export interface RoutingStrategy {
  /** True when a key decides: what belongs together must then stay together, so nothing but a failed request goes elsewhere. */
  readonly keyed: boolean
  /** One of `routees`: at least one, each once, ordered by address. `key` is empty for a strategy without keys. */
  choose(routees: readonly Routee[], key: string): Routee
}

/** `random` gives numbers in [0, 1); it also spreads the first choices of routers that start together. */
export function routingStrategy(name: RoutingStrategyName, random: () => number): RoutingStrategy {
  switch (name) {
    case 'roundRobin':
      return new RoundRobin(random)
    case 'leastInFlight':
      return new LeastInFlight(random)
    case 'rendezvous':
      return new Rendezvous()
    case 'powerOfTwoChoices':
      return new PowerOfTwoChoices(random)
  }
}
