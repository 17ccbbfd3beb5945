/**
 * A deterministic cluster: production machines, codec and driver over the memory transport, on one virtual clock.
 * One seed decides everything. Faults are injected between events; every event of every node is checked.
 */

import { Driver } from '../cluster/driver.js'
import { type Address, makeUid, type Uid } from '../core/address.js'
import { type DowningStrategy, keepMajority } from '../core/downing.js'
import { Machine } from '../core/machine.js'
import type { Input } from '../core/machine-io.js'
import type { ClusterEvent, ClusterState } from '../core/model.js'
import { MACHINE_DEFAULTS, type MachineSettings } from '../core/settings.js'
import type { ShellClock } from '../transport/clock.js'
import { DIAL_DEFAULTS, HEARTBEAT_DEFAULTS } from '../transport/defaults.js'
import { type LatencyRange, MemoryNetwork } from '../transport/memory/memory-network.js'
import type { Transport } from '../transport/transport.js'
import { decodeMessage, encodeMessage } from '../wire/messages.js'
import { SafetyChecker } from './checker.js'
import { VirtualClock } from './clock.js'
import { createRandom, forkRandom, type Random } from './random.js'

export interface SimulationOptions {
  readonly seed: number
  readonly latency?: LatencyRange
  readonly downing?: DowningStrategy
  readonly settings?: Partial<MachineSettings>
}

export interface NodeOptions {
  readonly nodeId?: string
  /** Default: 7000 + the number of nodes started so far. */
  readonly port?: number
  readonly roles?: readonly string[]
}

/** Wall-clock start of the virtual time: uids need one. */
const EPOCH_MS = 1_700_000_000_000
const FIRST_PORT = 7000
/** As in the live node: what was said last may still leave. */
const FAREWELL_MS = 300

/** The events of one type, also where several types share a shape. */
type EventOf<T extends ClusterEvent['type']> = ClusterEvent extends infer E
  ? E extends { readonly type: string }
    ? T extends E['type']
      ? E
      : never
    : never
  : never

export class SimNode {
  readonly nodeId: string
  readonly uid: Uid
  readonly address: Address
  readonly events: { readonly atMs: number; readonly event: ClusterEvent }[] = []
  /** Undefined while it runs; `crashed`, or why its membership ended. */
  ended: string | undefined
  /** True while its process or its JavaScript loop stands still. */
  frozen = false
  readonly deferred: (() => void)[] = []
  driver: Driver | undefined

  constructor(
    nodeId: string,
    uid: Uid,
    address: Address,
    readonly machine: Machine,
    readonly transport: Transport,
  ) {
    this.nodeId = nodeId
    this.uid = uid
    this.address = address
  }

  get state(): ClusterState {
    return this.machine.state()
  }

  eventsOf<T extends ClusterEvent['type']>(type: T): EventOf<T>[] {
    return this.events.map(({ event }) => event).filter((event): event is EventOf<T> => event.type === type)
  }
}

export class Simulation {
  readonly clock = new VirtualClock()
  readonly network: MemoryNetwork
  readonly nodes: SimNode[] = []
  readonly checker = new SafetyChecker()
  readonly random: Random
  private readonly options: SimulationOptions
  private lastUid: Uid | undefined

  constructor(options: SimulationOptions) {
    this.options = options
    this.random = createRandom(options.seed)
    this.network = new MemoryNetwork({
      clock: this.clock,
      seed: options.seed,
      ...(options.latency === undefined ? {} : { latency: options.latency }),
    })
  }

  get nowMs(): number {
    return this.clock.nowMs()
  }

  /** Nodes whose membership has not ended. */
  get running(): SimNode[] {
    return this.nodes.filter((n) => n.ended === undefined)
  }

  /** Starts a node; the first three ports are the seeds. */
  start(options: NodeOptions = {}): SimNode {
    const port = options.port ?? FIRST_PORT + this.nodes.length
    const address = { host: '10.0.0.1', port }
    const nodeId = options.nodeId ?? `n${this.nodes.length + 1}`
    const uid = makeUid(EPOCH_MS + Math.floor(this.nowMs), Math.floor(this.random() * 2 ** 22), this.lastUid)
    this.lastUid = uid
    const cluster = 'simulation'
    const transport = this.network.createTransport({
      identity: { cluster, nodeId, uid },
      listen: address,
      heartbeat: HEARTBEAT_DEFAULTS,
      dial: DIAL_DEFAULTS,
    })
    const machine = new Machine({
      ...MACHINE_DEFAULTS,
      cluster,
      self: { uid, nodeId, address },
      roles: options.roles ?? [],
      seeds: [0, 1, 2].map((i) => ({ host: address.host, port: FIRST_PORT + i })),
      downing: this.options.downing ?? keepMajority({ stableAfterMs: 5000 }),
      assertInvariants: true,
      random: forkRandom(this.random),
      ...this.options.settings,
    })
    const node = new SimNode(nodeId, uid, address, machine, transport)
    this.nodes.push(node)
    this.run(node)
    return node
  }

