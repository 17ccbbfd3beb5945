/**
 * Several machines wired directly to each other, without a transport: links open at once, messages arrive in
 * order after one millisecond, and the test itself plays the detector. For rules of the core; whole-node behaviour is tested in the simulator.
 */
import { makeUid, sameAddress, type Uid, type UniqueAddress } from '../../src/core/address.js'
import { keepMajority } from '../../src/core/downing.js'
import { Machine } from '../../src/core/machine.js'
import type { Effect, Input } from '../../src/core/machine-io.js'
import type { ClusterEvent, Member } from '../../src/core/model.js'
import { MACHINE_DEFAULTS, type MachineSettings } from '../../src/core/settings.js'
import { createRandom } from '../../src/sim/random.js'

export interface TestNode {
  readonly self: UniqueAddress
  readonly machine: Machine
  readonly events: ClusterEvent[]
  readonly watching: Set<Uid>
  readonly quarantined: Set<Uid>
  readonly probed: Uid[]
  readonly linked: Map<Uid, number>
  alive: boolean
  terminated: string | undefined
}

interface Delivery {
  readonly atMs: number
  readonly to: TestNode
  readonly input: Input
}

const LATENCY_MS = 1

export class TestMachines {
  nowMs = 1000
  readonly nodes: TestNode[] = []
  private queue: Delivery[] = []
  private session = 0
  private started = 0
  private readonly cuts = new Set<string>()
  private readonly settings: Partial<MachineSettings>

  constructor(settings: Partial<MachineSettings> = {}) {
    this.settings = settings
  }

  /** Starts a node on port 1000 + number; the first seed is node 1. */
  start(
    number: number,
    options: Partial<MachineSettings> & { nodeId?: string; port?: number } = {},
  ): TestNode {
    const address = { host: '10.0.0.1', port: options.port ?? 1000 + number }
    const uid = makeUid(1_700_000_000_000 + ++this.started, number)
    const self = { uid, nodeId: options.nodeId ?? `n${number}`, address }
    const { nodeId: _, port: __, ...overrides } = options
    const machine = new Machine({
      ...MACHINE_DEFAULTS,
      cluster: 'test',
      roles: [],
      seeds: [{ host: '10.0.0.1', port: 1001 }],
      downing: keepMajority({ stableAfterMs: 5000 }),
      assertInvariants: true,
      ...this.settings,
      ...overrides,
      random: createRandom(number),
      self,
    })
    const node: TestNode = {
      self,
      machine,
      events: [],
      watching: new Set(),
      quarantined: new Set(),
      probed: [],
      linked: new Map(),
      alive: true,
      terminated: undefined,
    }
    this.nodes.push(node)
    this.step(node, [{ type: 'join' }])
    return node
  }

  /** Starts nodes 1 to `count` and waits until all are up everywhere. */
  form(count: number): TestNode[] {
    for (let i = 1; i <= count; i++) this.start(i)
    this.runUntil(() => this.allUp(count), 10_000)
    return this.nodes
  }

  allUp(count: number): boolean {
    const living = this.nodes.filter((n) => n.alive)
    return living.every((n) => {
      const { members } = n.machine.state()
      return members.length === count && members.every((m) => m.status === 'up')
    })
  }

  run(ms: number): void {
    const end = this.nowMs + ms
    while (this.next(end)) {}
    this.nowMs = end
  }

  runUntil(condition: () => boolean, maxMs: number): void {
    const end = this.nowMs + maxMs
    while (!condition()) {
      if (!this.next(end)) throw new Error(`condition not met within ${maxMs} ms\n${this.describe()}`)
    }
  }

  describe(): string {
    return this.nodes
      .map((n) => {
        const s = n.machine.state()
        const members = s.members.map((m) => `${m.nodeId}:${m.status}:${m.reachability}`).join(' ')
        return `${n.self.nodeId} alive=${n.alive} ended=${n.terminated} [${members}] leader=${s.leader?.nodeId} converged=${s.converged} blockers=${s.blockers.map((b) => `${b.nodeId}:${b.reason}`)}`
      })
      .join('\n')
  }

  input(node: TestNode, ...inputs: Input[]): void {
    this.step(node, inputs)
  }

  /** The process dies: links fall, and whoever watches it learns that it is gone. */
  kill(node: TestNode): void {
    node.alive = false
    for (const other of this.nodes) {
      const session = other.linked.get(node.self.uid)
      if (!other.alive) continue
      if (session !== undefined) this.drop(other, node, session)
      if (other.watching.has(node.self.uid)) {
        this.post(other, { type: 'suspicion', uid: node.self.uid, suspected: true, cause: 'gone' }, 50)
      }
    }
  }

  /** Cuts one pair: links fall, and both ends hear nothing any more. */
  cut(a: TestNode, b: TestNode): void {
    this.cuts.add(pairOf(a, b))
    for (const [x, y] of [
      [a, b],
      [b, a],
    ] as const) {
      const session = x.linked.get(y.self.uid)
      if (session !== undefined) this.drop(x, y, session)
      if (x.watching.has(y.self.uid)) {
        this.post(x, { type: 'suspicion', uid: y.self.uid, suspected: true, cause: 'silence' }, 100)
      }
    }
  }

