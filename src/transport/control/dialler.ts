/**
 * Who is dialled, and when: at most one dial in flight to an address, back-off with full jitter, and what the
 * outcome of a dial says about the incarnations wanted there (gone, alive, final refusals).
 */
import { type Address, formatAddress, type Uid } from '../../core/address.js'
import { CONTROL_LINK_LIMITS, TRANSPORT_LIMITS } from '../limits.js'
import type { Connection } from './connection.js'
import type { ConnectionTable } from './connection-table.js'
import type { DialFailure } from './io.js'
import type { Peer, PeerTable } from './peers.js'
import type { PlaneContext } from './plane-context.js'
import { type Probe, Target } from './targets.js'
import type { Watch } from './watch.js'

/** A dial that should be made: whom it expects, and not before when. */
interface Want {
  readonly expected: Uid | undefined
  readonly notBeforeMs: number
}

export class Dialler {
  private readonly targets = new Map<string, Target>()

  constructor(
    private readonly context: PlaneContext,
    private readonly peers: PeerTable,
    private readonly connections: ConnectionTable,
    /** Raises `gone` about a watched peer. */
    private readonly onGone: (watch: Watch) => void,
  ) {}

  get(address: Address): Target | undefined {
    return this.targets.get(formatAddress(address))
  }

  /** The target of an address, made if need be; undefined when too many are wanted. */
  ensure(address: Address): Target | undefined {
    const known = this.get(address)
    if (known !== undefined) return known
    if (this.targets.size >= TRANSPORT_LIMITS.wantedPeersMax) {
      this.context.counters.wantedRefused += 1
      return undefined
    }
    const target = new Target(address, (self) => () => this.schedule(self))
    target.backoffMs = this.context.options.dial.backoffMinMs
    this.targets.set(target.key, target)
    return target
  }

  connect(target: Target, uid: Uid | undefined): void {
    this.unblock(target, uid)
    // A wish that is new is not made to wait for the back-off of an older one.
    if (!target.connectWanted || target.expected !== uid) target.notBeforeMs = Number.NEGATIVE_INFINITY
    target.connectWanted = true
    target.expected = uid
    this.schedule(target)
  }

  disconnect(target: Target): void {
    target.connectWanted = false
    target.expected = undefined
    this.dropUnwantedDial(target)
    this.schedule(target)
  }

  /** Linked peers that advertise this address, or that were last reached through it. */
  linksTo(address: Address): Peer[] {
    const found = new Set<Peer>()
    const key = formatAddress(address)
    const lastUid = this.targets.get(key)?.lastUid
    for (const peer of [
      this.peers.linkedAt(key),
      lastUid === undefined ? undefined : this.peers.get(lastUid),
    ]) {
      if (peer?.link !== undefined) found.add(peer)
    }
    return [...found]
  }

  addWatch(target: Target, watch: Watch): void {
    this.unblock(target, watch.uid)
    target.watches.set(watch.uid, watch)
    this.schedule(target)
  }

  removeWatch(watch: Watch): void {
    watch.target.watches.delete(watch.uid)
    this.schedule(watch.target)
  }

  probe(target: Target, uid: Uid): void {
    this.unblock(target, uid)
    if (target.blockedBy !== undefined) {
      this.context.emit({ type: 'probed', uid, outcome: 'unknown' })
      return
    }
    if (!target.probes.has(uid)) {
      const notBeforeMs = Number.NEGATIVE_INFINITY
      target.probes.set(uid, { firstRefusedMs: undefined, notBeforeMs, dialed: false })
    }
    this.schedule(target)
  }

  /** Nothing is wanted of a quarantined incarnation any more. */
  forgetUid(uid: Uid): void {
    for (const target of this.targets.values()) {
      if (target.expected === uid) {
        target.connectWanted = false
        target.expected = undefined
      }
      if (target.probes.delete(uid)) this.context.emit({ type: 'probed', uid, outcome: 'unknown' })
      this.dropUnwantedDial(target)
      this.schedule(target)
    }
  }

  /** Dials what is due, arms the deadline of what is not, and drops a target that nobody wants. */
  schedule(target: Target): void {
    const { context } = this
    const want = context.started && !context.closing ? this.nextWant(target) : undefined
    if (target.dialing !== undefined) {
      // Once its hello is out a dial may be what the other side completes: it ends by its answer or its timeout only.
      if (target.dialing.phase !== 'connecting' || want !== undefined) return
      this.abandon(target, target.dialing)
    }
    if (want === undefined) {
      context.deadlines.clear(target.deadline)
      if (target.isIdle) this.targets.delete(target.key)
      return
    }
    const spacedMs = target.lastDialMs + CONTROL_LINK_LIMITS.backoffFloorMs
    const atMs = Math.max(want.notBeforeMs, spacedMs)
    if (atMs > context.nowMs) context.deadlines.set(target.deadline, atMs)
    else this.dial(target, want.expected)
  }

