/** Data planes on simulated nodes, with a layer above that writes down what it is told. */
import type { Association, AssociationEnd } from '../../../src/transport/data/association.js'
import {
  type AssociationClient,
  DataPlane,
  type DataPlaneOptions,
  type DataPlaneSink,
} from '../../../src/transport/data/data-plane.js'
import type { Lane, LaneFault } from '../../../src/transport/data/lane.js'
import type { UnackedFrame } from '../../../src/transport/data/outbox.js'
import type { DataLane } from '../../../src/transport/transport.js'
import { DataKind } from '../../../src/wire/data-frame.js'
import type { FakeNode, LaneWorld } from './lane-world.js'

export const PLANE_OPTIONS: DataPlaneOptions = {
  unreachableTimeoutMs: 10_000,
  laneIdleMs: 60_000,
  lanesMax: 8192,
}

export interface Received {
  readonly from: string
  readonly lane: DataLane
  readonly kind: number
  readonly flags: number
  readonly topic: string | undefined
  readonly correlation: number
  readonly body: Uint8Array
}

export interface Letter {
  readonly lane: DataLane
  readonly topic: string
  readonly correlation: number
  readonly bytes: number
  readonly sent: boolean
  readonly reason: AssociationEnd
}

/** What the layer above keeps of an association: here, only where its frames go. */
export type Client = AssociationClient<string>

type Peer = Association<string, Client>

export class PlaneNode implements DataPlaneSink<string, Client> {
  readonly plane: DataPlane<string, Client>
  readonly received: Received[] = []
  readonly letters: Letter[] = []
  readonly faults: LaneFault[] = []
  readonly ends: AssociationEnd[] = []
  /** What happened, in order, by name. */
  readonly told: string[] = []
  rooms = 0
  /** Replaced by tests of what a handler does. */
  onReceived: (frame: Received, association: Peer, lane: Lane<string>) => void = () => {}
  onRoomOf: (association: Peer, lane: Lane<string>) => void = () => {}

  constructor(
    readonly node: FakeNode,
    options: Partial<DataPlaneOptions> = {},
  ) {
    this.plane = new DataPlane({ ...PLANE_OPTIONS, ...options }, node.ports, node, this)
    node.onEvent = (event) => this.plane.onTransportEvent(event)
    node.onDeadline = () => this.plane.onDeadline()
  }

  to(other: PlaneNode): Peer {
    return this.plane.ensure(other.node.uid, other.node.address, other.node.hello.nodeId)
  }

  laneTo(other: PlaneNode, name: DataLane = 'ordinary'): Lane<string> {
    return this.plane.lane(this.to(other), name)
  }

  /** Queues a message; `correlation` tells one from the other. */
  send(
    other: PlaneNode,
    correlation: number,
    body: Uint8Array,
    name: DataLane = 'ordinary',
    topic = 't',
  ): void {
    this.sendOn(this.to(other), correlation, body, name, topic)
  }

  /** Queues any frame. */
  frame(
    other: PlaneNode | FakeNode,
    kind: number,
    flags: number,
    topic: string | undefined,
    correlation: number,
    body: Uint8Array,
    name: DataLane = 'large',
  ): void {
    const node = other instanceof PlaneNode ? other.node : other
    const association = this.plane.ensure(node.uid, node.address, node.hello.nodeId)
    const lane = this.plane.lane(association, name)
    const number = topic === undefined ? 0 : lane.topicNumber(topic)!
    lane.outbox.append(kind, flags, number, correlation, body, 0, body.length)
    this.plane.queued(association, lane)
  }

  sendOn(
    association: Peer,
    correlation: number,
    body: Uint8Array,
    name: DataLane = 'ordinary',
    topic = 't',
  ): void {
    const lane = this.plane.lane(association, name)
    const number = lane.topicNumber(topic)!
    lane.outbox.append(DataKind.message, 0, number, correlation, body, 0, body.length)
    this.plane.queued(association, lane)
  }

  get correlations(): number[] {
    return this.received.map(({ correlation }) => correlation)
  }

  topicOf(name: string): string {
    return name
  }

  clientOf(association: Peer): Client {
    return { association, onFrame: (...frame) => this.onFrame(association, ...frame) }
  }

  private onFrame(
    association: Peer,
    lane: Lane<string>,
    kind: number,
    flags: number,
    topic: string | undefined,
    correlation: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    const body = bytes.slice(from, to)
    const frame = { from: association.uid, lane: lane.name, kind, flags, topic, correlation, body }
    this.received.push(frame)
    this.onReceived(frame, association, lane)
  }

  onRoom(association: Peer, lane: Lane<string>): void {
    this.rooms += 1
    this.onRoomOf(association, lane)
  }

  onPeerReset(_association: Peer, lane: Lane<string>): void {
    this.told.push(`peerReset ${lane.name}`)
  }

  onUnreachable(): void {
    this.told.push('unreachable')
  }

  onUnacked(
    _association: Peer,
    lane: Lane<string>,
    frame: UnackedFrame,
    topic: string,
    reason: AssociationEnd,
  ): void {
    if (frame.kind !== DataKind.message) return
    const { correlation, from, to, sent } = frame
    this.letters.push({ lane: lane.name, topic, correlation, bytes: to - from, sent, reason })
  }

  onAbandoned(_association: Peer, lane: Lane<string>, reason: AssociationEnd): void {
    this.told.push(`abandoned ${lane.name} ${reason}`)
  }

  onEnded(_association: Peer, reason: AssociationEnd): void {
    this.ends.push(reason)
  }

  onFault(_association: Peer, _lane: Lane<string>, fault: LaneFault): void {
    this.faults.push(fault)
  }
}

export function addPlane(
  world: LaneWorld,
  index: number,
  options: Partial<DataPlaneOptions> = {},
  generation = 0,
) {
  return new PlaneNode(world.addNode(index, generation), options)
}

/** The newest socket of a lane, as the node that has it. */
export function socketOf(world: LaneWorld, node: PlaneNode, lane: DataLane = 'ordinary') {
  const found = world.openLanes.findLast(
    (made) => made.lane === lane && (made.dialler === node.node || made.acceptor === node.node),
  )
  if (found === undefined) throw new Error(`no open ${lane} lane of ${node.node.hello.nodeId}`)
  return found.sockets[found.dialler === node.node ? 0 : 1]
}
