/**
 * Nodes joined by simulated lanes, under a virtual clock: sockets that take fewer bytes than offered, die at chosen moments and
 * deliver in pieces; links that come and go. What a socket was given is read only when it arrives, so that memory used again too early shows.
 */
import { type Address, formatAddress, makeUid, type Uid } from '../../../src/core/address.js'
import { type Timer, VirtualClock } from '../../../src/sim/clock.js'
import { createRandom, type Random, randomInteger } from '../../../src/sim/random.js'
import type { DataPlanePorts, LaneDialler } from '../../../src/transport/data/data-plane.js'
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../../../src/transport/lane-socket.js'
import type { DataLane, PeerHello, TransportEvent } from '../../../src/transport/transport.js'

const LATENCY_MS = 0.1
const POISON = 0xdb
const WAIT_MS_MAX = 60_000
const REDIAL_MS = 100

/** One end of a simulated socket. */
export class FakeSocket implements LaneSocket {
  peer!: FakeSocket
  /** How many of `count` bytes are taken now. */
  takes: (count: number) => number = (count) => count
  /** How many bytes arrive at once. */
  pieces: (count: number) => number = (count) => count
  /** What may be on its way before nothing more is taken. */
  capacityBytes = 1024 * 1024
  /** Bytes taken, ever. */
  writtenBytes = 0
  destroyed = false
  private handler: LaneSocketHandler | undefined
  private readonly flying: Uint8Array[] = []
  private flyingBytes = 0
  private isMoving = false
  private isShort = false
  private isShut = false
  private ending: LaneEnd | undefined
  private isOver = false
  /** Nothing goes in or out any more, though its owner may not know yet. */
  private isDead = false
  private isReading = true
  private rest = new Uint8Array(0)

  constructor(private readonly clock: VirtualClock) {}

  /** What is under way lies where it was taken from. */
  get hasUnwritten(): boolean {
    return this.flyingBytes > 0
  }

  attach(handler: LaneSocketHandler): void {
    this.handler = handler
    this.peer.move()
    this.tellEnd()
  }

  write(bytes: Uint8Array, from: number, to: number): number {
    if (this.destroyed || this.isOver || this.isShut || this.isDead) return 0
    const room = Math.max(0, this.capacityBytes - this.flyingBytes)
    const taken = Math.min(room, this.takes(to - from), to - from)
    if (taken > 0) this.flying.push(bytes.subarray(from, from + taken))
    this.flyingBytes += taken
    this.writtenBytes += taken
    if (taken < to - from) {
      this.isShort = true
      if (this.flyingBytes === 0) this.tellRoom()
    }
    this.move()
    return taken
  }

  setReading(on: boolean): void {
    this.isReading = on
    if (on) this.peer.move()
    this.tellEnd()
  }

  shutdown(): void {
    this.isShut = true
    this.move()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    // From here on its memory is its owner's again.
    for (let index = 0; index < this.flying.length; index += 1)
      this.flying[index] = this.flying[index]!.slice()
    this.isShut = true
    this.move()
  }

  /** What is on its way is lost, and both ends hear of it. */
  kill(): void {
    for (const end of [this, this.peer]) {
      end.isDead = true
      end.flying.length = 0
      end.flyingBytes = 0
      end.ending ??= 'reset'
      end.tellEnd()
    }
  }

  /** Puts bytes on the way as the other program might. */
  inject(bytes: Uint8Array): void {
    this.flying.push(bytes.slice())
    this.flyingBytes += bytes.length
    this.move()
  }

  private move(): void {
    if (this.isMoving) return
    this.isMoving = true
    this.clock.schedule(LATENCY_MS, () => {
      this.isMoving = false
      this.deliver()
    })
  }

  private deliver(): void {
    const { peer } = this
    if (peer.handler === undefined || !peer.isReading || peer.isOver) return
    if (this.flyingBytes > 0) {
      const count = Math.max(1, this.pieces(this.flyingBytes))
      peer.receive(this.takeFlying(Math.min(count, this.flyingBytes)))
      if (this.isShort) this.tellRoom()
      return this.move()
    }
    if (this.isShut && peer.ending === undefined) {
      peer.ending = 'ended'
      peer.tellEnd()
    }
  }

  private takeFlying(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    let at = 0
    while (at < count) {
      const first = this.flying[0]!
      const size = Math.min(first.length, count - at)
      bytes.set(first.subarray(0, size), at)
      at += size
      if (size === first.length) this.flying.shift()
      else this.flying[0] = first.subarray(size)
    }
    this.flyingBytes -= count
    return bytes
  }

  private receive(bytes: Uint8Array): void {
    if (this.destroyed || this.isOver) return
    // In a buffer of its own, at an offset, as a view that does not begin where its buffer does.
    const before = 24
    const whole = new Uint8Array(before + this.rest.length + bytes.length).subarray(8)
    whole.set(this.rest, before - 8)
    whole.set(bytes, before - 8 + this.rest.length)
    const taken = this.handler!.onData(whole, before - 8, whole.length)
    this.rest = whole.slice(before - 8 + taken)
    whole.fill(POISON)
  }

