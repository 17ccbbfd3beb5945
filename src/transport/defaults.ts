/** Defaults of heartbeats and dialling. All times are in milliseconds. */
import type { DialOptions, HeartbeatOptions } from './transport.js'

export const HEARTBEAT_DEFAULTS: HeartbeatOptions = {
  intervalMs: 1000,
  echoEvery: 10,
  phiThreshold: 8,
  acceptablePauseMs: 2000,
  minStdDeviationMs: 100,
  windowSize: 200,
  stalledAfterMs: 2000,
}

/** Beats of the `net` transport leave from the JavaScript loop, so a busy peer is late: it is forgiven for longer. */
export const NET_ACCEPTABLE_PAUSE_MS = 5000

export const DIAL_DEFAULTS: DialOptions = {
  connectTimeoutMs: 1000,
  backoffMinMs: 100,
  backoffMaxMs: 10_000,
  backoffWatchedMaxMs: 1000,
  confirmGoneMs: 50,
}
