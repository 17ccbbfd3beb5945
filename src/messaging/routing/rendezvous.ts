/**
 * Consistent choice by key (Thaler and Ravishankar, "highest random weight"): every router in the cluster that sees the
 * same members chooses the same one; who comes or goes moves the keys that are its own, and no others.
 */
import { hashText, weightOf } from './hash.js'
import type { Routee } from './routee.js'
import type { RoutingStrategy } from './strategy.js'

const KEY_SEED = 0

export class Rendezvous implements RoutingStrategy {
  readonly keyed = true

  choose(routees: readonly Routee[], key: string): Routee {
    const hash = hashText(key, KEY_SEED)
    let best = routees[0]!
    let bestWeight = weightOf(hash, best.placeHigh, best.placeLow)
    for (let i = 1; i < routees.length; i++) {
      const routee = routees[i]!
      const weight = weightOf(hash, routee.placeHigh, routee.placeLow)
      if (weight < bestWeight || (weight === bestWeight && routee.member.uid > best.member.uid)) continue
      best = routee
      bestWeight = weight
    }
    return best
  }
}