  private tellRoom(): void {
    this.clock.schedule(LATENCY_MS, () => {
      if (!this.isShort || this.destroyed || this.isOver) return
      this.isShort = false
      this.handler?.onWritable()
    })
  }

  private tellEnd(): void {
    if (this.ending === undefined || this.handler === undefined || !this.isReading) return
    this.clock.schedule(LATENCY_MS, () => {
      if (this.isOver || this.destroyed) return
      this.isOver = true
      this.handler!.onEnd(this.ending!)
    })
  }
}

/** The sockets of one lane connection, by who dialled. */
export interface FakeLane {
  readonly lane: DataLane
  readonly dial: number
  readonly dialler: FakeNode
  readonly acceptor: FakeNode
  readonly sockets: readonly [dialler: FakeSocket, acceptor: FakeSocket]
}

/** One node's control plane, as its data plane sees it. */
export class FakeNode implements LaneDialler {
  readonly hello: PeerHello
  readonly wanted = new Set<string>()
  readonly connects: string[] = []
  readonly disconnects: string[] = []
  /** Where events of the transport go. */
  onEvent: (event: TransportEvent) => void = () => {}
  isUp = true
  private timer: Timer | undefined
  /** Deadlines that were armed, for the test to count. */
  arms = 0
  onDeadline: () => void = () => {}

  constructor(
    private readonly world: LaneWorld,
    readonly uid: Uid,
    nodeId: string,
    readonly address: Address,
  ) {
    this.hello = { uid, nodeId, address, bind: address }
  }

  get ports(): DataPlanePorts {
    const { clock } = this.world
    return {
      nowMs: () => clock.nowMs(),
      arm: (atMs) => this.arm(atMs),
      defer: (run) => clock.schedule(0, run),
      random: this.world.random,
    }
  }

  connect(address: Address): void {
    const name = formatAddress(address)
    this.connects.push(name)
    this.wanted.add(name)
    this.world.dial(this, name)
  }

  disconnect(address: Address): void {
    const name = formatAddress(address)
    this.disconnects.push(name)
    this.wanted.delete(name)
    this.world.undial(this, name)
  }

  openLane(uid: Uid, lane: DataLane, dial: number): void {
    this.world.openLane(this, uid, lane, dial)
  }

  private arm(atMs: number | undefined): void {
    this.arms += 1
    this.timer?.cancel()
    this.timer = undefined
    if (atMs === undefined) return
    this.timer = this.world.clock.schedule(atMs - this.world.clock.nowMs(), () => {
      this.timer = undefined
      if (this.isUp) this.onDeadline()
    })
  }
}

export class LaneWorld {
  /** Not from 0: a time that nobody has looked up shows. */
  readonly clock = new VirtualClock(1_000_000)
  readonly random: Random
  /** Every lane connection so far, the newest last. */
  readonly lanes: FakeLane[] = []
  /** Lane dials are answered with a failure. */
  refuseLanes = false
  /** Called for both sockets of each new lane before anybody has them. */
  prepare: (socket: FakeSocket) => void = () => {}
  private readonly nodes: FakeNode[] = []
  private readonly links = new Set<string>()
  private readonly cuts = new Set<string>()

  constructor(seed = 1) {
    this.random = createRandom(seed)
  }

  addNode(index: number, generation = 0): FakeNode {
    const uid = makeUid(1_700_000_000_000 + 1000 * generation + index, index)
    const node = new FakeNode(this, uid, `node-${index}`, { host: `10.0.0.${index + 1}`, port: 7000 })
    this.nodes.push(node)
    return node
  }

  /** A link as whoever wants one gets it. */
  link(a: FakeNode, b: FakeNode): void {
    if (this.links.has(linkKey(a, b))) return
    this.links.add(linkKey(a, b))
    a.onEvent({ type: 'linkUp', peer: b.hello, session: 1 })
    b.onEvent({ type: 'linkUp', peer: a.hello, session: 1 })
  }

  /** The link and the lanes between two nodes end; links are not made again before `heal`. */
  cut(a: FakeNode, b: FakeNode): void {
    this.cuts.add(linkKey(a, b))
    this.killLanes(a, b)
    this.unlink(a, b)
  }

  /** As `cut`, and neither end hears of its lanes. */
  cutSilently(a: FakeNode, b: FakeNode): void {
    this.cuts.add(linkKey(a, b))
    this.unlink(a, b)
  }

  heal(a: FakeNode, b: FakeNode): void {
    this.cuts.delete(linkKey(a, b))
  }

  /** The node's process is gone. */
  crash(node: FakeNode): void {
    node.isUp = false
    node.onEvent = () => {}
    for (const other of this.nodes) {
      if (other === node) continue
      this.killLanes(node, other)
      this.unlink(node, other)
    }
    this.nodes.splice(this.nodes.indexOf(node), 1)
  }

