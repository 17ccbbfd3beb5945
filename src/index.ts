/** The public surface of skein. */
export type { BroadcastOptions, Cluster, EventsOptions, LeaveOptions } from './cluster/cluster.js'
export { describeOptions, type OptionDescription } from './cluster/describe-options.js'
export type {
  Closed,
  DiagnosticsMessage,
  EventOf,
  ShellEvent,
  ShellEventType,
  StreamItem,
} from './cluster/events.js'
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
export { isSkeinError, SkeinError, type SkeinErrorCode } from './errors.js'
export { type Codec, CodecError } from './messaging/codec.js'
export { type FlatbuffersCodecOptions, flatbuffersCodec } from './messaging/codec-flatbuffers.js'
export { type JsonCodecOptions, jsonCodec } from './messaging/codec-json.js'
export {
  type TypedHandler,
  type TypedMessaging,
  type TypedStream,
  type TypedStreamHandler,
  withCodec,
} from './messaging/codec-messaging.js'
export type {
  BorrowedBytes,
  DeadLetter,
  DeadLetterReason,
  Handler,
  MessageContext,
  MessageStream,
  Messaging,
  Peer,
  RequestOptions,
  Sender,
  SendOptions,
  StreamHandler,
  StreamOptions,
} from './messaging/messaging.js'
export { copyBytes } from './messaging/messaging.js'
export type { MessagingEvent } from './messaging/office.js'
export type { MessagingOptions } from './messaging/options.js'
export type { Router, RouterCounters } from './messaging/routing/router.js'
export type {
  RouterOptions,
  RouterRequestOptions,
  RouterSendOptions,
} from './messaging/routing/router-options.js'
export type { RoutingStrategyName } from './messaging/routing/strategy.js'
export {
  createTransport,
  type MessageTransport,
  type MessageTransportEvent,
  type MessageTransportEventOf,
  type MessageTransportOptions,
  type PeerAddress,
} from './messaging/standalone.js'
export { InvalidOptionError } from './options/invalid-option.js'
export type { AddressOption, Logger, OptionOrigin, TransportFactory } from './options/types.js'
export type {
  BadInputReason,
  DataLane,
  DialOptions,
  HeartbeatOptions,
  PeerStatus,
  RefusalReason,
  SendResult,
  TlsOptions,
  Transport,
  TransportCounters,
  TransportEvent,
  TransportKind,
  TransportOptions,
} from './transport/transport.js'
