/** Bounds of the shell, in one place. The machine's own defaults are `MACHINE_DEFAULTS`. All times are in milliseconds. */
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
} as const
