/**
 * The pool of data lanes: associations by incarnation and by address, lanes opened on first use and again while something
 * is unacknowledged, idle ones closed, at most one lane dial in flight per peer. Transport events and deadlines go in; it calls
 * the transport and the layer above. Time, randomness and turns of the loop are handed in.
 */
import { type Address, formatAddress, type Uid } from '../../core/address.js'
import { Deadline, DeadlineHeap } from '../control/deadlines.js'
import type { LaneEnd } from '../lane-socket.js'
import { DATA_LIMITS, TRANSPORT_LIMITS } from '../limits.js'
import type { DataLane, PeerHello, TransportEvent } from '../transport.js'
import { Association, type AssociationEnd } from './association.js'
import { AssociationTable } from './association-table.js'
import { Lane, type LaneFault, type LaneOwner } from './lane.js'
import { goneForGood, tooManyPeers } from './peer-errors.js'
import { SegmentPool } from './segments.js'

const DIAL_MAX = 0xffff_ffff

import type {
  AssociationClient,
  DataPlaneOptions,
  DataPlanePorts,
  DataPlaneSink,
  LaneDialler,
} from './data-plane-ports.js'

export type {
  AssociationClient,
  DataPlaneOptions,
  DataPlanePorts,
  DataPlaneSink,
  LaneDialler,
} from './data-plane-ports.js'

export class DataPlane<T, C extends AssociationClient<T>> {
  readonly counters = {
    lanesClosedIdle: 0,
    laneFaults: 0,
    lanesReopened: 0,
    lanesStuck: 0,
    lanesRefused: 0,
    associationsEnded: 0,
  }
  private readonly table = new AssociationTable<T, C>()
  private readonly deadlines = new DeadlineHeap()
  private readonly pool = new SegmentPool()
  private readonly owner: LaneOwner<T>
  private readonly onRetry = (association: Association<T, C>) => this.reopen(association)
  private readonly onLost = (association: Association<T, C>) => this.end(association, 'unreachable')
  private dirty: Lane<T>[] = []
  private flushPosted = false
  private inBatch = false
  private owing: Lane<T>[] = []
  private readonly ackDeadline = new Deadline(() => this.sendAcks())
  private readonly stuckDeadline = new Deadline(() => this.replaceStuck())
  private readonly idleDeadline = new Deadline(() => this.closeIdle())
  private openLanes = 0
  private dialsMade = 0
  private nextEpoch = 1
  private armedMs: number | undefined
  private turnMs = 0
  private closing = false
  private selfUid: Uid = ''
  /** Incarnations with which nothing is exchanged any more, the oldest forgotten first. */
  private readonly gone = new Set<Uid>()
  private onDrained: (() => void) | undefined

  constructor(
    private readonly options: DataPlaneOptions,
    private readonly ports: DataPlanePorts,
    private readonly transport: LaneDialler,
    private readonly sink: DataPlaneSink<T, C>,
  ) {
    this.owner = this.makeOwner()
  }

  /** The time, looked up once a turn. */
  nowMs(): number {
    if (!this.inBatch && !this.flushPosted) this.turnMs = this.ports.nowMs()
    return this.turnMs
  }

  associations(): IterableIterator<Association<T, C>> {
    return this.table.values()
  }

  get(uid: Uid): Association<T, C> | undefined {
    return this.table.get(uid)
  }

  /** By `host:port`. */
  getAt(address: string): Association<T, C> | undefined {
    return this.table.at(address)
  }

  /** Nothing new is begun. */
  get isClosing(): boolean {
    return this.closing
  }

  /** The association with an incarnation known by uid and address. Throws when too many peers are busy. */
  ensure(uid: Uid, address: Address, nodeId: string): Association<T, C> {
    const known = this.table.get(uid)
    if (known !== undefined) return known
    if (this.gone.has(uid)) throw goneForGood(uid)
    const waiting = this.table.at(formatAddress(address))
    const association = this.table.named(waiting, uid) ?? this.createIfRoom(uid, address)
    if (association === undefined) throw tooManyPeers()
    association.nodeId = nodeId
    return association
  }

