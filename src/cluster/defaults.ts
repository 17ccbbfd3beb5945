/**
 * Defaults and bounds of the shell, in one place. The machine's own defaults are `MACHINE_DEFAULTS`.
 * All times are in milliseconds.
 */
import type { DialOptions, HeartbeatOptions } from '../transport/transport.js'

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

export const SHELL_LIMITS = {
  /** Events one iterator holds for a slow reader before it is ended. */
  eventsBufferMax: 10_000,
  /** The largest `bufferMax` a caller may ask for. */
  eventsBufferCeiling: 1_000_000,
  /** How long `leave` waits for the removal, unless told otherwise. */
  leaveTimeoutMs: 30_000,
  /** How long a node whose membership is over stays, so that its last words reach its neighbours. */
  lingerMs: 300,
  /** Turns of the driver without letting time pass; what is left then waits for the next millisecond. */
  turnsMax: 64,
  /** Node's timers overflow above this and fire at once. */
  timerDelayMaxMs: 2 ** 31 - 1,
  /** Characters of an option's value quoted in an error. */
  quotedValueMax: 80,
} as const
