/** One after the other in the order of addresses. Who comes or goes disturbs nobody's turn but its own. */
import { compareAddress } from '../../core/address.js'
import type { Member } from '../../core/model.js'
import type { Routee } from './routee.js'
import type { RoutingStrategy } from './strategy.js'

export class RoundRobin implements RoutingStrategy {
  readonly keyed = false
  readonly #random: () => number
  /** Where `#last` stands in `#list`; only valid for that very list. */
  #at = 0
  #list: readonly Routee[] | undefined
  #last: Member | undefined

  constructor(random: () => number) {
    this.#random = random
  }

  choose(routees: readonly Routee[]): Routee {
    this.#at = routees === this.#list ? (this.#at + 1) % routees.length : this.#successor(routees)
    this.#list = routees
    const chosen = routees[this.#at]!
    this.#last = chosen.member
    return chosen
  }

  /** Who comes next after the last one chosen, which need not be in this list. */
  #successor(routees: readonly Routee[]): number {
    const last = this.#last
    if (last === undefined) return Math.floor(this.#random() * routees.length)
    const next = routees.findIndex(({ member }) => {
      const order = compareAddress(member.address, last.address)
      return order > 0 || (order === 0 && member.uid > last.uid)
    })
    return next === -1 ? 0 : next
  }
}
