/**
 * What every failure detector of one peer is: beats go in, a level of suspicion comes out. Pure: the time of each
 * call is an argument, in milliseconds of one monotonic clock, and never runs backwards.
 */
export interface FailureDetector {
  /** A beat arrived. With `learn` false it ends the silence, but the interval that it ends is not learnt. */
  heartbeat(nowMs: number, learn?: boolean): void
  /** Level of suspicion on the detector's own scale: finite, at least 0, and never falling between beats. 0 before the first beat. */
  level(nowMs: number): number
  /** Whether the peer is suspected now; never before the first beat. */
  suspects(nowMs: number): boolean
  /** From when on it will be suspected if no beat comes; Infinity before the first beat. */
  suspectAtMs(): number
  /** Time since the last beat; 0 before the first. */
  silentMs(nowMs: number): number
}
