/** Every bound of the messaging layer. Those of frames and lanes are `DATA_LIMITS`; those marked default can be set by an option. */
export const MESSAGING_LIMITS = {
  /** Default of `largeMessageBytes`: longer messages take the large lane. At most a frame's body. */
  largeMessageBytes: 64 * 1024,
  /** Default of `messageBytesMax`, the longest message either way, and its ceiling. */
  messageBytesMax: 64 * 1024 * 1024,
  messageBytesCeiling: 1024 * 1024 * 1024,
  /** Default of `outboxBytesMax`, per lane: queued and not yet acknowledged. */
  outboxBytesMax: 16 * 1024 * 1024,
  largeOutboxBytesMax: 128 * 1024 * 1024,
  /** Default of `outboxMessagesMax`, per lane. */
  outboxMessagesMax: 262_144,
  /** Default of `highWaterBytes` and `lowWaterBytes`, per lane: queued and not yet written. */
  highWaterBytes: 1024 * 1024,
  lowWaterBytes: 256 * 1024,
  /** Requests without an answer, per peer. */
  requestsInFlightMax: 65_536,
  /** Requests of one peer that handlers are busy with; more are answered `busy`. */
  inboundRequestsMax: 16_384,
  /** Bytes of half-received large messages, per peer; a transfer that does not fit is refused. */
  assemblyBytesMax: 128 * 1024 * 1024,
  /** Large messages of one peer half received at once. */
  transfersMax: 1024,
  /** Large messages to one peer that take turns; and of their bytes at most a quarter of `assemblyBytesMax`, unless it is one alone. */
  transfersBegunMax: 16,
  /** Streams per peer, opened by either end. */
  streamsMax: 1024,
  /** What one direction of a stream may send ahead of its reader. */
  streamWindowBytes: 256 * 1024,
  /** Text of an error that crosses the wire. */
  errorTextBytesMax: 1024,
  /** Dead letters of one incident that are told one by one; the rest are counted in a last event. */
  deadLettersEventsMax: 256,
  /** Default and range of `timeoutMs` of a request. */
  requestTimeoutMs: 10_000,
  timeoutMsMax: 2_147_483_647,
  /** Late by at most this: pending requests are looked through together. */
  sweepMs: 10,
  /** Default of `unreachableTimeoutMs`: how long messages wait for a peer that cannot be reached. */
  unreachableTimeoutMs: 10_000,
  /** How long `close` waits for the acknowledgement of what was queued. */
  closeTimeoutMs: 1000,
  /** Default of `laneIdleMs`: a lane without traffic for this long is closed. */
  laneIdleMs: 60_000,
  /** Default of `lanesMax`: open data lanes of this node. */
  lanesMax: 8192,
} as const
