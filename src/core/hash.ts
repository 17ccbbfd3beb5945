/** Small, fast, seedless hashes over uids: positions on rings and the digest of a version vector. Not cryptographic. */
import type { Uid } from './address.js'

/** Murmur3's finaliser: every input bit reaches every output bit. */
export function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

function high(uid: Uid): number {
  return Number.parseInt(uid.slice(0, 8), 16)
}

function low(uid: Uid): number {
  return Number.parseInt(uid.slice(8), 16)
}

/** Where `uid` stands on ring number `ring`: 32 bits, independent from ring to ring. */
export function ringPosition(uid: Uid, ring: number): number {
  return mix(low(uid) ^ mix(high(uid) ^ mix(ring + 0x9e3779b9)))
}

/** A running 64-bit digest of a version vector: the exclusive or of one hash per component, so order is irrelevant. */
export class VectorDigest {
  high = 0
  low = 0

  /** Adds a component that is absent, or takes out one that is present. */
  toggle(origin: Uid, seq: number): void {
    const a = mix(high(origin) ^ mix(low(origin) ^ 0x51ed270b))
    const b = mix(low(origin) ^ mix(high(origin) ^ 0x2545f491))
    this.high = (this.high ^ mix(a ^ mix(seq))) >>> 0
    this.low = (this.low ^ mix(b + mix(seq ^ 0x68e31da4))) >>> 0
  }
}