  /** The association with whoever lives at an address. Throws when too many peers are busy. */
  ensureAt(address: Address): Association<T, C> {
    const name = formatAddress(address)
    const known = this.table.at(name) ?? this.createIfRoom(this.table.linkedUidAt(name), address)
    if (known === undefined) throw tooManyPeers()
    return known
  }

  /** Lane of an association, made on first use. */
  lane(association: Association<T, C>, name: DataLane): Lane<T> {
    const known = association.laneOf(name)
    if (known !== undefined) return known
    const lane = new Lane(name, this.owner, association.client, this.pool, this.nextEpoch++)
    if (name === 'ordinary') association.ordinary = lane
    else association.large = lane
    return lane
  }

  /** Something was appended to the lane's outbox: it leaves with this turn, or as soon as there is a socket. */
  queued(association: Association<T, C>, lane: Lane<T>): void {
    if (lane.socket === undefined) {
      this.nowMs()
      return this.want(association, lane)
    }
    if (lane.outbox.unsentBytes >= DATA_LIMITS.flushBytes && !lane.isBlocked) lane.flush()
    else this.markDirty(lane)
  }

  /** Ends an association: what is in it is given up with this reason, and it is forgotten. */
  end(association: Association<T, C>, reason: AssociationEnd): void {
    if (association.ended !== undefined) return
    association.ended = reason
    this.counters.associationsEnded += 1
    if (association.isRetrying) this.deadlines.clear(association.retry)
    if (association.isLost) this.deadlines.clear(association.lost)
    this.table.remove(association)
    // Before anybody hears of it, and may want the same address again.
    this.giveUpLink(association)
    for (const lane of association.lanes()) {
      this.dropSocket(lane)
      this.abandon(association, lane, reason)
    }
    this.sink.onEnded(association, reason)
    this.settle()
  }

  /** Ends whatever there is with an incarnation, now and for good. */
  endPeer(uid: Uid, reason: 'quarantined' | 'left'): void {
    this.gone.add(uid)
    if (this.gone.size > TRANSPORT_LIMITS.quarantinedMax) this.gone.delete(this.gone.values().next().value!)
    const association = this.table.get(uid)
    if (association !== undefined) this.end(association, reason)
  }

  /** This node's own incarnation, which is a peer like others. */
  introduce(self: PeerHello): void {
    this.selfUid = self.uid
    this.onLinkUp(self)
  }

  /** Every event of the transport; those that do not concern lanes are passed over. */
  onTransportEvent(event: TransportEvent): void {
    this.nowMs()
    switch (event.type) {
      case 'linkUp':
        return this.onLinkUp(event.peer)
      case 'linkDown':
        return this.onLinkDown(event.uid)
      case 'gated':
        return this.onGated(event.address, event.retryInMs)
      case 'laneOpened':
        return this.onLaneOpened(event)
      case 'laneFailed':
        return this.onLaneFailed(event.uid, event.lane)
      case 'quarantinedBy':
        return this.endPeer(event.uid, 'quarantined')
    }
  }

  onDeadline(): void {
    this.armedMs = undefined
    const nowMs = this.ports.nowMs()
    this.turnMs = nowMs
    for (let left = this.deadlines.size; left > 0; left -= 1) {
      const due = this.deadlines.popDue(nowMs)
      if (due === undefined) break
      due.run()
    }
    this.rearm()
  }

  /** Takes back a deadline. */
  clear(deadline: Deadline): void {
    this.deadlines.clear(deadline)
  }

  /** Sends what is queued and waits for its acknowledgement; calls back when all is out, and nothing more comes in. */
  close(onDrained: () => void): void {
    this.closing = true
    this.onDrained = onDrained
    for (const association of this.table.values()) {
      // What is sent to this node itself has to be taken to be delivered.
      if (association.uid === this.selfUid) continue
      for (const lane of association.lanes()) lane.isMuted = true
    }
    this.flushDirty()
    this.settle()
  }

  /** Gives up what `close` is still waiting for. */
  stop(): void {
    for (const association of [...this.table.values()]) this.end(association, 'closed')
    this.ports.arm(undefined)
    const drained = this.onDrained
    this.onDrained = undefined
    drained?.()
  }

  /** Withdraws the wish for a link, unless it is another incarnation's at the same address as well. */
  private giveUpLink(association: Association<T, C>): void {
    if (!association.wanted) return
    association.wanted = false
    const name = formatAddress(association.address)
    this.transport.disconnect(association.address)
    for (const other of this.table.values()) {
      if (other.wanted && formatAddress(other.address) === name) this.connect(other)
    }
  }

