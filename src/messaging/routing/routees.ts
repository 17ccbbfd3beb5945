/**
 * Whom a router may choose, by the cluster's newest state: members of its role that are up, reachable and not stalled.
 * Lists are ordered by address, and the same array until something changes, so that asking again costs nothing.
 */
import { formatAddress, type Uid } from '../../core/address.js'
import type { ClusterState, Member } from '../../core/model.js'
import { ROUTING_LIMITS } from './limits.js'
import { Routee } from './routee.js'

export class Routees {
  readonly #role: string
  readonly #includeSelf: boolean
  /** Every member of the role, eligible or not, so that unanswered requests stay counted through an outage. */
  #known = new Map<Uid, Routee>()
  #builtFor: ClusterState | undefined
  #eligible: readonly Routee[] = []
  #preferred: readonly Routee[] = []
  /** The first moment at which `#preferred` may be another list; only a change of state comes sooner. */
  #preferredUntilMs = Number.NEGATIVE_INFINITY

  constructor(role: string, includeSelf: boolean) {
    this.#role = role
    this.#includeSelf = includeSelf
  }

  /** All that may be chosen. */
  eligible(state: ClusterState): readonly Routee[] {
    if (state !== this.#builtFor) this.#build(state)
    return this.#eligible
  }

  /** The same without those set aside; all of them when nobody else is left. Asks for the time only when somebody is. */
  preferred(state: ClusterState, nowMs: () => number): readonly Routee[] {
    const eligible = this.eligible(state)
    if (this.#preferredUntilMs === Number.POSITIVE_INFINITY) return this.#preferred
    const at = nowMs()
    return at < this.#preferredUntilMs ? this.#preferred : this.#prefer(eligible, at)
  }

  /** It could not be sent to: others come first until then, or until the cluster has news of it. */
  setAside(routee: Routee, untilMs: number): void {
    routee.setAsideUntilMs = untilMs
    this.#preferredUntilMs = Number.NEGATIVE_INFINITY
  }

  /** Nothing goes to this incarnation any more. */
  lose(routee: Routee): void {
    routee.lost = true
    this.#builtFor = undefined
  }

  /** Why each member of the role cannot be chosen, for the one who finds nobody; bounded, whatever the cluster's size. */
  why(state: ClusterState): string {
    const members = state.members.filter(({ roles }) => roles.includes(this.#role))
    if (members.length === 0) return 'no member has it'
    const named = members.slice(0, ROUTING_LIMITS.namedMembersMax).map((member) => {
      return `${member.nodeId} at ${formatAddress(member.address)} ${this.#obstacle(member, state) ?? 'is eligible'}`
    })
    const rest = members.length - named.length
    return `${named.join('; ')}${rest === 0 ? '' : `; and ${rest} more`}`
  }

  #prefer(eligible: readonly Routee[], nowMs: number): readonly Routee[] {
    let untilMs = Number.POSITIVE_INFINITY
    const free = eligible.filter((routee) => {
      if (routee.setAsideUntilMs <= nowMs) return true
      untilMs = Math.min(untilMs, routee.setAsideUntilMs)
      return false
    })
    const unchanged = free.length === 0 || free.length === eligible.length
    this.#preferred = unchanged ? eligible : free
    this.#preferredUntilMs = untilMs
    return this.#preferred
  }

  #build(state: ClusterState): void {
    const known = new Map<Uid, Routee>()
    const eligible: Routee[] = []
    for (const member of state.members) {
      if (!member.roles.includes(this.#role)) continue
      const routee = this.#known.get(member.uid) ?? new Routee(member)
      if (routee.member !== member) {
        routee.member = member
        routee.setAsideUntilMs = Number.NEGATIVE_INFINITY
      }
      known.set(member.uid, routee)
      if (this.#obstacle(member, state, routee) === undefined) eligible.push(routee)
    }
    this.#known = known
    this.#builtFor = state
    this.#eligible = eligible
    this.#preferredUntilMs = Number.NEGATIVE_INFINITY
  }

  /** What stands against choosing a member of the role; undefined: nothing. */
  #obstacle(member: Member, state: ClusterState, routee = this.#known.get(member.uid)): string | undefined {
    if (member.status !== 'up') return `is ${member.status}`
    if (member.reachability !== 'reachable') return `is ${member.reachability}`
    if (member.uid === state.self.uid && !this.#includeSelf)
      return 'is this node, which is left out (includeSelf)'
    return routee?.lost === true ? 'is quarantined' : undefined
  }
}