  scheduleAll(): void {
    for (const target of this.targets.values()) this.schedule(target)
  }

  /** The dial number to announce to whoever this connection expects, or is likely to find. */
  dialMaxFor(connection: Connection): number {
    const target = connection.target!
    const uid = connection.expected ?? target.lastUid
    const known = (uid === undefined ? undefined : this.peers.get(uid)) ?? this.peers.linkedAt(target.key)
    return Math.max(known?.dialMax ?? 0, target.dialMax)
  }

  /** A dial has ended without a link, and without an answer that says more. */
  onFailure(connection: Connection, reason: DialFailure | 'handshake'): void {
    const target = connection.target!
    const { context } = this
    target.dialing = undefined
    context.counters.dialsFailed += 1
    target.attempts += 1
    if (reason !== 'refused') {
      target.firstRefusedMs = undefined
      this.failProbes(target)
    }
    // The second refusal confirms a death, so it must not be left to chance: that dial has no jitter.
    const confirmMs = reason === 'refused' ? this.onRefusedConnection(target) : undefined
    const retryInMs = confirmMs ?? this.nextDelayMs(target)
    target.notBeforeMs = context.nowMs + retryInMs
    if (this.nextWant(target) !== undefined) {
      const { address, attempts } = target
      context.emit({ type: 'gated', address, reason, attempts, retryInMs })
    }
    this.schedule(target)
  }

  /** Refused with `superseded`: at once again with a higher number, unless a link serves by now or this goes on and on. */
  onSuperseded(connection: Connection, uid: Uid, dial: number): void {
    const target = connection.target!
    target.dialMax = Math.max(target.dialMax, dial)
    this.peers.get(uid)?.noteDial(dial)
    target.supersededInRow += 1
    const isEndless = target.supersededInRow > CONTROL_LINK_LIMITS.supersededRetriesMax
    if (isEndless && this.nextWant(target) !== undefined) return this.onFailure(connection, 'handshake')
    target.dialing = undefined
    target.notBeforeMs = Number.NEGATIVE_INFINITY
    this.schedule(target)
  }

  /** Refused for good by `uid`. It does not speak for another incarnation that is expected at its address: that one may yet come. */
  onFinalRefusal(connection: Connection, uid: Uid): void {
    const { expected } = connection
    if (expected !== undefined && expected !== uid) return this.onFailure(connection, 'handshake')
    const target = connection.target!
    target.dialing = undefined
    target.blockedBy = uid
    this.context.counters.dialsFailed += 1
    this.failProbes(target)
    this.schedule(target)
  }

  /** `uid` says that we are quarantined there; it is not dialled again, unless another incarnation is expected there. */
  onQuarantinedBy(uid: Uid, address: Address): void {
    const key = formatAddress(address)
    for (const target of this.targets.values()) {
      if (!target.refersTo(uid, key) || (target.expected !== undefined && target.expected !== uid)) continue
      target.blockedBy = uid
      this.schedule(target)
    }
  }

  /** Somebody answered at the target's address: `uid` is alive there, and nobody else is. */
  onAnswer(target: Target, uid: Uid): void {
    // Refusals confirm each other only in a row: in between, somebody was there.
    target.firstRefusedMs = undefined
    for (const probed of [...target.probes.keys()]) {
      target.probes.delete(probed)
      this.context.emit({ type: 'probed', uid: probed, outcome: probed === uid ? 'alive' : 'gone' })
    }
    for (const watch of target.watches.values()) {
      if (watch.uid !== uid && watch.wantsDial) this.onGone(watch)
    }
  }

  /** The dial is over: it became a link, or is not needed. */
  onDialDone(connection: Connection): void {
    connection.target!.dialing = undefined
    this.schedule(connection.target!)
  }

  /** A link to `peer` is complete, dialled by either side. */
  onLinkUp(peer: Peer): void {
    const key = peer.address === undefined ? undefined : formatAddress(peer.address)
    for (const target of this.targets.values()) {
      if (!target.refersTo(peer.uid, key)) continue
      target.attempts = 0
      target.backoffMs = this.context.options.dial.backoffMinMs
      target.supersededInRow = 0
      target.firstRefusedMs = undefined
      this.schedule(target)
    }
  }

  /** The pair has lost its link: dial at once, or after the back-off. */
  onLinkDown(peer: Peer, atOnce: boolean): void {
    const key = peer.address === undefined ? undefined : formatAddress(peer.address)
    for (const target of this.targets.values()) {
      if (!target.refersTo(peer.uid, key)) continue
      target.firstRefusedMs = undefined
      const { nowMs } = this.context
      target.notBeforeMs = atOnce ? Number.NEGATIVE_INFINITY : nowMs + this.nextDelayMs(target)
      this.schedule(target)
    }
  }

