/** `joinCluster`: options in, a member out. */
import { Machine } from '../core/machine.js'
import { MACHINE_DEFAULTS } from '../core/settings.js'
import { admissionOf } from '../options/network.js'
import { type AddonLoader, chooseTransport } from '../transport/choice.js'
import { type ShellClock, systemClock } from '../transport/clock.js'
import { nextUid } from '../transport/incarnation.js'
import { loadAddon } from '../transport/native/load.js'
import { decodeMessage, encodeMessage } from '../wire/messages.js'
import type { Cluster } from './cluster.js'
import { ClusterNode, type NodeParts } from './cluster-node.js'
import type { MessageCodec } from './driver.js'
import type { JoinOptions, ResolvedOptions } from './options.js'
import { resolveOptions } from './resolve-options.js'

const wireCodec: MessageCodec = { encode: encodeMessage, decode: decodeMessage }

/** What a test may replace. */
export interface JoinEnvironment {
  readonly clock?: ShellClock
  readonly loadAddon?: AddonLoader
}

/**
 * Starts a node and resolves once it is a member: up, or weakly up while somebody is unreachable.
 *
 * Rejects with `ERR_SKEIN_INVALID_OPTION`, `ERR_SKEIN_ADDON_LOAD`, `ERR_SKEIN_BIND`, `ERR_SKEIN_JOIN_TIMEOUT`,
 * `ERR_SKEIN_JOIN_REFUSED`, `ERR_SKEIN_DUPLICATE_NODE_ID` or `ERR_SKEIN_ABORTED`; whatever it had started is closed by then.
 *
 * ```ts
 * await using cluster = await joinCluster({ name: 'orders', listen: '127.0.0.1:7355' })
 * ```
 */
export function joinCluster(options: JoinOptions): Promise<Cluster> {
  return joinIn({}, options)
}

/** `joinCluster` in an environment of the caller's making. */
export async function joinIn(environment: JoinEnvironment, given: JoinOptions): Promise<Cluster> {
  const load = environment.loadAddon ?? loadAddon
  const { options } = resolveOptions(given, () => loads(load))
  const choice = chooseTransport(options.transport, load)
  const uid = nextUid()
  const nodeId = options.nodeId ?? `${options.advertise.host}/${uid}`
  const transport = choice.create({
    identity: { cluster: options.name, nodeId, uid },
    listen: options.listen,
    advertise: options.advertise,
    heartbeat: options.heartbeat,
    dial: options.dial,
    ...admissionOf(options),
  })
  const parts: NodeParts = {
    clock: environment.clock ?? systemClock,
    codec: wireCodec,
    transport,
    defer: (run) => process.nextTick(run),
    random: Math.random,
    makeMachine: (self, seeds) => new Machine(machineSettings(options, self, seeds)),
  }
  const node = new ClusterNode(options, { nodeId, uid }, parts)
  await node.join(choice.fallbackReason)
  return node
}

function loads(load: AddonLoader): boolean {
  try {
    load()
    return true
  } catch {
    return false
  }
}

/** What the options say, and what they deliberately do not offer. */
function machineSettings(
  options: ResolvedOptions,
  self: Parameters<NodeParts['makeMachine']>[0],
  seeds: Parameters<NodeParts['makeMachine']>[1],
): ConstructorParameters<typeof Machine>[0] {
  return {
    cluster: options.name,
    self,
    roles: options.roles,
    seeds,
    downing: options.downing,
    aggregation: options.aggregation,
    observersMax: options.observersMax,
    maxLoopStallMs: options.maxLoopStallMs,
    seedNodeTimeoutMs: options.seedNodeTimeoutMs,
    joinRetryMs: MACHINE_DEFAULTS.joinRetryMs,
    joinTimeoutMs: options.joinTimeoutMs,
    rollCallTimeoutMs: options.rollCallTimeoutMs,
    pushIntervalMinMs: MACHINE_DEFAULTS.pushIntervalMinMs,
    digestIntervalMs: MACHINE_DEFAULTS.digestIntervalMs,
    random: Math.random,
  }
}
