/** Every bound of the transport layer. The native twin is `native/core/limits.h`; a test holds them equal. */
export const TRANSPORT_LIMITS = {
  /** Length field of a control frame: header and body. */
  controlFrameBytesMax: 4 * 1024 * 1024,
  /** The first frame of a connection, before anything is known of the peer. */
  helloFrameBytesMax: 2048,
  clusterNameBytesMax: 255,
  nodeIdBytesMax: 255,
  hostBytesMax: 255,
  /** Unsent bytes on one control link before `send` answers `outboxFull`. */
  controlOutboxBytesMax: 16 * 1024 * 1024,
  /** Connections that have not completed a handshake, per listener. */
  pendingHandshakesMax: 256,
  /** Time from accept to a completed handshake. */
  handshakeTimeoutMs: 2000,
  /** Incarnations remembered as quarantined, the oldest forgotten first. */
  quarantinedMax: 65_536,
  /** Addresses wanted at once. */
  wantedPeersMax: 4096,
  /** A gap between two turns of the timekeeping loop that counts as a pause of our own. */
  selfPauseMs: 500,
  /** How long a closing socket may take to drain before it is destroyed. */
  drainTimeoutMs: 1000,
  /** Secrets of one node, so that one can be rotated in while others go. */
  secretsMax: 4,
  secretBytesMin: 16,
  secretBytesMax: 256,
  /** What makes a proof hold once only, drawn by each end for each connection. */
  nonceBytes: 32,
  proofBytes: 32,
} as const

/** Pace and memory of the control link's engine. All times in milliseconds. */
export const CONTROL_LINK_LIMITS = {
  /** The timekeeping loop turns at least this often; a pause of our own is what exceeds it. */
  tickMs: 100,
  /** Fastest beat, whatever an observer asks for. */
  beatIntervalMinMs: 20,
  /** Full jitter never dials sooner, and two dials to one address never begin within it. */
  backoffFloorMs: 10,
  /** A peer that keeps answering `superseded` is dialled at once this often, then with back-off. */
  supersededRetriesMax: 3,
  /** Dials of data lanes under way at once: a burst to as many peers as may be wanted. */
  laneDialsMax: 4096,
  /** Incarnations remembered (dial numbers, sessions) beyond those linked or wanted. */
  pairsMax: 8192,
  /** Message bytes held for a JavaScript loop that does not turn; beyond it the link is closed (`inboxFull`). */
  inboxBytesMax: 64 * 1024 * 1024,
} as const

/** What only the native transport has. */
export const NATIVE_LIMITS = {
  /** Ring of events from the control thread, per transport; a power of two. More than fits waits behind it (`inboxBytesMax`). */
  ringBytes: 256 * 1024,
  /** Batches handed to the sink in one turn of the loop before other work gets its turn. */
  drainRoundsMax: 64,
  /** The one receive buffer of all data lanes of a loop. What a lane has not taken of it is kept per lane, and must leave room in it. */
  laneReceiveBytes: 256 * 1024,
  /** Lane sockets on their way to a loop that does not turn, per transport; one more is closed. */
  handOversMax: 1024,
  /** A lane whose bytes the peer's kernel has not acknowledged, or taken, for so long ends with an error. */
  laneUserTimeoutMs: 30_000,
} as const

/** What only the `net` transport has. */
export const NET_LIMITS = {
  /** Bytes that a lane's socket takes beyond what the kernel does; none are copied. */
  laneUnsentBytesMax: 512 * 1024,
  /** Silence after which the kernel asks whether the other end of a lane is still there; some 10 s later the lane ends. */
  laneKeepAliveMs: 20_000,
} as const

/** Data lanes, as the layer that owns their streams bounds them; twins of the wire, not of C++. */
export const DATA_LIMITS = {
  /** Body of one frame; longer messages travel in chunks. */
  frameBodyBytesMax: 64 * 1024,
  /** Names interned per lane and direction. */
  topicsMax: 4096,
  topicBytesMax: 255,
  /** Sent and not yet acknowledged on one lane: what a reconnect may have to send again. */
  unackedBytesMax: 4 * 1024 * 1024,
  /** The receiver acknowledges at once when so much has come since its last word, else after `ackDelayMs`. */
  ackEveryBytes: 256 * 1024,
  ackDelayMs: 50,
  /** What one turn has queued is written before the turn ends when it comes to this. */
  flushBytes: 64 * 1024,
  /** A lane that holds something unacknowledged, and heard of no progress for one to two times this, gets another socket. */
  ackTimeoutMs: 15_000,
  /** Memory of an outbox grows by pieces of these sizes; a piece that is acknowledged is used again. */
  segmentBytes: [1024, 4096, 16_384, 65_536, 262_144],
  /** Unused pieces kept. */
  segmentPoolBytesMax: 8 * 1024 * 1024,
  /** Back-off of a lane whose dial failed or that ended at once, while its control link stands; full jitter. */
  reopenMinMs: 20,
  reopenMaxMs: 1000,
  /** Peers of which something is remembered. One more closes the one idle for longest, or is refused when all are busy. */
  associationsMax: 16_384,
} as const

/** Protocol versions spoken. */
export const PROTOCOL_VERSION_MIN = 1
export const PROTOCOL_VERSION_MAX = 1
