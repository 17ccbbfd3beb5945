/**
 * The membership machine of one node: `handle(inputs, now) -> effects` and `nextDeadline()`. Total and
 * deterministic: peer input never throws, randomness is injected, iteration order is defined. What runs live is
 * what the simulator runs.
 */
import type { Uid, UniqueAddress } from './address.js'
import { Admission } from './admission.js'
import { DowningDriver } from './downing-driver.js'
import { Env, earliest } from './env.js'
import { Epochs } from './epochs.js'
import { checkInvariants, InvariantViolation } from './invariants.js'
import { Joining } from './joining.js'
import { actAsLeader } from './leader.js'
import { Links } from './links.js'
import type { Effect, Input } from './machine-io.js'
import type { ClusterState, Delta, MemberEntry, Message, TerminationReason } from './model.js'
import { Observation } from './observation.js'
import { isPlausible } from './plausible.js'
import { computeVerdicts } from './reachability.js'
import { RollCall } from './roll-call.js'
import type { MachineSettings } from './settings.js'
import { View } from './view.js'

/** Rounds of consequences in one step; more would be a loop between the rules. */
const SETTLE_ROUNDS_MAX = 32

/** How late a deadline may fire before it counts as a pause of our own. */
const LATE_MS = 500

/** How long an exiting node waits to see its own removal before it goes without. */
const EXIT_WAIT_MS = 5000

/** How long a link to a member that has left is kept, so that it learns of its removal. */
const FAREWELL_MS = 2000

export class Machine {
  private readonly env: Env
  private readonly links: Links
  private readonly observation: Observation
  private readonly rollCall: RollCall
  private readonly epochs: Epochs
  private readonly joining: Joining
  private readonly admission: Admission
  private readonly downing: DowningDriver
  private readonly view: View
  private judgedKey = ''
  private judgedUnheard: ReadonlySet<Uid> | undefined
  private quarantinedVersion = -1
  private overlaid: readonly MemberEntry[] = []
  private wasMember = false
  private exitingSinceMs: number | undefined
  private readonly farewells = new Map<Uid, number>()
  private readonly quarantined = new Set<Uid>()

  constructor(settings: MachineSettings) {
    this.env = new Env(settings)
    this.links = new Links(this.env)
    this.observation = new Observation(this.env)
    this.rollCall = new RollCall(this.env)
    this.epochs = new Epochs(this.env)
    this.joining = new Joining(this.env)
    this.admission = new Admission(this.env, {
      welcomed: (uid) => this.links.synchronised(uid),
      seesGone: (uid) => this.observation.seesGone(uid),
    })
    this.downing = new DowningDriver(this.env, this.epochs)
    this.view = new View(this.env, this.epochs)
  }

  /** Applies a batch of inputs as one step; effects are to be applied in order. `nowMs` is monotonic. */
  handle(batch: readonly Input[], nowMs: number): readonly Effect[] {
    if (this.env.ended) return []
    this.noticeLateness(nowMs)
    this.env.nowMs = nowMs
    for (const input of batch) {
      if (this.env.ended) break
      this.take(input)
    }
    if (!this.env.ended) this.joining.tick()
    if (!this.env.ended) this.proceed()
    return this.env.takeEffects()
  }

  private proceed(): void {
    this.settle()
    this.endIfOver()
    if (!this.env.ended) this.links.flush()
  }

  /** When `handle` wants to be called with a `deadline` input at the latest; undefined when never. */
  nextDeadline(): number | undefined {
    if (this.env.ended) return undefined
    let farewell: number | undefined
    for (const at of this.farewells.values()) farewell = earliest(farewell, at)
    const exit = this.exitingSinceMs === undefined ? undefined : this.exitingSinceMs + EXIT_WAIT_MS
    return earliest(
      this.joining.nextDeadline(),
      this.admission.nextDeadline(),
      this.observation.nextDeadline(),
      this.rollCall.nextDeadline(),
      this.epochs.nextDeadline(),
      this.downing.nextDeadline(),
      this.links.nextDeadline(),
      this.view.nextDeadline(),
      farewell,
      exit,
    )
  }

  /** The cluster as this node sees it; the same object until something changes. */
  state(): ClusterState {
    return this.view.state()
  }

