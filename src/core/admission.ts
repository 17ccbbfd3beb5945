/**
 * The way in, from the members' side. A newcomer whose nodeId or address belongs to a living member replaces it
 * only if it is a higher incarnation *and* the old one is unreachable, refused, or answers at its address with
 * another uid: a copied configuration must not kill a healthy member.
 */
import { type Address, sameAddress, type Uid, type UniqueAddress } from './address.js'
import { type Env, earliest } from './env.js'
import { CORE_LIMITS } from './limits.js'
import type { JoinRefusal, MemberEntry } from './model.js'

interface PendingJoin {
  readonly peer: UniqueAddress
  readonly roles: readonly string[]
  readonly sinceMs: number
}

export interface AdmissionHooks {
  /** The newcomer has been given the whole state. */
  welcomed(uid: Uid): void
  /** This node itself holds the process for gone. */
  seesGone(uid: Uid): boolean
}

/** How long an outsider that was found at a member's address is called. */
const INVITE_MS = 30_000

/** How long an old incarnation may leave its verification open before the newcomer is refused. */
const VERIFY_TIMEOUT_MS = 15_000

export class Admission {
  private readonly env: Env
  private readonly hooks: AdmissionHooks
  private readonly pending = new Map<Uid, PendingJoin>()
  /** Outsiders that asked while this node was one itself; told as soon as it is a member. */
  private readonly asked = new Set<Uid>()

  /** Outsiders found where a member used to be, and until when they are called. */
  private readonly invited = new Map<Uid, { readonly address: Address; readonly untilMs: number }>()

  constructor(env: Env, hooks: AdmissionHooks) {
    this.env = env
    this.hooks = hooks
  }

  initJoin(from: Uid): void {
    if (this.mayAdmit()) {
      this.env.send(from, { type: 'initJoinAck' })
      return
    }
    if (!this.env.isMember) this.asked.add(from)
    this.env.send(from, { type: 'initJoinNack', reason: this.env.isMember ? 'closing' : 'notJoined' })
  }

  /** This node has become a member: whoever asked in vain may come in now. */
  opened(): void {
    for (const uid of [...this.asked].sort()) this.env.send(uid, { type: 'initJoinAck' })
    this.asked.clear()
  }

  /**
   * A newer incarnation answers at a member's address. It may be the first seed, restarted while no other seed can be
   * reached, and about to found a second cluster: this one calls it in.
   */
  invite(outsider: UniqueAddress): void {
    if (!this.mayAdmit() || this.env.state.members.has(outsider.uid) || this.invited.has(outsider.uid)) return
    if (this.invited.size >= CORE_LIMITS.pendingJoinsMax) return
    this.invited.set(outsider.uid, { address: outsider.address, untilMs: this.env.nowMs + INVITE_MS })
    this.env.emit({ type: 'connect', address: outsider.address, uid: outsider.uid })
  }

  linkUp(peer: UniqueAddress): void {
    if (this.invited.has(peer.uid) && this.mayAdmit()) this.env.send(peer.uid, { type: 'initJoinAck' })
  }

  linkDown(uid: Uid): void {
    this.pending.delete(uid)
    this.asked.delete(uid)
  }

  join(peer: UniqueAddress, roles: readonly string[]): void {
    if (!this.mayAdmit()) {
      this.env.send(peer.uid, { type: 'initJoinNack', reason: this.env.isMember ? 'closing' : 'notJoined' })
      return
    }
    const known = this.env.state.members.get(peer.uid)
    if (known !== undefined && known.status !== 'removed' && known.nodeId === peer.nodeId) {
      this.welcome(peer.uid)
      return
    }
    const refusal = this.refusalOf(peer, known)
    if (refusal !== undefined) this.refuse(peer, refusal)
    else this.consider({ peer, roles, sinceMs: this.pending.get(peer.uid)?.sinceMs ?? this.env.nowMs })
  }

  probed(uid: Uid, outcome: 'alive' | 'gone' | 'unknown'): void {
    if (outcome === 'unknown') return
    for (const [joiner, request] of [...this.pending]) {
      const holder = this.conflicts(request.peer).find((m) => m.uid === uid)
      if (holder === undefined) continue
      if (outcome === 'gone') this.replace(holder)
      else if (holder.status !== 'down') {
        this.pending.delete(joiner)
        this.refuse(request.peer, this.conflictReason(holder, request.peer))
      }
    }
  }

