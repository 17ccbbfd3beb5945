/** Hashes for rendezvous: the same on every node and platform. Not cryptographic. */
import { mix } from '../../core/hash.js'

const STEP = 0x9e3779b1

/** 32 bits of a text; another `seed` gives another, independent hash. */
export function hashText(text: string, seed: number): number {
  let hash = mix(seed + text.length)
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), STEP)
    hash ^= hash >>> 15
  }
  return mix(hash)
}

/** What `key` and a place come to together, 32 bits. The place has 64: two equal ones would leave one without any key. */
export function weightOf(key: number, placeHigh: number, placeLow: number): number {
  return mix(mix(key ^ placeLow) ^ placeHigh)
}