  private connect(association: Association<T, C>): void {
    if (association.uid === '') this.transport.connect(association.address)
    else this.transport.connect(association.address, association.uid)
  }

  private settle(): void {
    if (this.onDrained === undefined) return
    for (const association of this.table.values()) {
      const hopeless = association.gatedUntilMs !== undefined && !association.hasSocket
      if (association.hasUnacked && !hopeless) return
    }
    this.stop()
  }

  private createIfRoom(uid: Uid, address: Address): Association<T, C> | undefined {
    if (this.table.size >= DATA_LIMITS.associationsMax) {
      const idle = this.table.idleForLongest()
      if (idle === undefined) return undefined
      this.end(idle, 'closed')
    }
    return this.create(uid, address)
  }

  private create(uid: Uid, address: Address): Association<T, C> {
    const association = new Association<T, C>(uid, address, this.onRetry, this.onLost)
    association.client = this.sink.clientOf(association)
    this.table.add(association)
    const former = this.table.at(formatAddress(address))
    // One address, one incarnation: whoever had it before is not there any more.
    if (former !== undefined && former.uid !== '' && uid > former.uid) this.end(former, 'peerReset')
    this.table.settle(association)
    return association
  }

  private onLinkUp(peer: PeerHello): void {
    this.table.linkUp(peer)
    const there = this.table.at(formatAddress(peer.address))
    // Another incarnation lives there now; its predecessor will not come back.
    if (there !== undefined && there.uid !== '' && there.uid < peer.uid) this.end(there, 'peerReset')
    const association = this.table.get(peer.uid) ?? this.table.named(there, peer.uid)
    if (association === undefined) return
    association.linked = true
    association.gatedUntilMs = undefined
    association.nodeId = peer.nodeId
    this.openNext(association)
  }

  private onLinkDown(uid: Uid): void {
    this.table.linkDown(uid)
    const association = this.table.get(uid)
    if (association === undefined) return
    association.linked = false
    for (const lane of association.lanes()) lane.isDoubtful = true
    if (association.hasWork) this.startLost(association)
  }

  private onGated(address: Address, retryInMs: number): void {
    const association = this.table.at(formatAddress(address))
    if (association === undefined || association.linked) return
    association.gatedUntilMs = this.turnMs + retryInMs
    if (!association.hasSocket) this.sink.onUnreachable(association)
  }

  private onLaneOpened(event: Extract<TransportEvent, { type: 'laneOpened' }>): void {
    const { peer } = event
    const { table } = this
    // What was queued before the end may still be waiting for this.
    if (
      (this.closing && table.get(peer.uid)?.laneOf(event.lane)?.isNeeded !== true) ||
      this.gone.has(peer.uid)
    )
      return event.socket.destroy()
    const there = table.at(formatAddress(peer.address))
    const association =
      table.get(peer.uid) ?? table.named(there, peer.uid) ?? this.createIfRoom(peer.uid, peer.address)
    if (association === undefined) {
      this.counters.lanesRefused += 1
      return event.socket.destroy()
    }
    association.nodeId = peer.nodeId
    const lane = this.lane(association, event.lane)
    if (association.opening === lane) association.opening = undefined
    const had = lane.socket !== undefined
    lane.dialHighest = Math.max(lane.dialHighest, event.dial)
    if (!lane.adopt(event.socket, event.dial, event.dialler)) return event.socket.destroy()
    if (!had) this.openLanes += 1
    lane.usedAtMs = this.turnMs
    if (association.isRetrying) this.deadlines.clear(association.retry)
    if (this.stuckDeadline.index < 0) this.set(this.stuckDeadline, this.turnMs + DATA_LIMITS.ackTimeoutMs)
    if (this.idleDeadline.index < 0) this.set(this.idleDeadline, this.turnMs + this.options.laneIdleMs)
    if (this.openLanes > this.options.lanesMax) {
      const oldest = table.laneUsedLeastRecently()
      if (oldest !== undefined) this.closeIfIdle(...oldest)
    }
    this.openNext(association)
  }

