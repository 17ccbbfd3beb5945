/** Every default and bound of routers. Times in milliseconds. */
export const ROUTING_LIMITS = {
  /** Default and ceiling of `attemptsMax`: how often one request is tried, the first time included. */
  attemptsMax: 3,
  attemptsCeiling: 16,
  /** Default of `retryRatio`: retries that one request earns for all. */
  retryRatio: 0.2,
  /** Default and ceiling of `retryPerSecondMin`: retries that are granted however few requests there are. */
  retryPerSecondMin: 10,
  retryPerSecondCeiling: 1_000_000,
  /** What requests have earned and retries have spent counts for this long. */
  retryWindowMs: 10_000,
  /** The window moves on by such a part of itself. */
  retryWindowSlots: 10,
  /** Default and ceiling of `setAsideMs`: how long a member that could not be sent to is passed over where others can be. */
  setAsideMs: 500,
  setAsideCeilingMs: 60_000,
  /** Members that an error names. */
  namedMembersMax: 10,
} as const
