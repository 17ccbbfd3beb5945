/**
 * The transport contract: addresses, incarnations and bytes. It knows nothing of membership.
 *
 * A transport owns the listener, dialling with back-off, the handshake, one control link per pair of
 * incarnations, heartbeats in both directions, suspicion, and the enforcement of quarantine. Three adapters
 * keep this contract and pass one test suite: `native` (the addon's own thread), `net` (`node:net`) and
 * `memory` (simulated streams and a virtual clock).
 *
 * Events arrive in batches, in the order in which they happened on that transport. An adapter never calls the
 * sink from inside a command, and never throws because of a peer.
 */
import type { Address, Uid } from '../core/address.js'
import type { LaneSocket } from './lane-socket.js'

export type TransportKind = 'native' | 'net' | 'memory'

/** Why a handshake was refused; the names are those of the wire. */
export type RefusalReason =
  | 'clusterMismatch'
  | 'versionUnsupported'
  | 'quarantined'
  | 'superseded'
  | 'sameUid'
  | 'malformed'
  | 'busy'
  | 'shuttingDown'
  | 'unauthenticated'

export type QuarantineReason = 'removedAfterDown' | 'reliableDeliveryFailed' | 'deathWatch' | 'operator'

/** Why a connection was closed because of what came in on it. Each has a counter of the same name. */
export type BadInputReason =
  | 'frameTooLarge'
  | 'frameTooShort'
  | 'badCrc'
  | 'badMagic'
  | 'badHello'
  | 'unknownKind'
  | 'unexpectedFrame'
  | 'truncatedFrame'
  | 'handshakeTimeout'
  | 'clusterMismatch'
  | 'versionUnsupported'
  | 'quarantined'
  | 'sameUid'
  | 'tooManyConnections'
  | 'unauthenticated'

/** Lanes of user messages. Each is a socket of its own, beside the control link. */
export type DataLane = 'ordinary' | 'large'

/** What a hello said: the other end of a link. */
export interface PeerHello {
  readonly uid: Uid
  readonly nodeId: string
  /** The advertised address: the one to dial and to name. */
  readonly address: Address
  readonly bind: Address
}

export interface TransportIdentity {
  readonly cluster: string
  readonly nodeId: string
  readonly uid: Uid
}

/** Beats, and when their absence is suspicious. All times in milliseconds. */
export interface HeartbeatOptions {
  /** Default 1000; 20 to 60_000. */
  readonly intervalMs: number
  /** Every n-th beat asks for an echo (round-trip time). Default 10. */
  readonly echoEvery: number
  /** Suspicion threshold of the phi accrual detector. Default 8. */
  readonly phiThreshold: number
  /** Silence that is forgiven before phi starts to rise. Default 2000 (native, memory), 5000 (net). */
  readonly acceptablePauseMs: number
  /** Floor of the deviation, so that a steady link does not become nervous. Default 100. */
  readonly minStdDeviationMs: number
  /** Inter-arrival samples kept. Default 200. */
  readonly windowSize: number
  /** Loop age from which a peer is reported stalled. Default 2000. */
  readonly stalledAfterMs: number
}

/** Dialling. All times in milliseconds. */
export interface DialOptions {
  /** TCP connect and handshake together. Default 1000. */
  readonly connectTimeoutMs: number
  /** First back-off; doubles, with full jitter. Default 100. */
  readonly backoffMinMs: number
  /** Cap of the back-off for a peer that is not watched. Default 10_000. */
  readonly backoffMaxMs: number
  /** Cap of the back-off for a watched peer, so that healing is quick. Default 1000. */
  readonly backoffWatchedMaxMs: number
  /** Pause between a first refused connection and the second that confirms a process is gone. Default 50. */
  readonly confirmGoneMs: number
}

export interface TransportOptions {
  readonly identity: TransportIdentity
  readonly listen: Address
  /** What the hello names; its port 0 means the port bound. Default: the bound address. */
  readonly advertise?: Address
  readonly heartbeat: HeartbeatOptions
  readonly dial: DialOptions
  /**
   * Secrets, 1 to 4 of 16 to 256 bytes: a peer must prove that it knows one of them, and is shown the same. Ours is any that both ends
   * know, so that one is rotated by adding the new one everywhere, then removing the old. Default: none, everybody is let in.
   */
  readonly secrets?: readonly Uint8Array[]
  /** TLS 1.3 with mutual authentication. The `net` transport only; others refuse it with `ERR_SKEIN_INVALID_OPTION`. */
  readonly tls?: TlsOptions
}

/** Certificates as PEM texts. Each end's certificate must name the host that its node advertises. */
export interface TlsOptions {
  readonly cert: string
  readonly key: string
  /** Whom to trust: the authorities that sign the nodes' certificates. */
  readonly ca: string
}

export type LinkDownReason =
  | 'closedByPeer'
  | 'resetByPeer'
  | 'superseded'
  | 'goodbye'
  | 'badInput'
  | 'quarantined'
  | 'disconnected'
  | 'outboxFull'
  | 'ioError'

