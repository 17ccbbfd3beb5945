/**
 * The phi accrual failure detector (Hayashibara, Defago, Yared, Katayama, "The phi accrual failure detector",
 * 2004) in the form that Akka made common: arrivals taken as normal, the normal tail by the logistic
 * approximation of Bowling et al. (2009), mean shifted by an acceptable pause, deviation floored.
 */
import type { FailureDetector } from './detector.js'

export interface PhiAkkaOptions {
  /** Suspicion threshold on the scale of phi; above 0. */
  readonly phiThreshold: number
  /** Beat interval assumed before there are samples, in milliseconds. */
  readonly expectedIntervalMs: number
  /** Added to the mean, in milliseconds. */
  readonly acceptablePauseMs: number
  /** Floor of the deviation, in milliseconds; above 0. */
  readonly minStdDeviationMs: number
  /** Inter-arrival samples kept; at least 2. */
  readonly windowSize: number
}

const LINEAR = 1.5976
const CUBIC = 0.070566
const NEWTON_STEPS_MAX = 64

/**
 * `phi = -log10 P(an arrival is later than elapsedMs)`. With `y = (elapsed - mean) / deviation` the tail is
 * `e / (1 + e)`, `e = exp(-s)`, `s = y (1.5976 + 0.070566 y^2)`, hence `phi = log10(1 + exp(s))`. Computed as
 * `(max(s, 0) + log1p(exp(-|s|))) / ln 10` it neither overflows nor loses the far tail: finite for any finite input.
 */
export function phiAkka(elapsedMs: number, meanMs: number, stdDeviationMs: number): number {
  const y = (elapsedMs - meanMs) / stdDeviationMs
  const s = y * (LINEAR + CUBIC * y * y)
  return (Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s)))) / Math.LN10
}

/** The `y` at which phi reaches `phi`: the inverse of the above, by Newton's method on a strictly rising cubic. */
export function phiAkkaInverse(phi: number): number {
  const s = phi * Math.LN10 + Math.log1p(-(10 ** -phi))
  let y = s / LINEAR
  for (let step = 0; step < NEWTON_STEPS_MAX; step += 1) {
    const error = y * (LINEAR + CUBIC * y * y) - s
    const next = y - error / (LINEAR + 3 * CUBIC * y * y)
    if (Math.abs(next - y) <= 1e-12 * Math.max(1, Math.abs(y))) return next
    y = next
  }
  return y
}

/** O(1) a call: a ring of samples with running sums, which are rebuilt once a revolution so that rounding cannot pile up. */
export class PhiAkkaDetector implements FailureDetector {
  private readonly options: PhiAkkaOptions
  private readonly samplesMs: Float64Array
  private readonly yAtThreshold: number
  private count = 0
  private next = 0
  private sum = 0
  private squareSum = 0
  private lastBeatMs: number | undefined

  constructor(options: PhiAkkaOptions) {
    this.options = options
    this.samplesMs = new Float64Array(Math.max(2, options.windowSize))
    this.yAtThreshold = phiAkkaInverse(options.phiThreshold)
    const spreadMs = options.expectedIntervalMs / 4
    this.learn(options.expectedIntervalMs - spreadMs)
    this.learn(options.expectedIntervalMs + spreadMs)
  }

  heartbeat(nowMs: number, learn = true): void {
    if (learn && this.lastBeatMs !== undefined) this.learn(nowMs - this.lastBeatMs)
    this.lastBeatMs = nowMs
  }

  /** Phi now; 0 before the first beat. */
  phi(nowMs: number): number {
    if (this.lastBeatMs === undefined) return 0
    return phiAkka(nowMs - this.lastBeatMs, this.meanMs + this.options.acceptablePauseMs, this.stdDeviationMs)
  }

  level(nowMs: number): number {
    return this.phi(nowMs)
  }

  suspects(nowMs: number): boolean {
    return nowMs >= this.suspectAtMs()
  }

  suspectAtMs(): number {
    if (this.lastBeatMs === undefined) return Number.POSITIVE_INFINITY
    const silenceMs = this.meanMs + this.options.acceptablePauseMs + this.yAtThreshold * this.stdDeviationMs
    return this.lastBeatMs + Math.max(0, silenceMs)
  }

  silentMs(nowMs: number): number {
    return this.lastBeatMs === undefined ? 0 : nowMs - this.lastBeatMs
  }

  /** Mean of the samples, without the acceptable pause. */
  get meanMs(): number {
    return this.sum / this.count
  }

  /** Deviation of the samples (of the whole window, as Akka's), not below its floor. */
  get stdDeviationMs(): number {
    const mean = this.meanMs
    const variance = Math.max(0, this.squareSum / this.count - mean * mean)
    return Math.max(Math.sqrt(variance), this.options.minStdDeviationMs)
  }

  private learn(intervalMs: number): void {
    const samples = this.samplesMs
    if (this.count === samples.length) {
      const oldest = samples[this.next]!
      this.sum -= oldest
      this.squareSum -= oldest * oldest
    } else {
      this.count += 1
    }
    samples[this.next] = intervalMs
    this.sum += intervalMs
    this.squareSum += intervalMs * intervalMs
    this.next = (this.next + 1) % samples.length
    if (this.next === 0) this.rebuildSums()
  }

  private rebuildSums(): void {
    this.sum = 0
    this.squareSum = 0
    for (let index = 0; index < this.count; index += 1) {
      const sample = this.samplesMs[index]!
      this.sum += sample
      this.squareSum += sample * sample
    }
  }
}
