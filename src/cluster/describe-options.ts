/** The resolved options as a table: what a node would run with, and where each value comes from. */
import { formatAddress } from '../core/address.js'
import type { OptionOrigin } from '../options/types.js'
import { nativeAvailable } from '../transport/native/load.js'
import type { JoinOptions, ResolvedOptions } from './options.js'
import { resolveOptions } from './resolve-options.js'

export interface OptionDescription {
  readonly value: unknown
  readonly origin: OptionOrigin
}

/**
 * Every option by its dotted path (`heartbeat.intervalMs`), with its value and origin. Addresses are texts, the downing
 * strategy is its name and `downing.stableAfterMs`. Nothing is started.
 *
 * Throws `ERR_SKEIN_INVALID_OPTION` for what `joinCluster` would reject.
 */
export function describeOptions(options: JoinOptions): Readonly<Record<string, OptionDescription>> {
  const { options: resolved, origins } = resolveOptions(options, nativeAvailable)
  const described: Record<string, OptionDescription> = {}
  for (const [path, origin] of origins) described[path] = { value: shown(resolved, path), origin }
  const stableAfterOrigin = origins.get('downing') ?? 'default'
  described['downing.stableAfterMs'] = { value: resolved.downing.stableAfterMs, origin: stableAfterOrigin }
  return described
}

/** Values that print and serialise; callbacks and signals are only said to be there. */
function shown(o: ResolvedOptions, path: string): unknown {
  const own = formatAddress(o.advertise)
  if (path === 'listen') return formatAddress(o.listen)
  if (path === 'advertise') return own
  if (path === 'nodeId') return o.nodeId ?? `${o.advertise.host}/<uid>`
  if (path === 'seeds') return o.seeds?.map(formatAddress) ?? [own]
  if (path === 'downing') return o.downing.name
  if (path === 'transport') return typeof o.transport === 'function' ? 'custom' : o.transport
  if (path === 'secret') return o.secrets === undefined ? undefined : `${o.secrets.length} (not shown)`
  if (path === 'tls') return o.tls !== undefined
  if (path === 'messaging.handlers') return Object.keys(o.messaging.handlers)
  if (path === 'signal') return o.signal !== undefined
  if (path === 'logger') return undefined
  const [group, key] = path.split('.') as [keyof ResolvedOptions, string | undefined]
  return key === undefined ? o[group] : (o[group] as unknown as Record<string, unknown>)[key]
}