export type TransportEvent =
  /** A control link is open. `session` rises by one for each new socket of this pair: what was sent on an earlier one may be lost. */
  | { readonly type: 'linkUp'; readonly peer: PeerHello; readonly session: number }
  /** The link's last socket is gone. A dial follows by itself while the peer is wanted. A superseding socket raises `linkUp` only. */
  | {
      readonly type: 'linkDown'
      readonly uid: Uid
      readonly session: number
      readonly reason: LinkDownReason
    }
  /** Bytes the peer handed to `send`, whole, in order within a session. The view is the receiver's to keep. */
  | { readonly type: 'message'; readonly uid: Uid; readonly session: number; readonly bytes: Uint8Array }
  /** A dial failed; the next one follows after `retryInMs`. */
  | {
      readonly type: 'gated'
      readonly address: Address
      readonly reason: 'refused' | 'timeout' | 'unreachable' | 'handshake'
      readonly attempts: number
      readonly retryInMs: number
    }
  /** The peer refused our hello. It is dialled again with back-off unless the reason is final (`quarantined`, `sameUid`). */
  | { readonly type: 'refused'; readonly address: Address; readonly by: Uid; readonly reason: RefusalReason }
  /** Verdict about a watched peer. `gone`: the process is no longer there (refused twice, or another uid answered). */
  | {
      readonly type: 'suspicion'
      readonly uid: Uid
      readonly suspected: boolean
      readonly cause: 'silence' | 'gone'
      readonly phi: number
      readonly silentMs: number
    }
  /** A watched peer beats, but its JavaScript loop has not turned for `loopAgeMs`; or it turns again. */
  | { readonly type: 'stalled'; readonly uid: Uid; readonly stalled: boolean; readonly loopAgeMs: number }
  /** A dial meant for `expected` was answered by another incarnation. */
  | {
      readonly type: 'identityChanged'
      readonly address: Address
      readonly expected: Uid
      readonly actual: PeerHello
    }
  /** Outcome of `probe`. */
  | { readonly type: 'probed'; readonly uid: Uid; readonly outcome: 'alive' | 'gone' | 'unknown' }
  /** A peer says that this incarnation is quarantined there. */
  | {
      readonly type: 'quarantinedBy'
      readonly uid: Uid
      readonly address: Address
      readonly reason: QuarantineReason
    }
  /** This process itself was not scheduled for `gapMs`; no peer was charged for it. */
  | { readonly type: 'paused'; readonly gapMs: number }
  /**
   * A data lane to `peer` is open, dialled by either side. `(dial, dialler)` orders the sockets of one lane: of two, the higher is
   * to be kept. The receiver owns the socket, and must attach to it or destroy it.
   */
  | {
      readonly type: 'laneOpened'
      readonly peer: PeerHello
      readonly lane: DataLane
      readonly dial: number
      readonly dialler: Uid
      readonly socket: LaneSocket
    }
  /** An `openLane` came to nothing; it is not repeated by itself. `noLink`: there was no control link to open it beside. */
  | {
      readonly type: 'laneFailed'
      readonly uid: Uid
      readonly lane: DataLane
      readonly dial: number
      readonly reason: 'noLink' | 'refused' | 'timeout' | 'unreachable' | 'handshake'
    }
  /** A connection was closed because of what it sent; nothing else changed. */
  | { readonly type: 'badInput'; readonly remote: string; readonly reason: BadInputReason }

export type SendResult = 'sent' | 'noLink' | 'outboxFull'

/** What a transport can say of a watched peer at any time, for operators and metrics. */
export interface PeerStatus {
  readonly uid: Uid
  readonly address: Address
  readonly linked: boolean
  readonly watched: boolean
  readonly phi: number
  readonly silentMs: number
  readonly loopAgeMs: number
  /** Last round trip measured by an echo; NaN before the first. */
  readonly rttMs: number
  readonly outboxBytes: number
}

/** Names and monotonic values. Keys are stable; `badInput.<reason>` has one key per reason. */
export type TransportCounters = Readonly<Record<string, number>>

export interface Transport {
  readonly kind: TransportKind
  /** False where beats depend on the JavaScript loop: `stalled` is then never reported. */
  readonly reportsStalls: boolean
  /**
   * Binds and listens. Resolves with the advertised address. Rejects with `ERR_SKEIN_BIND`.
   * `sink` is called with every batch until `close` resolves.
   */
  start(sink: (batch: readonly TransportEvent[]) => void): Promise<Address>
  /** Wants a link to `address`: dials until it is up, and again whenever it falls. `uid` is the incarnation expected there, if known. */
  connect(address: Address, uid?: Uid): void
  /**
   * Withdraws `connect`: stops dialling, and closes a link to `address` with a goodbye, unless the peer is watched from here or
   * has asked for our beats; such a link stays until neither end needs it.
   */
  disconnect(address: Address): void
  /** Queues bytes on the control link to `uid`. Copies. Never blocks, never drops silently. */
  send(uid: Uid, bytes: Uint8Array): SendResult
  /**
   * Dials a data lane to a linked peer, with this dial number, at the address it advertises. One `laneOpened` or `laneFailed` follows.
   * The peer hears of it by a `laneOpened` of its own.
   */
  openLane(uid: Uid, lane: DataLane, dial: number): void
  /** Starts observing a peer: wants a link, asks for its beats, reports suspicion. Idempotent. */
  watch(uid: Uid, address: Address): void
  unwatch(uid: Uid): void
  /** Dials `uid` afresh, beside any link it has, and reports `probed` once. */
  probe(uid: Uid, address: Address): void
  /** Never delivers from or to this incarnation again; tells it why, if it is linked. */
  quarantine(uid: Uid, reason: QuarantineReason): void
  /** Delivers at once what has arrived and not been handed to the sink, so that a timer never overtakes it. */
  drain(): void
  peers(): readonly PeerStatus[]
  counters(): TransportCounters
  /** New certificates, for connections from now on. Rejected by transports without TLS, with `ERR_SKEIN_INVALID_OPTION`. */
  setTls?(tls: TlsOptions): void
  /** Says goodbye on every link, drains, closes. Idempotent; no event follows. */
  close(): Promise<void>
}
