/**
 * A random run from one seed: size, latencies and a schedule of faults, then healing and a deadline by which all that still
 * run must agree. Returns what it saw; throws, with the seed, on the first violation.
 */

import { createRandom, pick, type Random, randomInteger } from './random.js'
import { type SimNode, Simulation } from './simulation.js'

export interface SwarmOptions {
  readonly seed: number
  readonly sizeMin: number
  readonly sizeMax: number
  /** Faults injected before healing. */
  readonly faults: number
}

export interface SwarmResult {
  readonly seed: number
  readonly size: number
  readonly survivors: number
  readonly virtualMs: number
  readonly events: number
  readonly configuration: Readonly<Record<string, string | number>>
  readonly faults: readonly string[]
}

/** So that the configuration's draws are not the run's. */
const CONFIGURATION = 0x5eed

/** After the last fault ends, agreement is due within this time. */
const LIVENESS_MS = 90_000

export function runSwarm(options: SwarmOptions): SwarmResult {
  const draw = createRandom(options.seed ^ CONFIGURATION)
  const configuration = {
    observersMax: pick(draw, [4, 10]),
    aggregation: pick(draw, ['quorum', 'quorum', 'any'] as const),
    latencyMaxMs: pick(draw, [0.5, 5, 50]),
  }
  const sim = new Simulation({
    seed: options.seed,
    latency: { minMs: 0.1, maxMs: configuration.latencyMaxMs },
    settings: { observersMax: configuration.observersMax, aggregation: configuration.aggregation },
  })
  const size = randomInteger(draw, options.sizeMin, options.sizeMax)
  sim.form(size)
  const faults: string[] = []
  for (let i = 0; i < options.faults; i++) {
    faults.push(injectFault(sim, faults))
    sim.runFor(randomInteger(sim.random, 10, 12_000))
  }
  healEverything(sim)
  sim.runUntil(() => agreed(sim), LIVENESS_MS, `agreement after ${faults.join('; ')}`)
  sim.runFor(10_000)
  if (!agreed(sim)) throw new Error(`seed ${options.seed}: agreement did not last\n${sim.describe()}`)
  return {
    seed: options.seed,
    size,
    survivors: sim.running.length,
    virtualMs: sim.nowMs,
    events: sim.clock.eventCount,
    configuration,
    faults,
  }
}

/** All that run see one another, up and reachable, and nobody else. */
function agreed(sim: Simulation): boolean {
  const uids = sim.running.map((n) => n.uid).sort()
  return sim.running.every(({ state }) => {
    const seen = state.members.map((m) => m.uid).sort()
    return (
      seen.join() === uids.join() &&
      state.converged &&
      state.members.every((m) => m.status === 'up' && m.reachability === 'reachable')
    )
  })
}

function healEverything(sim: Simulation): void {
  sim.network.healAll()
  for (const node of sim.running) if (node.frozen) thaw(sim, node)
}

function thaw(sim: Simulation, node: SimNode): void {
  if (sim.network.isPaused(node.address)) sim.resume(node)
  else sim.unblockLoop(node)
}

const KINDS = [
  'crash',
  'restart',
  'restartInPlace',
  'pause',
  'block',
  'thaw',
  'thaw',
  'split',
  'link',
  'oneWay',
  'heal',
  'heal',
  'heal',
  'leave',
  'join',
] as const

function injectFault(sim: Simulation, told: readonly string[]): string {
  const { random } = sim
  const awake = sim.running.filter((n) => !n.frozen)
  const frozen = sim.running.filter((n) => n.frozen)
  const kind = pick(random, KINDS)
  const node = awake.length > 0 ? pick(random, awake) : undefined
  const at = `${Math.round(sim.nowMs)}ms #${told.length}`
  if (kind === 'thaw' && frozen.length > 0) {
    const sleeper = pick(random, frozen)
    thaw(sim, sleeper)
    return `${at} thaw ${sleeper.nodeId}`
  }
  if (kind === 'split' && awake.length > 1) return `${at} split ${split(sim, random)}`
  if (node === undefined || kind === 'heal' || kind === 'thaw' || kind === 'split') {
    sim.network.healAll()
    return `${at} heal`
  }
  return `${at} ${apply(sim, kind, node)}`
}

type NodeFault = Exclude<(typeof KINDS)[number], 'thaw' | 'split' | 'heal'>

function apply(sim: Simulation, kind: NodeFault, node: SimNode): string {
  switch (kind) {
    case 'crash':
      sim.crash(node)
      break
    case 'restart':
      sim.crash(node)
      sim.start({ nodeId: node.nodeId })
      break
    case 'restartInPlace':
      sim.crash(node)
      sim.start({ nodeId: node.nodeId, port: node.address.port })
      break
    case 'pause':
      sim.pause(node)
      break
    case 'block':
      sim.blockLoop(node)
      break
    case 'link':
    case 'oneWay': {
      const other = pick(sim.random, sim.running)
      if (other !== node) sim.network.cut(node.address, other.address, { oneWay: kind === 'oneWay' })
      return `${kind} ${node.nodeId}-${other.nodeId}`
    }
    case 'leave':
      sim.command(node, { type: 'leave', uid: node.uid })
      break
    case 'join':
      return `join ${sim.start().nodeId}`
  }
  return `${kind} ${node.nodeId}`
}

/** Cuts the running nodes into two groups of random size. */
function split(sim: Simulation, random: Random): string {
  const [left, right]: [SimNode[], SimNode[]] = [[], []]
  for (const node of sim.running) (random() < 0.5 ? left : right).push(node)
  sim.partition(left, right)
  return `${left.map((n) => n.nodeId).join()}|${right.map((n) => n.nodeId).join()}`
}
