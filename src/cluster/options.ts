/** What `joinCluster` takes. Resolution and checks are in `resolve-options.ts`, cross-field rules in `option-rules.ts`. */
import type { Address } from '../core/address.js'
import type { DowningStrategy } from '../core/downing.js'
import type { AggregationPolicy } from '../core/settings.js'
import type { MessagingOptions, ResolvedMessagingOptions } from '../messaging/options.js'
import type { AddressOption, Logger, TransportFactory } from '../options/types.js'
import type { DialOptions, HeartbeatOptions, TlsOptions } from '../transport/transport.js'

/** Times are in milliseconds. What is left out, or undefined, takes its default. */
export interface JoinOptions {
  /** The cluster's name, 1 to 255 bytes. Nodes of another name are refused. */
  readonly name: string
  /** Where to listen; port 0 takes a free one. */
  readonly listen: AddressOption
  /** The address others dial. Default: `listen`; required when that is `0.0.0.0` or `::`. Port 0: the port bound. */
  readonly advertise?: AddressOption | undefined
  /**
   * The durable name of this node, 1 to 255 bytes: the same after a restart, different from every other's.
   * Default: the advertised `host:port`; with port 0 a name for this incarnation only.
   */
  readonly nodeId?: string | undefined
  /**
   * Where to ask for admission, 1 to 64 addresses. The first may found the cluster and lists itself first.
   * Default: this node's own address, which founds a cluster alone.
   */
  readonly seeds?: readonly AddressOption[] | undefined
  /** At most 32 roles of 1 to 64 bytes. Default none. */
  readonly roles?: readonly string[] | undefined
  /** Who decides that an unreachable member is down. Must be chosen as soon as there are two seeds; else `manual()`. */
  readonly downing?: DowningStrategy | undefined
  /** Default `auto`: `native` if its binary loads, else `net` with a `transportFallback` event. */
  readonly transport?: 'auto' | 'native' | 'net' | TransportFactory | undefined
  readonly heartbeat?: Partial<HeartbeatOptions> | undefined
  readonly dial?: Partial<DialOptions> | undefined
  /**
   * A secret of 16 to 256 bytes that every node of the cluster must prove to know, or up to four: peers may know any of
   * them, so that one is rotated by adding the new one everywhere, then removing the old. Default: none, everybody is let in.
   */
  readonly secret?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  /** TLS 1.3 with mutual authentication; takes the `net` transport. */
  readonly tls?: TlsOptions | undefined
  /** Messages between nodes: bounds, timeouts, handlers. */
  readonly messaging?: MessagingOptions | undefined
  /** How observers' words become one verdict. Default `quorum`. */
  readonly aggregation?: AggregationPolicy | undefined
  /** Members each node watches, 1 to 100. Default 10. */
  readonly observersMax?: number | undefined
  /** A loop that stands still for this long makes its member unreachable, 1 s to 1 h. Default 30_000. */
  readonly maxLoopStallMs?: number | undefined
  /** How long the first seed looks for a cluster before it founds one. Default 5000, at most half of `joinTimeoutMs`. */
  readonly seedNodeTimeoutMs?: number | undefined
  /** Time to become a member, 100 ms to 1 h. Default 30_000. */
  readonly joinTimeoutMs?: number | undefined
  /** How long a roll call waits for the silent. Default 1000, at most a quarter of the strategy's `stableAfterMs`. */
  readonly rollCallTimeoutMs?: number | undefined
  /** Gives up joining when it fires; without effect afterwards. */
  readonly signal?: AbortSignal | undefined
  /** Default: silent. */
  readonly logger?: Logger | undefined
}

/** Every option with its value. */
export interface ResolvedOptions {
  readonly name: string
  readonly listen: Address
  readonly advertise: Address
  /** Undefined: a name for this incarnation is made from its uid. */
  readonly nodeId: string | undefined
  /** Undefined: this node's own address, known once it is bound. */
  readonly seeds: readonly Address[] | undefined
  readonly roles: readonly string[]
  readonly downing: DowningStrategy
  readonly transport: 'auto' | 'native' | 'net' | TransportFactory
  readonly heartbeat: HeartbeatOptions
  readonly dial: DialOptions
  readonly secrets: readonly Uint8Array[] | undefined
  readonly tls: TlsOptions | undefined
  readonly messaging: ResolvedMessagingOptions
  readonly aggregation: AggregationPolicy
  readonly observersMax: number
  readonly maxLoopStallMs: number
  readonly seedNodeTimeoutMs: number
  readonly joinTimeoutMs: number
  readonly rollCallTimeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly logger: Logger
}