  /** Lets in whoever no longer stands against a living member; refuses whoever has waited too long. */
  settle(): void {
    for (const [uid, { address, untilMs }] of [...this.invited]) {
      if (!this.env.state.members.has(uid) && this.env.nowMs < untilMs) continue
      this.invited.delete(uid)
      this.env.emit({ type: 'disconnect', address })
    }
    for (const [joiner, request] of [...this.pending]) {
      const conflicts = this.conflicts(request.peer)
      if (conflicts.length === 0) {
        this.pending.delete(joiner)
        this.admit(request)
        continue
      }
      for (const holder of conflicts) if (this.isGone(holder)) this.replace(holder)
      const holder = conflicts.find((m) => m.status !== 'down')
      if (holder !== undefined && this.env.nowMs >= request.sinceMs + VERIFY_TIMEOUT_MS) {
        this.pending.delete(joiner)
        this.refuse(request.peer, this.conflictReason(holder, request.peer))
      }
    }
  }

  nextDeadline(): number | undefined {
    const { nowMs } = this.env
    const ends = [...this.pending.values()].map(({ sinceMs }) => sinceMs + VERIFY_TIMEOUT_MS)
    for (const { untilMs } of this.invited.values()) ends.push(untilMs)
    return earliest(...ends.filter((at) => at > nowMs))
  }

  private mayAdmit(): boolean {
    const status = this.env.selfEntry?.status
    return status === 'up' || status === 'weaklyUp' || status === 'joining' || status === 'leaving'
  }

  private refusalOf(peer: UniqueAddress, known: MemberEntry | undefined): JoinRefusal | undefined {
    if (known?.status === 'removed') return 'removedIncarnation'
    if (known !== undefined) return 'uidCollision'
    const living = this.env.living()
    if (living.length >= CORE_LIMITS.membersMax || this.env.state.members.size >= CORE_LIMITS.tombstonesMax) {
      return 'clusterFull'
    }
    for (const member of this.env.state.members.values()) {
      if (member.nodeId !== peer.nodeId || member.uid < peer.uid) continue
      return member.status === 'removed' || member.status === 'down' ? 'olderIncarnation' : 'duplicateNodeId'
    }
    return undefined
  }

  private consider(request: PendingJoin): void {
    const conflicts = this.conflicts(request.peer)
    if (conflicts.length === 0) {
      this.admit(request)
      return
    }
    if (!this.pending.has(request.peer.uid) && this.pending.size >= CORE_LIMITS.pendingJoinsMax) {
      this.refuse(request.peer, 'clusterFull')
      return
    }
    if (conflicts.some((m) => m.uid === this.env.self)) {
      // Nothing to verify: this node lives.
      this.refuse(request.peer, this.conflictReason(this.env.selfEntry as MemberEntry, request.peer))
      return
    }
    this.pending.set(request.peer.uid, request)
    for (const holder of conflicts) {
      if (holder.status === 'down') continue
      if (this.isGone(holder)) this.replace(holder)
      else this.env.emit({ type: 'probe', uid: holder.uid, address: holder.address })
    }
    const replacing = this.conflicts(request.peer).every((m) => m.status === 'down')
    this.env.send(request.peer.uid, { type: 'joinPending', reason: replacing ? 'replacing' : 'verifying' })
  }

  private conflicts(peer: UniqueAddress): MemberEntry[] {
    return this.env
      .living()
      .filter((m) => m.uid !== peer.uid && (m.nodeId === peer.nodeId || sameAddress(m.address, peer.address)))
  }

  private conflictReason(holder: MemberEntry, peer: UniqueAddress): JoinRefusal {
    return holder.nodeId === peer.nodeId ? 'duplicateNodeId' : 'addressInUse'
  }

  private isGone(holder: MemberEntry): boolean {
    return this.env.isUnreachable(holder.uid) || this.hooks.seesGone(holder.uid)
  }

  private replace(holder: MemberEntry): void {
    if (holder.uid === this.env.self) return
    this.env.state.changeMember(holder.uid, { status: 'down', downReason: 'replaced' })
  }

  private admit({ peer, roles }: PendingJoin): void {
    this.env.state.addMember({
      uid: peer.uid,
      nodeId: peer.nodeId,
      address: peer.address,
      roles,
      status: 'joining',
      upNumber: 0,
      cause: 'none',
      downReason: 'none',
    })
    this.welcome(peer.uid)
  }

  private welcome(uid: Uid): void {
    this.env.send(uid, { type: 'welcome', state: this.env.state.whole() })
    this.hooks.welcomed(uid)
  }

  private refuse(peer: UniqueAddress, reason: JoinRefusal): void {
    this.env.send(peer.uid, { type: 'joinRefused', reason })
    this.env.publish({ type: 'joinRejected', node: peer, reason })
  }
}
