/** Messaging among members: names are looked up in the cluster's state, and what is exchanged ends with a membership. */
import type { Uid } from '../core/address.js'
import type { ClusterEvent, ClusterState, Member } from '../core/model.js'
import { isSkeinError, type SkeinError } from '../errors.js'
import type { DeadLetterReason } from '../messaging/messaging.js'
import type { Office } from '../messaging/office.js'
import type { PeerLink } from '../messaging/peer-link.js'
import { createRouter, type Router, type RouterPorts } from '../messaging/routing/router.js'
import { type RouterOptions, resolveRouterOptions } from '../messaging/routing/router-options.js'
import type { BroadcastOptions } from './cluster.js'
import { findMember, type NodeReference } from './member-lookup.js'

export class MemberMessaging {
  readonly #office: Office
  readonly #self: Uid
  readonly #state: () => ClusterState
  readonly #random: () => number
  /** Peers by the names they were called; void as soon as the state changes. */
  readonly #named = new Map<string, PeerLink>()
  #namedIn: ClusterState | undefined

  constructor(office: Office, self: Uid, state: () => ClusterState, random: () => number) {
    this.#office = office
    this.#self = self
    this.#state = state
    this.#random = random
  }

  /** The peer meant. Throws `ERR_SKEIN_NOT_MEMBER`. */
  linkTo(reference: NodeReference): PeerLink {
    const name = typeof reference === 'string' ? reference : reference.uid
    const state = this.#state()
    if (state !== this.#namedIn) {
      this.#namedIn = state
      this.#named.clear()
    }
    const known = this.#named.get(name)
    if (known !== undefined && known.association.ended === undefined) return known
    const link = this.#linkToMember(findMember(state.members, reference))
    this.#named.set(name, link)
    return link
  }

  /** Throws for what nobody could be sent; then nothing was. */
  broadcast(topic: string, bytes: Uint8Array, options: BroadcastOptions): number {
    this.#office.checkMessage(topic, bytes)
    let count = 0
    for (const member of this.#state().members) {
      const { role } = options
      const meant = member.status === 'up' && member.reachability === 'reachable'
      if (!meant || (role !== undefined && !member.roles.includes(role))) continue
      if (member.uid === this.#self && options.includeSelf !== true) continue
      count += this.#sendOne(member, topic, bytes)
    }
    return count
  }

  router(role: string, options: RouterOptions): Router {
    const messaging: RouterPorts['messaging'] = {
      send: (to, topic, bytes, options) => this.linkTo(to).send(topic, bytes, options),
      request: (to, topic, bytes, options) => this.linkTo(to).request(topic, bytes, options),
    }
    return createRouter(resolveRouterOptions(role, options), {
      state: this.#state,
      nowMs: () => this.#office.plane.nowMs(),
      random: this.#random,
      messaging,
      requestTimeoutMs: this.#office.options.requestTimeoutMs,
    })
  }

  /** A membership that ends takes with it what was exchanged with it. */
  onClusterEvent(event: ClusterEvent): void {
    if (event.type === 'quarantined') this.#end(event.node.uid, 'quarantined')
    else if (event.type === 'memberRemoved')
      this.#end(event.member.uid, event.cause === 'left' ? 'left' : 'quarantined')
  }

  #end(uid: Uid, reason: 'left' | 'quarantined'): void {
    this.#office.plane.endPeer(uid, reason)
  }

  #linkToMember(member: Member): PeerLink {
    return this.#office.plane.ensure(member.uid, member.address, member.nodeId).client
  }

  /** Whatever stands in the way of one member, the others are sent theirs. */
  #sendOne(member: Member, topic: string, bytes: Uint8Array): number {
    try {
      this.#linkToMember(member).send(topic, bytes)
      return 1
    } catch (error) {
      if (!isSkeinError(error)) throw error
      const { uid, nodeId, address } = member
      this.#office.deadLetter({
        type: 'deadLetter',
        reason: reasonOf(error),
        peer: { uid, nodeId, address },
        topic,
        bytes: bytes.length,
        count: 1,
        maybeDelivered: false,
      })
      return 0
    }
  }
}

/** Too many peers, topics, frames or bytes are all the same to whoever broadcasts: there was no room. */
function reasonOf({ code }: SkeinError): DeadLetterReason {
  if (code === 'ERR_SKEIN_QUARANTINED') return 'quarantined'
  return code === 'ERR_SKEIN_CLOSED' ? 'closed' : 'outboxFull'
}