  private dial(target: Target, expected: Uid | undefined): void {
    const { context } = this
    const connection = this.connections.addDial(target, expected)
    target.dialing = connection
    target.lastDialMs = context.nowMs
    for (const probe of target.probes.values()) probe.dialed = true
    context.counters.dials += 1
    context.deadlines.clear(target.deadline)
    context.push({ type: 'dial', connection: connection.id, address: target.address })
  }

  private abandon(target: Target, connection: Connection): void {
    target.dialing = undefined
    this.context.counters.dialsAbandoned += 1
    this.connections.destroy(connection)
  }

  /** Gives up a dial whose hello is out, because nobody wants its outcome any more. */
  private dropUnwantedDial(target: Target): void {
    const dialing = target.dialing
    if (dialing?.phase !== 'helloSent' || this.nextWant(target) !== undefined) return
    target.dialing = undefined
    this.context.counters.dialsAbandoned += 1
    this.context.closeGracefully(dialing, 'closing')
  }

  private nextWant(target: Target): Want | undefined {
    const probe = target.probes.entries().next().value as [Uid, Probe] | undefined
    // A probe was asked for by name and once: neither the back-off nor a final refusal of others holds it up.
    if (probe !== undefined) return { expected: probe[0], notBeforeMs: probe[1].notBeforeMs }
    if (target.blockedBy !== undefined) return undefined
    const { notBeforeMs } = target
    if (target.connectWanted && !this.isConnected(target)) return { expected: target.expected, notBeforeMs }
    const watch = this.watchToDial(target)
    return watch === undefined ? undefined : { expected: watch.uid, notBeforeMs }
  }

  private isConnected(target: Target): boolean {
    if (target.expected !== undefined) return this.peers.isLinked(target.expected)
    return this.peers.linkedAt(target.key) !== undefined || this.peers.isLinked(target.lastUid)
  }

  /** The highest incarnation watched here that needs a dial; none below one that is linked from this address. */
  private watchToDial(target: Target): Watch | undefined {
    const here = this.peers.linkedAt(target.key)
    // Whoever is linked from here and is younger has taken the address: dialling the elder would only meet it again.
    let best: Watch | undefined
    for (const watch of target.watches.values()) {
      if (!watch.wantsDial || (here !== undefined && here.uid > watch.uid)) continue
      if (best === undefined || watch.uid > best.uid) best = watch
    }
    return best
  }

  /** Full jitter (uniform from nothing up to the back-off) above a floor, so that diallers of one address spread; the back-off doubles up to its cap. */
  private nextDelayMs(target: Target): number {
    const { dial, random } = this.context.options
    const capMs = target.watches.size > 0 ? dial.backoffWatchedMaxMs : dial.backoffMaxMs
    const backoffMs = Math.min(target.backoffMs, capMs)
    target.backoffMs = Math.min(backoffMs * 2, capMs)
    return Math.max(CONTROL_LINK_LIMITS.backoffFloorMs, random() * backoffMs)
  }

  /** Nobody listens. Returns the pause before the dial that is to confirm it, if one is owed. */
  private onRefusedConnection(target: Target): number | undefined {
    const { nowMs, options } = this.context
    const { confirmGoneMs } = options.dial
    const confirmed = target.firstRefusedMs !== undefined && nowMs - target.firstRefusedMs >= confirmGoneMs
    target.firstRefusedMs ??= nowMs
    // A peer of which nothing was ever heard may just not have started: nobody listening says nothing about it.
    let owed = this.onRefusedProbes(target)
    for (const watch of target.watches.values()) {
      if (!watch.wantsDial || !watch.peer.heard || watch.goneRaised) continue
      if (confirmed) this.onGone(watch)
      else owed = true
    }
    return owed ? confirmGoneMs : undefined
  }

  /** Returns whether a probe waits for its second refusal. */
  private onRefusedProbes(target: Target): boolean {
    const { nowMs, options } = this.context
    const { confirmGoneMs } = options.dial
    for (const [uid, probe] of [...target.probes]) {
      if (!probe.dialed) continue
      if (probe.firstRefusedMs !== undefined && nowMs - probe.firstRefusedMs >= confirmGoneMs) {
        target.probes.delete(uid)
        this.context.emit({ type: 'probed', uid, outcome: 'gone' })
        continue
      }
      probe.firstRefusedMs ??= nowMs
      probe.notBeforeMs = probe.firstRefusedMs + confirmGoneMs
    }
    return target.probes.size > 0
  }

  /** Probes whose dial ended without an answer. */
  private failProbes(target: Target): void {
    for (const [uid, probe] of [...target.probes]) {
      if (!probe.dialed) continue
      target.probes.delete(uid)
      this.context.emit({ type: 'probed', uid, outcome: 'unknown' })
    }
  }

  private unblock(target: Target, uid: Uid | undefined): void {
    if (target.blockedBy === undefined || uid === undefined || uid === target.blockedBy) return
    target.blockedBy = undefined
    target.notBeforeMs = Number.NEGATIVE_INFINITY
  }
}