  heal(a: TestNode, b: TestNode): void {
    if (!this.cuts.delete(pairOf(a, b))) return
    for (const [x, y] of [
      [a, b],
      [b, a],
    ] as const) {
      if (!x.alive || !y.alive || x.quarantined.has(y.self.uid)) continue
      if (y.quarantined.has(x.self.uid)) {
        const by = { uid: y.self.uid, address: y.self.address }
        this.post(x, { type: 'quarantinedBy', ...by, reason: 'removedAfterDown' }, LATENCY_MS)
        continue
      }
      if (x.watching.has(y.self.uid)) {
        this.post(x, { type: 'suspicion', uid: y.self.uid, suspected: false, cause: 'silence' }, 100)
        this.link(x, y)
      }
    }
  }

  member(at: TestNode, of: TestNode): Member | undefined {
    return at.machine.state().members.find((m) => m.uid === of.self.uid)
  }

  private next(endMs: number): boolean {
    let at = Number.POSITIVE_INFINITY
    for (const d of this.queue) at = Math.min(at, d.atMs)
    for (const n of this.nodes) {
      if (n.alive)
        at = Math.min(at, Math.max(this.nowMs, n.machine.nextDeadline() ?? Number.POSITIVE_INFINITY))
    }
    if (at > endMs) return false
    this.nowMs = at
    const due = this.queue.filter((d) => d.atMs <= at)
    this.queue = this.queue.filter((d) => d.atMs > at)
    for (const { to, input } of due) if (to.alive && this.stillValid(to, input)) this.step(to, [input])
    for (const n of this.nodes) {
      if (n.alive && (n.machine.nextDeadline() ?? Number.POSITIVE_INFINITY) <= at)
        this.step(n, [{ type: 'deadline' }])
    }
    return true
  }

  private stillValid(to: TestNode, input: Input): boolean {
    return input.type !== 'message' || to.linked.get(input.from) === input.session
  }

  private step(node: TestNode, inputs: readonly Input[]): void {
    for (const effect of node.machine.handle(inputs, this.nowMs)) this.apply(node, effect)
  }

  private apply(node: TestNode, effect: Effect): void {
    switch (effect.type) {
      case 'publish':
        node.events.push(effect.event)
        return
      case 'send': {
        const peer = this.byUid(effect.to)
        const session = peer?.linked.get(node.self.uid)
        if (peer === undefined || session === undefined || !node.linked.has(effect.to)) {
          this.post(node, { type: 'sendFailed', to: effect.to }, 0)
          return
        }
        this.post(
          peer,
          { type: 'message', from: node.self.uid, session, message: effect.message },
          LATENCY_MS,
        )
        return
      }
      case 'connect': {
        const peer = this.nodes.find((n) => n.alive && sameAddress(n.self.address, effect.address))
        if (peer !== undefined) this.link(node, peer)
        return
      }
      case 'watch': {
        node.watching.add(effect.uid)
        const peer = this.byUid(effect.uid)
        if (peer?.alive && !this.cuts.has(pairOf(node, peer))) this.link(node, peer)
        return
      }
      case 'unwatch':
        node.watching.delete(effect.uid)
        return
      case 'probe': {
        node.probed.push(effect.uid)
        const outcome = this.byUid(effect.uid)?.alive ? 'alive' : 'gone'
        this.post(node, { type: 'probed', uid: effect.uid, outcome }, 2)
        return
      }
      case 'quarantine': {
        node.quarantined.add(effect.uid)
        const peer = this.byUid(effect.uid)
        const session = node.linked.get(effect.uid)
        if (peer !== undefined && session !== undefined) this.drop(node, peer, session)
        return
      }
      case 'terminate':
        node.terminated = effect.reason
        this.kill(node)
        return
      case 'disconnect':
        return
    }
  }

  private link(a: TestNode, b: TestNode): void {
    if (a === b || a.linked.has(b.self.uid) || a.quarantined.has(b.self.uid) || b.quarantined.has(a.self.uid))
      return
    const session = ++this.session
    a.linked.set(b.self.uid, session)
    b.linked.set(a.self.uid, session)
    this.post(a, { type: 'linkUp', peer: b.self, session }, 0)
    this.post(b, { type: 'linkUp', peer: a.self, session }, 0)
  }

  private drop(a: TestNode, b: TestNode, session: number): void {
    for (const [x, y] of [
      [a, b],
      [b, a],
    ] as const) {
      if (!x.linked.delete(y.self.uid)) continue
      this.post(x, { type: 'linkDown', uid: y.self.uid, session }, 0)
    }
  }

  private byUid(uid: Uid): TestNode | undefined {
    return this.nodes.find((n) => n.self.uid === uid)
  }

  private post(to: TestNode, input: Input, delayMs: number): void {
    this.queue.push({ atMs: this.nowMs + delayMs, to, input })
  }
}

function pairOf(a: TestNode, b: TestNode): string {
  return [a.self.uid, b.self.uid].sort().join()
}
