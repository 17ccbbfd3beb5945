/**
 * What is known of other incarnations: the pair's link, its session and dial numbers, quarantine. Remembers a
 * bounded number of incarnations beyond those in use; forgetting one only restarts its numbers.
 */
import { type Address, formatAddress, type Uid } from '../../core/address.js'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../limits.js'
import type { QuarantineReason } from '../transport.js'
import type { Connection } from './connection.js'
import type { Counters } from './counters.js'
import type { Watch } from './watch.js'

/** Where dial numbers end: they are of 32 bits. */
export const DIAL_MAX = 0xffff_ffff

export class Peer {
  link: Connection | undefined
  /** Advertised address of the last link. */
  address: Address | undefined
  session = 0
  /** Highest dial number known for the pair. */
  dialMax = 0
  watch: Watch | undefined
  /** `disconnect` was asked for: the link is closed as soon as neither end watches the other. */
  unwanted = false
  loopAgeMs = 0
  rttMs = Number.NaN

  constructor(readonly uid: Uid) {}

  /** Whether a link to it was ever complete. */
  get heard(): boolean {
    return this.session > 0
  }

  noteDial(dial: number): void {
    this.dialMax = Math.max(this.dialMax, Math.min(dial, DIAL_MAX))
  }
}

/** The dial number to use after `dialMax`. */
export function nextDial(dialMax: number): number {
  return Math.min(dialMax + 1, DIAL_MAX)
}

export class PeerTable {
  private readonly peers = new Map<Uid, Peer>()
  /** Neither linked nor watched, the longest rested first: only these are forgotten. */
  private readonly resting = new Map<Uid, Peer>()
  private readonly linkedByAddress = new Map<string, Peer>()
  private readonly quarantined = new Map<Uid, QuarantineReason>()

  constructor(private readonly counters: Counters) {}

  get(uid: Uid): Peer | undefined {
    return this.peers.get(uid)
  }

  ensure(uid: Uid): Peer {
    const known = this.peers.get(uid)
    if (known !== undefined) return known
    const peer = new Peer(uid)
    this.peers.set(uid, peer)
    this.settle(peer)
    return peer
  }

  all(): IterableIterator<Peer> {
    return this.peers.values()
  }

  isLinked(uid: Uid | undefined): boolean {
    return uid !== undefined && this.peers.get(uid)?.link !== undefined
  }

  /** The linked peer that advertises this address, given as `formatAddress` writes it. */
  linkedAt(addressKey: string): Peer | undefined {
    return this.linkedByAddress.get(addressKey)
  }

  setLink(peer: Peer, link: Connection, address: Address): void {
    this.clearAddress(peer)
    peer.link = link
    peer.address = address
    peer.session += 1
    link.session = peer.session
    this.linkedByAddress.set(formatAddress(address), peer)
    this.settle(peer)
  }

  clearLink(peer: Peer): void {
    peer.link = undefined
    peer.unwanted = false
    this.clearAddress(peer)
    this.settle(peer)
  }

  setWatch(peer: Peer, watch: Watch | undefined): void {
    peer.watch = watch
    this.settle(peer)
  }

  quarantine(uid: Uid, reason: QuarantineReason): void {
    if (this.quarantined.has(uid)) return
    this.quarantined.set(uid, reason)
    if (this.quarantined.size <= TRANSPORT_LIMITS.quarantinedMax) return
    const oldest = this.quarantined.keys().next().value!
    this.quarantined.delete(oldest)
    this.counters.quarantinedForgotten += 1
  }

  quarantineReason(uid: Uid): QuarantineReason | undefined {
    return this.quarantined.get(uid)
  }

  private clearAddress(peer: Peer): void {
    if (peer.address === undefined) return
    const key = formatAddress(peer.address)
    if (this.linkedByAddress.get(key) === peer) this.linkedByAddress.delete(key)
  }

  private settle(peer: Peer): void {
    this.resting.delete(peer.uid)
    if (peer.link !== undefined || peer.watch !== undefined) return
    this.resting.set(peer.uid, peer)
    if (this.resting.size <= CONTROL_LINK_LIMITS.pairsMax) return
    const oldest = this.resting.keys().next().value!
    this.resting.delete(oldest)
    this.peers.delete(oldest)
  }
}