  private take(input: Input): void {
    switch (input.type) {
      case 'join':
        return this.joining.start()
      case 'linkUp':
        return this.linkUp(input.peer, input.session)
      case 'linkDown':
        return this.linkDown(input.uid, input.session)
      case 'message':
        return this.receive(input.from, input.message)
      case 'sendFailed':
        return this.links.sendFailed(input.to)
      case 'suspicion':
        return this.observation.suspicion(input.uid, input.suspected, input.cause)
      case 'stalled':
        return this.observation.stalled(input.uid, input.stalled, input.loopAgeMs)
      case 'identityChanged':
        this.admission.probed(input.expected, 'gone')
        return this.admission.invite(input.actual)
      case 'probed':
        return this.admission.probed(input.uid, input.outcome)
      case 'quarantinedBy':
        return this.quarantinedBy(input)
      case 'paused':
        return this.paused(input.gapMs)
      case 'down':
        return this.env.state.changeMember(input.uid, { status: 'down', downReason: 'operator' })
      case 'leave':
        return this.env.state.changeMember(input.uid, { status: 'leaving' })
      case 'deadline':
        return
    }
  }

  private linkUp(peer: UniqueAddress, session: number): void {
    if (this.env.state.members.get(peer.uid)?.cause === 'downed') {
      return this.env.drop(peer.uid, 'removedIncarnation')
    }
    this.links.up(peer, session)
    this.joining.linkUp(peer)
    this.admission.linkUp(peer)
  }

  private linkDown(uid: Uid, session: number): void {
    this.links.down(uid, session)
    this.joining.linkDown(uid)
    this.admission.linkDown(uid)
  }

  /** A word from a peer; whatever it says, this node's own rules decide. */
  private receive(from: Uid, message: Message): void {
    const entry = this.env.state.members.get(from)
    if (entry?.cause === 'downed') return this.env.drop(from, 'removedIncarnation')
    const peer = this.links.peer(from)
    if (peer === undefined) return this.env.drop(from, 'staleSession')
    switch (message.type) {
      case 'initJoin':
        return this.admission.initJoin(from)
      case 'initJoinAck':
        return this.joining.ack(from)
      case 'initJoinNack':
        return this.joining.nack(from, message.reason)
      case 'join':
        return this.admission.join(peer, message.roles)
      case 'welcome':
        if (!isPlausible(this.env.state, message.state)) return this.env.drop(from, 'malformed')
        return this.welcomed(from, message.state)
      case 'joinRefused':
        return this.joining.refused(from, message.reason)
      case 'joinPending':
        return this.joining.pending(from)
      case 'vector':
        return this.links.receiveVector(from, message.vector, message.reply)
      case 'digest':
        if (this.env.isMember) this.links.receiveDigest(from, message.high, message.low)
        return
      case 'gossip':
        if (!this.env.isMember || entry === undefined) return this.env.drop(from, 'notMember')
        if (entry.status === 'down') return this.env.drop(from, 'senderDown')
        if (!isPlausible(this.env.state, message.delta)) return this.env.drop(from, 'malformed')
        return this.env.state.merge(message.delta, from)
    }
  }

  private welcomed(from: Uid, state: Delta): void {
    if (!this.joining.expectsWelcome(from, state)) return this.env.drop(from, 'unexpected')
    this.env.state.merge(state, from)
    if (this.joining.done) return
    // The sender knows this much, and not yet what this node will say of itself.
    this.links.synchronised(from)
    this.joining.enter()
  }

  private quarantinedBy(input: Extract<Input, { type: 'quarantinedBy' }>): void {
    const by = this.env.state.living(input.uid)
    // Only a current member's word ends this membership: stale quarantines of nodes removed here kill nobody.
    if (by === undefined || by.status === 'down' || !this.env.isMember) return
    const { uid, nodeId, address } = by
    this.env.publish({ type: 'thisNodeQuarantined', by: { uid, nodeId, address }, reason: input.reason })
    this.end('quarantined', `${nodeId} has quarantined this incarnation: ${input.reason}`)
  }

  private paused(gapMs: number): void {
    this.env.publish({ type: 'selfPaused', gapMs })
    this.downing.restart()
    this.rollCall.excuse(gapMs)
  }

  /** A deadline that fires long after its time means that this loop did not turn, not that others were silent. */
  private noticeLateness(nowMs: number): void {
    const deadline = this.nextDeadline()
    if (deadline === undefined || nowMs - deadline < LATE_MS) return
    this.env.nowMs = nowMs
    // Moved on, not started over: a loop that is late again and again must still come to a decision.
    this.downing.excuse(nowMs - deadline)
    this.rollCall.excuse(nowMs - deadline)
  }

