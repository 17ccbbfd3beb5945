/** Associations by incarnation and by address, and the control links that stand, also those to peers without an association. */
import { formatAddress, type Uid } from '../../core/address.js'
import type { PeerHello } from '../transport.js'
import type { Association } from './association.js'
import type { Lane } from './lane.js'

/** What is kept of a link: there may be thousands without an association. */
interface LinkRecord {
  readonly nodeId: string
  /** `host:port`. */
  readonly name: string
}

export class AssociationTable<T, C> {
  private readonly all = new Set<Association<T, C>>()
  private readonly byUid = new Map<Uid, Association<T, C>>()
  private readonly byAddress = new Map<string, Association<T, C>>()
  private readonly links = new Map<Uid, LinkRecord>()
  private readonly linkedAt = new Map<string, Uid>()

  get size(): number {
    return this.all.size
  }

  values(): IterableIterator<Association<T, C>> {
    return this.all.values()
  }

  get(uid: Uid): Association<T, C> | undefined {
    return this.byUid.get(uid)
  }

  /** By `host:port`. */
  at(name: string): Association<T, C> | undefined {
    return this.byAddress.get(name)
  }

  add(association: Association<T, C>): void {
    this.all.add(association)
    if (association.uid !== '') this.learn(association, association.uid)
  }

  /** It is the one meant by its address, unless another one is. */
  settle(association: Association<T, C>): void {
    const name = formatAddress(association.address)
    if (!this.byAddress.has(name)) this.byAddress.set(name, association)
  }

  /** One made for an address, now that it is known who lives there. */
  named(waiting: Association<T, C> | undefined, uid: Uid): Association<T, C> | undefined {
    if (waiting === undefined || waiting.uid !== '') return undefined
    this.learn(waiting, uid)
    return waiting
  }

  remove(association: Association<T, C>): void {
    this.all.delete(association)
    if (this.byUid.get(association.uid) === association) this.byUid.delete(association.uid)
    const name = formatAddress(association.address)
    if (this.byAddress.get(name) === association) this.byAddress.delete(name)
  }

  /** The one that nothing has used for longest and nothing needs. */
  idleForLongest(): Association<T, C> | undefined {
    let oldest: Association<T, C> | undefined
    for (const association of this.all) {
      if (association.hasSocket || association.hasWork) continue
      if (oldest === undefined || association.usedAtMs < oldest.usedAtMs) oldest = association
    }
    return oldest
  }

  /** The open lane without traffic for longest, of those that nothing needs. */
  laneUsedLeastRecently(): [Association<T, C>, Lane<T>] | undefined {
    let oldest: [Association<T, C>, Lane<T>] | undefined
    for (const association of this.all) {
      for (const lane of association.lanes()) {
        if (lane.socket === undefined || lane.isNeeded || lane.owesAck) continue
        if (oldest === undefined || lane.usedAtMs < oldest[1].usedAtMs) oldest = [association, lane]
      }
    }
    return oldest
  }

  linkUp(peer: PeerHello): void {
    const name = formatAddress(peer.address)
    this.links.set(peer.uid, { nodeId: peer.nodeId, name })
    this.linkedAt.set(name, peer.uid)
  }

  linkDown(uid: Uid): void {
    const link = this.links.get(uid)
    if (link === undefined) return
    this.links.delete(uid)
    if (this.linkedAt.get(link.name) === uid) this.linkedAt.delete(link.name)
  }

  /** Who is linked at an address; empty: nobody. */
  linkedUidAt(name: string): Uid {
    return this.linkedAt.get(name) ?? ''
  }

  private learn(association: Association<T, C>, uid: Uid): void {
    const link = this.links.get(uid)
    association.uid = uid
    association.linked = link !== undefined
    if (link !== undefined) association.nodeId = link.nodeId
    this.byUid.set(uid, association)
  }
}
