/**
 * The way in, from the newcomer's side: find a seed that is a member, ask it for admission, take its state. The
 * first seed of the list founds a cluster when all others say that they are outside too, or when none answers in time.
 */
import { compareAddress, NO_UID, sameAddress, type Uid, type UniqueAddress } from './address.js'
import { type Env, earliest } from './env.js'
import type { Delta, JoinRefusal } from './model.js'

type Phase = 'idle' | 'seeking' | 'asking' | 'done'

export class Joining {
  private readonly env: Env
  private phase: Phase = 'idle'
  private startedMs = 0
  private retryAtMs: number | undefined
  private target: Uid | undefined
  /** Peers that are reached and outside too. */
  private readonly outside = new Map<Uid, UniqueAddress>()
  private readonly linked = new Map<Uid, UniqueAddress>()
  /** Members asked again after admission, whose welcome is awaited. */
  private readonly askedAgain = new Set<Uid>()
  /** Somebody has spoken as a member. */
  private clusterSeen = false

  constructor(env: Env) {
    this.env = env
  }

  get done(): boolean {
    return this.phase === 'done'
  }

  start(): void {
    if (this.phase !== 'idle') return
    const { settings, nowMs } = this.env
    this.phase = 'seeking'
    this.startedMs = nowMs
    this.retryAtMs = nowMs + settings.joinRetryMs
    const others = this.otherSeeds()
    if (others.length === 0) {
      this.found()
      return
    }
    for (const address of others) this.env.emit({ type: 'connect', address })
    for (const uid of this.linked.keys()) this.env.send(uid, { type: 'initJoin' })
  }

  linkUp(peer: UniqueAddress): void {
    if (this.done) return
    this.linked.set(peer.uid, peer)
    if (this.phase === 'seeking') this.env.send(peer.uid, { type: 'initJoin' })
    else if (this.phase === 'asking' && peer.uid === this.target) this.ask()
  }

  linkDown(uid: Uid): void {
    this.linked.delete(uid)
    this.outside.delete(uid)
    if (uid === this.target && this.phase === 'asking') this.seekAgain()
  }

  ack(from: Uid): void {
    if (this.done) return this.askAgain(from)
    this.clusterSeen = true
    if (this.phase !== 'seeking' || !this.linked.has(from)) return
    this.phase = 'asking'
    this.target = from
    this.ask()
  }

  nack(from: Uid, reason: 'notJoined' | 'closing'): void {
    const peer = this.linked.get(from)
    if (peer === undefined || this.done) return
    if (from === this.target) this.seekAgain()
    if (reason === 'closing') this.clusterSeen = true
    else this.outside.set(from, peer)
    this.foundIfAlone()
  }

  /** A member is verifying an older incarnation: there is a cluster, and the request is repeated. */
  pending(from: Uid): void {
    if (this.linked.has(from)) this.clusterSeen = true
  }

  /** True when `from` was asked for admission and grants it: the state has this node in it. Each request is granted once. */
  expectsWelcome(from: Uid, state: Delta): boolean {
    const asked = this.done ? this.askedAgain.delete(from) : this.phase === 'asking' && from === this.target
    return asked && state.members.some((m) => m.uid === this.env.self && m.status !== 'removed')
  }

  /** Admitted, or founder: from here on this node speaks for itself. */
  enter(): void {
    this.phase = 'done'
    this.env.state.putPresence({
      rollCall: 0,
      cut: 0,
      reportNumber: 0,
      reportLeader: NO_UID,
      exitConfirmed: false,
    })
  }

  refused(from: Uid, reason: JoinRefusal): void {
    if (this.phase !== 'asking' || from !== this.target) return
    this.env.end('joinRefused', reason)
  }

  tick(): void {
    if (this.done) this.tickNewcomer()
    if (this.phase !== 'seeking' && this.phase !== 'asking') return
    const { nowMs, settings } = this.env
    if (nowMs >= this.startedMs + settings.joinTimeoutMs) {
      const silent = this.otherSeeds().length - this.outside.size
      const detail = `${this.outside.size} seed(s) outside any cluster, ${Math.max(0, silent)} not reached or not answering`
      this.env.end('joinTimeout', detail)
      return
    }
    this.foundIfAlone()
    if (this.retryAtMs === undefined || nowMs < this.retryAtMs) return
    this.retryAtMs = nowMs + settings.joinRetryMs
    if (this.phase === 'asking') this.ask()
    else if (this.phase === 'seeking')
      for (const uid of this.linked.keys()) this.env.send(uid, { type: 'initJoin' })
  }

  nextDeadline(): number | undefined {
    const { settings } = this.env
    if (this.done) {
      const status = this.env.selfEntry?.status
      const end = this.startedMs + settings.joinTimeoutMs
      return (status === 'joining' || status === 'weaklyUp') && end > this.env.nowMs ? end : undefined
    }
    if (this.phase === 'idle') return undefined
    const founding =
      this.isFirstSeed() && this.phase === 'seeking' && !this.clusterSeen
        ? this.startedMs + settings.seedNodeTimeoutMs
        : undefined
    return earliest(this.retryAtMs, this.startedMs + settings.joinTimeoutMs, founding)
  }

  /** Admitted by members that did not live to tell the others: a newcomer asks again, one that is up is known to all. */
  private askAgain(from: Uid): void {
    const status = this.env.selfEntry?.status
    if ((status !== 'joining' && status !== 'weaklyUp') || this.env.state.living(from) === undefined) return
    this.askedAgain.add(from)
    this.env.send(from, { type: 'join', roles: this.env.settings.roles })
  }

  private ask(): void {
    this.env.send(this.target as Uid, { type: 'join', roles: this.env.settings.roles })
  }

  private seekAgain(): void {
    this.phase = 'seeking'
    this.target = undefined
  }

  /** A newcomer whose cluster has gone before it came up belongs to nobody: it must not go on as a cluster of its own. */
  private tickNewcomer(): void {
    const { env } = this
    const status = env.selfEntry?.status
    if (status !== 'joining' && status !== 'weaklyUp') return
    if (env.nowMs < this.startedMs + env.settings.joinTimeoutMs) return
    const settled = env
      .living()
      .some((m) => (m.status === 'up' || m.status === 'leaving') && !env.isUnreachable(m.uid))
    if (!settled) env.end('joinTimeout', 'admitted, but no member that is up can be reached any more')
  }

  private foundIfAlone(): void {
    // Whoever has heard of a cluster never founds a second one.
    if (this.phase !== 'seeking' || this.clusterSeen || !this.isFirstSeed()) return
    const reached = [...this.outside.values()]
    const allOutside = this.otherSeeds().every((seed) =>
      reached.some((peer) => sameAddress(peer.address, seed)),
    )
    const timedOut = this.env.nowMs >= this.startedMs + this.env.settings.seedNodeTimeoutMs
    if (allOutside || timedOut) this.found()
  }

  /** The first member of a new cluster is up at once: the oldest is determined before anybody else comes in. */
  private found(): void {
    const { self } = this.env.settings
    this.env.state.addMember({
      uid: self.uid,
      nodeId: self.nodeId,
      address: self.address,
      roles: this.env.settings.roles,
      status: 'up',
      upNumber: 1,
      cause: 'none',
      downReason: 'none',
    })
    this.enter()
  }

  private isFirstSeed(): boolean {
    const first = this.env.settings.seeds[0]
    return first !== undefined && sameAddress(first, this.env.settings.self.address)
  }

  private otherSeeds(): readonly { host: string; port: number }[] {
    const { seeds, self } = this.env.settings
    return seeds.filter((seed) => compareAddress(seed, self.address) !== 0)
  }
}
