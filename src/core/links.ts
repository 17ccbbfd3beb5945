/**
 * Gossip over links. Each link keeps a cursor into the learn log: what lies before it the peer knows. A link
 * starts without one; vectors are exchanged, what the other lacks is sent whole, and from then on pushes carry only news. Digests,
 * compared now and then with one neighbour, find what should never happen: a difference nobody noticed.
 */
import type { Uid, UniqueAddress } from './address.js'
import { type Env, earliest } from './env.js'
import type { Delta } from './model.js'

interface Link {
  readonly peer: UniqueAddress
  readonly session: number
  /** Position in the learn log up to which the peer knows everything; undefined until its vector has come. */
  cursor: number | undefined
  vectorSent: boolean
  /** The peer sent its vector before we knew it as a member. */
  vectorOwed: boolean
  /** When it did; what it was told since, if anything, is not repeated before the next comparison of digests. */
  owedSinceMs: number
  lastPushMs: number
}

/** Longer than the word of an admission takes to spread. */
const STRANGER_AFTER_MS = 2000

type VectorList = readonly (readonly [Uid, number])[]

export class Links {
  private readonly env: Env
  private readonly links = new Map<Uid, Link>()
  private nextDigestMs: number | undefined

  constructor(env: Env) {
    this.env = env
  }

  peer(uid: Uid): UniqueAddress | undefined {
    return this.links.get(uid)?.peer
  }

  /** Peers with an open link, ordered by uid. */
  peers(): UniqueAddress[] {
    return [...this.links.values()].map((link) => link.peer).sort((a, b) => (a.uid < b.uid ? -1 : 1))
  }

  up(peer: UniqueAddress, session: number): void {
    this.links.set(peer.uid, {
      peer,
      session,
      cursor: undefined,
      vectorSent: false,
      vectorOwed: false,
      owedSinceMs: 0,
      lastPushMs: Number.NEGATIVE_INFINITY,
    })
  }

  down(uid: Uid, session: number): void {
    if (this.links.get(uid)?.session === session) this.links.delete(uid)
  }

  /** The peer has just been given, or has just given us, the whole state. */
  synchronised(uid: Uid): void {
    const link = this.links.get(uid)
    if (link === undefined) return
    link.cursor = this.env.state.log.end
    // A peer whose vector came too early knows things that are unknown here: vectors are exchanged all the same.
    link.vectorSent = !link.vectorOwed
  }

  /**
   * The transport did not take what we sent, so the peer may lack it: nothing is pushed on this link until vectors
   * have been exchanged anew, at the next comparison of digests. At once would be a loop without time passing.
   */
  sendFailed(uid: Uid): void {
    const link = this.links.get(uid)
    if (link !== undefined) link.cursor = undefined
  }

  receiveVector(from: Uid, vector: VectorList, reply: boolean): void {
    const link = this.links.get(from)
    if (link === undefined) return
    if (this.env.state.living(from) === undefined || !this.env.isMember) {
      if (!link.vectorOwed) link.owedSinceMs = this.env.nowMs
      link.vectorOwed = true
      return
    }
    const delta = this.env.state.deltaFor(new Map(vector))
    if (!isEmpty(delta)) this.env.send(from, { type: 'gossip', delta })
    link.cursor = this.env.state.log.end
    link.lastPushMs = this.env.nowMs
    if (reply || !link.vectorSent) this.sendVector(link, false)
  }

  receiveDigest(from: Uid, high: number, low: number): void {
    const link = this.links.get(from)
    const { digest } = this.env.state
    if (link === undefined || (digest.high === high && digest.low === low)) return
    this.sendVector(link, true)
  }

  /** Opens the exchange on links whose peer has become a member, and sends what is new on the others. */
  flush(): void {
    if (!this.env.isMember) return
    this.compareDigests()
    for (const link of this.links.values()) {
      if (!this.mayTalk(link.peer.uid)) continue
      if (!link.vectorSent) this.sendVector(link, link.vectorOwed)
      else if (this.env.nowMs >= link.lastPushMs + this.env.settings.pushIntervalMinMs) this.push(link)
    }
  }

  /** Sends what is new at once, before this node goes. */
  flushNow(): void {
    for (const link of this.links.values()) {
      if (this.mayTalk(link.peer.uid)) this.push(link)
    }
  }

  nextDeadline(): number | undefined {
    let push: number | undefined
    const { log } = this.env.state
    for (const link of this.links.values()) {
      if (link.cursor === undefined || link.cursor >= log.end || !this.mayTalk(link.peer.uid)) continue
      push = earliest(push, link.lastPushMs + this.env.settings.pushIntervalMinMs)
    }
    return earliest(push, this.nextDigestMs)
  }

  /** Living members, and those who have left and may still be listening for the confirmation of it. */
  private mayTalk(uid: Uid): boolean {
    const entry = this.env.state.members.get(uid)
    return entry !== undefined && entry.cause !== 'downed'
  }

  private sendVector(link: Link, reply: boolean): void {
    link.vectorSent = true
    link.vectorOwed = false
    this.env.send(link.peer.uid, { type: 'vector', vector: [...this.env.state.vector], reply })
  }

  private push(link: Link): void {
    const { state } = this.env
    if (link.cursor === undefined || link.cursor >= state.log.end) return
    const delta = state.deltaSince(link.cursor, link.peer.uid)
    link.cursor = state.log.end
    if (delta === undefined) return
    link.lastPushMs = this.env.nowMs
    this.env.send(link.peer.uid, { type: 'gossip', delta })
  }

  private compareDigests(): void {
    const { nowMs, settings, state } = this.env
    this.nextDigestMs ??= nowMs + settings.digestIntervalMs * (0.5 + settings.random())
    if (nowMs < this.nextDigestMs) return
    this.nextDigestMs = nowMs + settings.digestIntervalMs
    this.answerStrangers()
    const ready = [...this.links.values()].filter((link) => state.living(link.peer.uid) !== undefined)
    for (const link of ready) if (link.cursor === undefined) this.sendVector(link, true)
    const link = ready[Math.floor(settings.random() * ready.length)]
    if (link?.cursor !== undefined)
      this.env.send(link.peer.uid, { type: 'digest', high: state.digest.high, low: state.digest.low })
  }

  /**
   * A peer that takes itself for a member, and of which no word has come for a while: whoever let it in did not live to
   * tell. It is offered admission again.
   */
  private answerStrangers(): void {
    const { nowMs, state } = this.env
    for (const { peer, vectorOwed, owedSinceMs } of this.links.values()) {
      if (!vectorOwed || state.members.has(peer.uid) || nowMs < owedSinceMs + STRANGER_AFTER_MS) continue
      this.env.send(peer.uid, { type: 'initJoinAck' })
    }
  }
}

function isEmpty(delta: Delta): boolean {
  return delta.members.length + delta.rows.length + delta.presences.length + delta.vector.length === 0
}
