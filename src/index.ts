/** The public surface of skein. */
export type { Cluster, EventsOptions, LeaveOptions } from './cluster/cluster.js'
export { describeOptions, type OptionDescription } from './cluster/describe-options.js'
export type {
  Closed,
  DiagnosticsMessage,
  EventOf,
  ShellEvent,
  ShellEventType,
  StreamItem,
} from './cluster/events.js'
export { InvalidOptionError } from './options/invalid-option.js'
export { joinCluster } from './cluster/join.js'
export type { NodeReference } from './cluster/member-lookup.js'
export type { JoinOptions } from './cluster/options.js'
export type { Address, Uid, UniqueAddress } from './core/address.js'
export {
  type DowningStrategy,
  type KeepMajorityOptions,
  keepMajority,
  manual,
  type Observation,
  type ObservedMember,
  type Verdict,
} from './core/downing.js'
export type {
  Blocker,
  ClusterEvent,
  ClusterState,
  DowningDecision,
  DowningEvidence,
  DownReason,
  DropReason,
  JoinRefusal,
  Member,
  MemberStatus,
  QuarantineCause,
  QuarantinedNode,
  RemovalCause,
  RowStatus,
  TerminationReason,
} from './core/model.js'
export type { AggregationPolicy } from './core/settings.js'
export type { AddressOption, Logger, OptionOrigin, TransportFactory } from './options/types.js'
export { isSkeinError, SkeinError, type SkeinErrorCode } from './errors.js'
export type {
  BadInputReason,
  DialOptions,
  HeartbeatOptions,
  PeerStatus,
  RefusalReason,
  SendResult,
  Transport,
  TransportCounters,
  TransportEvent,
  TransportKind,
  TransportOptions,
} from './transport/transport.js'
