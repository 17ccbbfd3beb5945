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
} as const

/** Protocol versions spoken. */
export const PROTOCOL_VERSION_MIN = 1
export const PROTOCOL_VERSION_MAX = 1