  /** Draws all consequences of what came in, until nothing changes any more. */
  private settle(): void {
    const { env } = this
    for (let round = 0; ; round++) {
      const version = env.state.version
      this.updateOverlay()
      if (env.isMember) {
        this.observation.updateRows()
        this.rollCall.attend()
      }
      this.judge()
      if (env.isMember) this.drawConsequences()
      if (env.state.version === version) break
      if (round === SETTLE_ROUNDS_MAX)
        throw new InvariantViolation('the rules of one step do not come to rest')
    }
    this.observation.reconcileWatches()
    this.welcomeOneself()
    this.quarantineRemoved()
    this.bidFarewell()
    this.view.refresh()
    if (env.settings.assertInvariants) checkInvariants(env.state)
  }

  private updateOverlay(): void {
    const living = this.env.living()
    if (living === this.overlaid) return
    this.overlaid = living
    this.env.overlay.update(living.map((m) => m.uid))
  }

  /** Judges anew when something that verdicts depend on has changed. */
  private judge(): void {
    const { membersVersion, rowsVersion, rollCallVersion } = this.env.state
    const key = `${membersVersion} ${rowsVersion} ${rollCallVersion}`
    const unheard = this.rollCall.unheard()
    if (key === this.judgedKey && unheard === this.judgedUnheard) return
    this.judgedKey = key
    this.judgedUnheard = unheard
    this.env.verdicts = computeVerdicts({
      state: this.env.state,
      overlay: this.env.overlay,
      policy: this.env.settings.aggregation,
      living: this.env.living(),
      unheard,
    })
  }

  private drawConsequences(): void {
    this.epochs.report()
    this.admission.settle()
    this.downing.observe()
    this.downing.decideIfDue()
    this.confirmExit()
    this.epochs.cutIfNeeded()
    actAsLeader(this.env, this.epochs)
  }

  /** On becoming a member: lets in who waited, and keeps links only where the overlay wants them. */
  private welcomeOneself(): void {
    if (this.wasMember || !this.env.isMember) return
    this.wasMember = true
    this.admission.opened()
    for (const seed of this.env.settings.seeds) this.env.emit({ type: 'disconnect', address: seed })
  }

  /** An exiting node has nothing to finish here; saying so lets the leader remove it. */
  private confirmExit(): void {
    const own = this.env.state.presences.get(this.env.self)
    if (this.env.selfEntry?.status !== 'exiting' || own === undefined || own.exitConfirmed) return
    this.env.state.putPresence({ ...own, exitConfirmed: true })
    this.exitingSinceMs = this.env.nowMs
  }

  private quarantineRemoved(): void {
    if (this.env.state.membersVersion === this.quarantinedVersion) return
    this.quarantinedVersion = this.env.state.membersVersion
    for (const entry of this.env.state.members.values()) {
      if (entry.status !== 'removed' || entry.cause !== 'downed' || this.quarantined.has(entry.uid)) continue
      this.quarantined.add(entry.uid)
      if (entry.uid === this.env.self) continue
      const { uid, nodeId, address } = entry
      this.env.emit({ type: 'quarantine', uid, reason: 'removedAfterDown' })
      this.env.publish({ type: 'quarantined', node: { uid, nodeId, address, reason: 'removedAfterDown' } })
    }
  }

  /** Links to members that have left are kept a little, so that they learn of it, and then let go. */
  private bidFarewell(): void {
    const { env } = this
    for (const peer of this.links.peers()) {
      const entry = env.state.members.get(peer.uid)
      if (entry?.cause === 'left' && !this.farewells.has(peer.uid)) {
        this.farewells.set(peer.uid, env.nowMs + FAREWELL_MS)
      }
    }
    for (const [uid, at] of [...this.farewells]) {
      if (env.nowMs < at) continue
      this.farewells.delete(uid)
      const peer = this.links.peer(uid)
      if (peer !== undefined) env.emit({ type: 'disconnect', address: peer.address })
    }
  }

  /** This membership ends when this node finds itself down or removed, or has waited for its removal in vain. */
  private endIfOver(): void {
    const entry = this.env.selfEntry
    if (entry === undefined) return
    const waitedOut =
      this.exitingSinceMs !== undefined && this.env.nowMs >= this.exitingSinceMs + EXIT_WAIT_MS
    if (entry.status === 'down' || entry.cause === 'downed') {
      this.end('downed', `marked down (${entry.downReason}); restart it to join as a new incarnation`)
    } else if (entry.status === 'removed') this.end('left', 'left the cluster gracefully')
    else if (waitedOut) this.end('left', 'left; the removal was not seen from here')
  }

  private end(reason: TerminationReason, detail: string): void {
    this.links.flushNow()
    this.env.end(reason, detail)
  }
}