  /** Starts `count` nodes and lets them form; throws if they do not within `maxMs`. */
  form(count: number, maxMs = 20_000): SimNode[] {
    for (let i = 0; i < count; i++) this.start()
    this.runUntil(() => this.agree(count), maxMs, `${count} nodes up everywhere`)
    return this.running
  }

  /** True when every running node sees exactly `count` members, all up and reachable. */
  agree(count: number): boolean {
    return this.running.every(
      ({ state }) =>
        state.members.length === count &&
        state.members.every((m) => m.status === 'up' && m.reachability === 'reachable'),
    )
  }

  runFor(ms: number): void {
    this.clock.runFor(ms)
  }

  runUntil(condition: () => boolean, maxMs: number, what: string): void {
    if (this.clock.runUntil(condition, maxMs)) return
    throw new Error(`seed ${this.options.seed}: not within ${maxMs} ms: ${what}\n${this.describe()}`)
  }

  crash(node: SimNode): void {
    node.ended = 'crashed'
    this.network.crash(node.address)
  }

  /** SIGSTOP. */
  pause(node: SimNode): void {
    node.frozen = true
    this.network.pause(node.address)
  }

  /** SIGCONT: what the kernel kept is delivered first, then late timers fire. */
  resume(node: SimNode): void {
    node.frozen = false
    this.network.resume(node.address)
    this.catchUp(node)
  }

  blockLoop(node: SimNode): void {
    node.frozen = true
    this.network.blockLoop(node.address)
  }

  unblockLoop(node: SimNode): void {
    node.frozen = false
    this.network.unblockLoop(node.address)
    this.catchUp(node)
  }

  partition(a: readonly SimNode[], b: readonly SimNode[]): void {
    this.network.partition(
      a.map((n) => n.address),
      b.map((n) => n.address),
    )
  }

  /** An operator's word at one node. */
  command(node: SimNode, input: Input): void {
    node.driver?.submit([input])
  }

  describe(): string {
    return this.nodes
      .map((n) => {
        const { members, leader, converged, blockers } = n.state
        const list = members
          .map((m) => `${m.nodeId}/${m.uid.slice(-4)}:${m.status}:${m.reachability}`)
          .join(' ')
        const by = blockers.map((b) => `${b.nodeId}:${b.reason}`).join()
        return `${n.nodeId}/${n.uid.slice(-4)} ${n.ended ?? (n.frozen ? 'frozen' : 'running')} leader=${leader?.nodeId} converged=${converged} by=${by} [${list}]`
      })
      .join('\n')
  }

  private run(node: SimNode): void {
    const driver = new Driver(
      node.machine,
      node.transport,
      node.transport,
      { encode: encodeMessage, decode: decodeMessage },
      this.clockOf(node),
      {
        batch: (apply) => apply(),
        publish: (event) => {
          node.events.push({ atMs: this.nowMs, event })
          this.checker.check(node, event)
        },
        terminated: (reason) => {
          node.ended = reason
          this.clock.schedule(FAREWELL_MS, () => void node.transport.close())
        },
        sendFault: (error) => {
          throw error
        },
        crashed: (error) => {
          throw error
        },
        malformed: (from, detail) => {
          throw new Error(`${node.nodeId} could not decode what ${from} sent: ${detail}`)
        },
      },
    )
    node.driver = driver
    // Resolves in its first turn; nothing in a simulation waits for a promise.
    void node.transport.start((batch) => driver.receive(batch))
    driver.submit([{ type: 'join' }])
  }

  /** Timers of a process that stands still wait for it. */
  private clockOf(node: SimNode): ShellClock {
    return {
      nowMs: () => this.clock.nowMs(),
      schedule: (delayMs, task) => {
        let cancelled = false
        const fire = (): void => {
          if (cancelled || node.ended === 'crashed') return
          if (node.frozen) node.deferred.push(fire)
          else task()
        }
        const timer = this.clock.schedule(delayMs, fire)
        return {
          cancel: () => {
            cancelled = true
            timer.cancel()
          },
        }
      },
    }
  }

  private catchUp(node: SimNode): void {
    for (const task of node.deferred.splice(0)) task()
  }
}