  private onLaneFailed(uid: Uid, name: DataLane): void {
    const association = this.table.get(uid)
    const lane = association?.laneOf(name)
    if (association === undefined || lane === undefined) return
    if (association.opening === lane) association.opening = undefined
    if (lane.socket === undefined) this.planReopen(association)
  }

  /** A lane has something to do and no socket: asks for a link, then for the lane. */
  private want(association: Association<T, C>, lane: Lane<T>): void {
    if (association.ended !== undefined) return
    if (!association.wanted) {
      association.wanted = true
      this.connect(association)
    }
    if (!association.linked) return this.startLost(association)
    if (association.opening !== undefined || association.isRetrying) return
    this.open(association, lane)
  }

  private open(association: Association<T, C>, lane: Lane<T>): void {
    association.opening = lane
    this.dialsMade += 1
    // Above those of an association with the same peer that was forgotten here, whose sockets the peer may still have.
    lane.dialHighest = Math.min(DIAL_MAX, Math.max(lane.dialHighest + 1, this.dialsMade))
    this.startLost(association)
    this.transport.openLane(association.uid, lane.name, lane.dialHighest)
  }

  private openNext(association: Association<T, C>): void {
    for (const lane of association.lanes()) {
      if (lane.socket === undefined && lane.isNeeded) this.want(association, lane)
    }
  }

  private startLost(association: Association<T, C>): void {
    if (association.isLost || association.hasSocket) return
    this.set(association.lost, this.turnMs + this.options.unreachableTimeoutMs)
  }

  private planReopen(association: Association<T, C>): void {
    if (!association.hasWork || association.ended !== undefined) return
    this.startLost(association)
    if (association.isRetrying) return
    const { reopenMinMs, reopenMaxMs } = DATA_LIMITS
    const capMs = Math.min(reopenMaxMs, reopenMinMs * 2 ** Math.min(association.failures, 16))
    association.failures += 1
    this.set(association.retry, this.turnMs + reopenMinMs / 2 + this.ports.random() * capMs)
  }

  private reopen(association: Association<T, C>): void {
    this.counters.lanesReopened += 1
    this.openNext(association)
  }

  private associationOf(lane: Lane<T>): Association<T, C> {
    return (lane.receiver as C).association as Association<T, C>
  }

  /** One for all lanes: whose a lane is its receiver knows. An object of closures for each peer cost a kilobyte. */
  private makeOwner(): LaneOwner<T> {
    const { sink } = this
    return {
      topicOf: (name) => sink.topicOf(name),
      onBatchBegin: () => this.beginBatch(),
      onBatch: (lane) => this.endBatch(lane),
      onWork: (lane) => this.markDirty(lane),
      onOwesAck: (lane) => this.owe(lane),
      onRoom: (lane) => {
        sink.onRoom(this.associationOf(lane), lane)
        if (this.onDrained !== undefined) this.settle()
      },
      onGreeted: (lane) => {
        const association = this.associationOf(lane)
        if (association.isLost) this.deadlines.clear(association.lost)
      },
      onAcknowledged: (lane) => {
        this.associationOf(lane).failures = 0
      },
      onPeerReset: (lane) => sink.onPeerReset(this.associationOf(lane), lane),
      onForgotten: (lane) => this.onForgotten(this.associationOf(lane), lane),
      onSocketEnd: (lane, how) => this.onSocketEnd(this.associationOf(lane), lane, how),
    }
  }

  private onForgotten(association: Association<T, C>, lane: Lane<T>): void {
    this.dropSocket(lane)
    this.abandon(association, lane, 'peerReset')
    this.sink.onPeerReset(association, lane)
  }

  private onSocketEnd(association: Association<T, C>, lane: Lane<T>, how: LaneEnd | LaneFault): void {
    this.turnMs = this.ports.nowMs()
    this.openLanes -= 1
    const fault = how !== 'ended' && how !== 'reset' && how !== 'error'
    if (fault) {
      this.counters.laneFaults += 1
      this.sink.onFault(association, lane, how)
      // Positions that do not fit never will: this stream starts over.
      if (how === 'badPosition') this.abandon(association, lane, 'peerReset')
    }
    this.planReopen(association)
    if (this.closing) this.settle()
  }