  killLanes(a?: FakeNode, b?: FakeNode): void {
    for (const { dialler, acceptor, sockets } of this.openLanes) {
      const isBetween = (dialler === a && acceptor === b) || (dialler === b && acceptor === a)
      if (a === undefined || isBetween) sockets[0].kill()
    }
  }

  /** Sockets that both ends still have. */
  get openLanes(): FakeLane[] {
    return this.lanes.filter(({ sockets }) => !sockets[0].destroyed && !sockets[1].destroyed)
  }

  dial(from: FakeNode, name: string): void {
    this.clock.schedule(LATENCY_MS, () => {
      if (!from.wanted.has(name) || !from.isUp) return
      const to = this.nodes.find((node) => node.isUp && formatAddress(node.address) === name)
      if (to !== undefined && !this.cuts.has(linkKey(from, to))) return this.link(from, to)
      const address = to?.address ?? parse(name)
      from.onEvent({ type: 'gated', address, reason: 'timeout', attempts: 1, retryInMs: REDIAL_MS })
      this.clock.schedule(REDIAL_MS, () => this.dial(from, name))
    })
  }

  undial(from: FakeNode, name: string): void {
    const to = this.nodes.find((node) => formatAddress(node.address) === name)
    if (to === undefined || to.wanted.has(formatAddress(from.address))) return
    this.clock.schedule(LATENCY_MS, () => this.unlink(from, to))
  }

  openLane(from: FakeNode, uid: Uid, lane: DataLane, dial: number): void {
    this.clock.schedule(LATENCY_MS, () => {
      const to = this.nodes.find((node) => node.uid === uid)
      if (to === undefined || this.refuseLanes || !this.links.has(linkKey(from, to)))
        return from.onEvent({ type: 'laneFailed', uid, lane, dial, reason: 'noLink' })
      this.join(from, to, lane, dial)
    })
  }

  /** Both ends of a new lane socket, handed over. */
  join(from: FakeNode, to: FakeNode, lane: DataLane, dial: number): FakeLane {
    const sockets = [new FakeSocket(this.clock), new FakeSocket(this.clock)] as const
    sockets[0].peer = sockets[1]
    sockets[1].peer = sockets[0]
    for (const socket of sockets) this.prepare(socket)
    const made = { lane, dial, dialler: from, acceptor: to, sockets }
    this.lanes.push(made)
    const dialler = from.uid
    to.onEvent({ type: 'laneOpened', peer: from.hello, lane, dial, dialler, socket: sockets[1] })
    this.clock.schedule(LATENCY_MS, () =>
      from.onEvent({ type: 'laneOpened', peer: to.hello, lane, dial, dialler, socket: sockets[0] }),
    )
    return made
  }

  /** Lets time pass, one event after the other, promises in between. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.clock.nowMs() + ms
    await turn()
    while ((this.clock.nextEventMs() ?? Number.POSITIVE_INFINITY) <= untilMs) await this.step()
    this.clock.runFor(untilMs - this.clock.nowMs())
    await turn()
  }

  async until(condition: () => boolean, what: string, waitMs = WAIT_MS_MAX): Promise<void> {
    const untilMs = this.clock.nowMs() + waitMs
    await turn()
    while (!condition()) {
      if ((this.clock.nextEventMs() ?? Number.POSITIVE_INFINITY) > untilMs)
        throw new Error(`waited ${waitMs} ms for ${what}`)
      await this.step()
    }
  }

  /** What a promise comes to, as time passes. */
  async settle<T>(promise: Promise<T>, waitMs = WAIT_MS_MAX): Promise<T> {
    let settled = false
    const mark = () => {
      settled = true
    }
    promise.then(mark, mark)
    await this.until(() => settled, 'a promise', waitMs)
    return promise
  }

  private async step(): Promise<void> {
    const before = this.clock.eventCount
    this.clock.runUntil(() => this.clock.eventCount > before, WAIT_MS_MAX)
    await turn()
  }

  private unlink(a: FakeNode, b: FakeNode): void {
    if (!this.links.delete(linkKey(a, b))) return
    for (const [node, other] of [
      [a, b],
      [b, a],
    ] as const) {
      node.onEvent({ type: 'linkDown', uid: other.uid, session: 1, reason: 'closedByPeer' })
      const name = formatAddress(other.address)
      if (node.wanted.has(name)) this.dial(node, name)
    }
  }
}

/** Sockets that take, and deliver, any number of bytes. */
export function raggedSockets(random: Random, bytesMax: number): (socket: FakeSocket) => void {
  return (socket) => {
    socket.takes = (count) => randomInteger(random, 0, Math.min(count, bytesMax))
    socket.pieces = (count) => randomInteger(random, 1, Math.min(count, bytesMax))
  }
}

/** Promises that were settled by an event run before the next one. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function linkKey(a: FakeNode, b: FakeNode): string {
  return a.uid < b.uid ? `${a.uid} ${b.uid}` : `${b.uid} ${a.uid}`
}

function parse(name: string): Address {
  const at = name.lastIndexOf(':')
  return { host: name.slice(0, at), port: Number(name.slice(at + 1)) }
}
