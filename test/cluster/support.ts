/** Real nodes in one process: quick timings, waiting with generous bounds, and nothing left behind. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '../../src/cluster/cluster.js'
import type { ShellEventType } from '../../src/cluster/events.js'
import { joinCluster } from '../../src/cluster/join.js'
import type { JoinOptions } from '../../src/cluster/options.js'
import { type Address, formatAddress } from '../../src/core/address.js'
import type { ClusterState } from '../../src/core/model.js'
import type { Logger, TransportFactory } from '../../src/options/types.js'
import { RealClock } from '../../src/sim/clock.js'
import { MemoryNetwork } from '../../src/transport/memory/memory-network.js'
import { nativeAvailable } from '../../src/transport/native/load.js'

export const WAIT_MS = 15_000

export async function waitFor(holds: () => boolean, timeoutMs = WAIT_MS): Promise<void> {
  const untilMs = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() > untilMs) throw new Error(`not within ${timeoutMs} ms: ${holds}`)
    await sleep(5)
  }
}

/** Beats ten times a second, so that what depends on silence does not take long. */
export const QUICK = {
  heartbeat: { intervalMs: 100, acceptablePauseMs: 800, stalledAfterMs: 500 },
  dial: { connectTimeoutMs: 500, backoffMinMs: 20, backoffMaxMs: 200, backoffWatchedMaxMs: 100 },
} as const satisfies Partial<JoinOptions>

export type TransportName = 'native' | 'net' | 'memory'

/** Nodes of one test on one transport; `end` closes whatever is still open. */
export class Nodes {
  readonly name: string
  readonly network = new MemoryNetwork({ clock: new RealClock() })
  readonly #transport: 'native' | 'net' | TransportFactory
  readonly #open = new Set<Cluster>()
  static #clusters = 0

  constructor(transport: TransportName) {
    Nodes.#clusters += 1
    this.name = `test-${process.pid}-${Nodes.#clusters}`
    this.#transport = transport === 'memory' ? (options) => this.network.createTransport(options) : transport
  }

  /** Joins through `seeds`; alone without. */
  async join(options: Partial<JoinOptions> = {}, seeds: readonly Cluster[] = []): Promise<Cluster> {
    const cluster = await joinCluster({ ...this.options(seeds), ...options })
    this.#open.add(cluster)
    return cluster
  }

  options(seeds: readonly Cluster[] = []): JoinOptions {
    return {
      name: this.name,
      listen: '127.0.0.1:0',
      transport: this.#transport,
      ...QUICK,
      ...(seeds.length === 0 ? {} : { seeds: seeds.map((seed) => seed.self.address) }),
    }
  }

  /** `count` nodes, named n1, n2, ..., all up everywhere. */
  async form(count: number, options: Partial<JoinOptions> = {}): Promise<Cluster[]> {
    const first = await this.join({ nodeId: 'n1', ...options })
    const rest = Array.from({ length: count - 1 }, (_, i) =>
      this.join({ nodeId: `n${i + 2}`, ...options }, [first]),
    )
    const all = [first, ...(await Promise.all(rest))]
    await waitFor(() => all.every((node) => statuses(node.state) === Array(count).fill('up').join()))
    return all
  }

  async end(): Promise<void> {
    await Promise.all([...this.#open].map((node) => node.close()))
    this.#open.clear()
  }
}

export function statuses(state: ClusterState): string {
  return state.members.map((m) => m.status).join()
}

export function nodeIds(state: ClusterState): string {
  return state.members
    .map((m) => m.nodeId)
    .sort()
    .join()
}

/** Collects the types of events from now on. */
export function eventTypes(cluster: Cluster): ShellEventType[] {
  const types: ShellEventType[] = []
  void (async () => {
    for await (const item of cluster.events()) if (item.type !== 'snapshot') types.push(item.type)
  })()
  return types
}

export function at(address: Address): string {
  return formatAddress(address)
}

export function recordingLogger() {
  const lines: { level: string; message: string }[] = []
  const note = (level: string) => (_facts: object, message: string) => {
    lines.push({ level, message })
  }
  const logger: Logger = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  }
  return { lines, logger }
}

/** Where no binary is built the native half is skipped by name, unless the run demands it. */
export const NATIVE_MISSING = process.env['SKEIN_REQUIRE_NATIVE'] !== '1' && !nativeAvailable()

/** Resolves with the next uncaught exception, keeping the test runner's own handlers out of it. */
export async function nextUncaught(): Promise<unknown> {
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  try {
    return await new Promise((resolve) => process.once('uncaughtException', resolve))
  } finally {
    for (const listener of others) process.on('uncaughtException', listener)
  }
}