  private abandon(association: Association<T, C>, lane: Lane<T>, reason: AssociationEnd): void {
    const names = new Map<number, string>()
    lane.abandon(this.nextEpoch++, (frame) => {
      let topic = names.get(frame.topic)
      if (topic === undefined) {
        topic = lane.topicNameOf(frame.topic)
        names.set(frame.topic, topic)
      }
      this.sink.onUnacked(association, lane, frame, topic, reason)
    })
    this.sink.onAbandoned(association, lane, reason)
  }

  private dropSocket(lane: Lane<T>): void {
    if (lane.socket === undefined) return
    this.openLanes -= 1
    lane.drop()
  }

  // ---- turns of the loop

  private beginBatch(): void {
    this.inBatch = true
    this.turnMs = this.ports.nowMs()
  }

  private endBatch(lane: Lane<T>): void {
    if (this.inBatch) lane.usedAtMs = this.turnMs
    this.flushDirty()
    this.inBatch = false
    // What was queued because of the room that came of it.
    if (this.dirty.length > 0) this.postFlush()
  }

  private markDirty(lane: Lane<T>): void {
    if (lane.isDirty) return
    lane.isDirty = true
    this.dirty.push(lane)
    if (!this.inBatch) this.postFlush()
  }

  private postFlush(): void {
    if (this.flushPosted) return
    this.turnMs = this.ports.nowMs()
    this.flushPosted = true
    this.ports.defer(() => {
      this.flushPosted = false
      this.flushDirty()
    })
  }

  private flushDirty(): void {
    if (this.dirty.length === 0) return
    const lanes = this.dirty
    this.dirty = []
    for (const lane of lanes) {
      lane.isDirty = false
      lane.flush()
      if (!lane.isBlocked) lane.roomAfterFlush()
    }
  }

  private owe(lane: Lane<T>): void {
    if (lane.isOwing) return
    lane.isOwing = true
    this.owing.push(lane)
    if (this.ackDeadline.index < 0) this.set(this.ackDeadline, this.turnMs + DATA_LIMITS.ackDelayMs)
  }

  private sendAcks(): void {
    const lanes = this.owing
    this.owing = []
    for (const lane of lanes) {
      lane.isOwing = false
      if (lane.socket !== undefined) lane.acknowledge()
    }
  }

  /** Beats on the control link do not prove that a data lane lives; acks do. What was not acknowledged is sent again. */
  private replaceStuck(): void {
    this.turnMs = this.ports.nowMs()
    for (const association of this.table.values()) {
      for (const lane of association.lanes()) {
        if (!lane.isStuck()) continue
        this.counters.lanesStuck += 1
        this.dropSocket(lane)
        this.planReopen(association)
      }
    }
    if (this.openLanes > 0) this.set(this.stuckDeadline, this.turnMs + DATA_LIMITS.ackTimeoutMs)
  }

  private closeIdle(): void {
    const nowMs = this.ports.nowMs()
    for (const association of this.table.values()) {
      for (const lane of association.lanes()) {
        if (lane.socket === undefined || nowMs - lane.usedAtMs < this.options.laneIdleMs) continue
        this.closeIfIdle(association, lane)
      }
    }
    if (this.openLanes > 0) this.set(this.idleDeadline, nowMs + this.options.laneIdleMs / 4)
  }

  /** What the peer sends meanwhile it keeps, and opens the lane again for it. */
  private closeIfIdle(association: Association<T, C>, lane: Lane<T>): void {
    if (lane.isNeeded || lane.owesAck) return
    this.counters.lanesClosedIdle += 1
    this.dropSocket(lane)
    // The other lane may be waiting for a socket of its own.
    if (association.hasWork) this.planReopen(association)
    else if (!association.hasSocket) this.giveUpLink(association)
  }

  /** Sets a deadline, one of this layer or of the layer above. */
  set(deadline: Deadline, atMs: number): void {
    this.deadlines.set(deadline, atMs)
    if (this.armedMs === undefined || atMs < this.armedMs) this.rearm()
  }

  private rearm(): void {
    const firstMs = this.deadlines.firstMs
    const wanted = firstMs === Number.POSITIVE_INFINITY ? undefined : firstMs
    if (wanted === this.armedMs) return
    this.armedMs = wanted
    this.ports.arm(wanted)
  }
}
