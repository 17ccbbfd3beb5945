import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PhiAkkaDetector, phiAkka, phiAkkaInverse } from '../../src/detectors/phi-akka.js'

const OPTIONS = {
  phiThreshold: 8,
  expectedIntervalMs: 1000,
  acceptablePauseMs: 0,
  minStdDeviationMs: 100,
  windowSize: 200,
}

/** The published form, which overflows far out: the oracle where it does not. */
function published(elapsedMs: number, meanMs: number, deviationMs: number): number {
  const y = (elapsedMs - meanMs) / deviationMs
  const e = Math.exp(-y * (1.5976 + 0.070566 * y * y))
  return elapsedMs > meanMs ? -Math.log10(e / (1 + e)) : -Math.log10(1 - 1 / (1 + e))
}

describe('phi', () => {
  it.each([
    [500, 0, 1e-4],
    [1000, 0.301, 5e-4],
    [1200, 1.643, 5e-4],
    [1400, 4.737, 5e-4],
    [1600, 10.78, 5e-3],
    [1700, 15.37, 5e-3],
  ])('of %i ms at mean 1000, deviation 100, is %d', (elapsedMs, expected, tolerance) => {
    expect(Math.abs(phiAkka(elapsedMs, 1000, 100) - expected)).toBeLessThan(tolerance)
  })

  it('is the published formula wherever that does not overflow', () => {
    fc.assert(
      fc.property(fc.double({ min: -9, max: 14, noNaN: true }), (y) => {
        const expected = published(1000 + y * 100, 1000, 100)
        expect(Math.abs(phiAkka(1000 + y * 100, 1000, 100) - expected)).toBeLessThan(
          1e-9 * Math.max(1, expected),
        )
      }),
    )
  })

  it('is finite and not negative for any silence, and never falls as it grows', () => {
    const anyMs = fc.double({ min: 0, max: 1e12, noNaN: true })
    fc.assert(
      fc.property(anyMs, anyMs, (a, b) => {
        const [low, high] = [phiAkka(Math.min(a, b), 1000, 1), phiAkka(Math.max(a, b), 1000, 1)]
        expect(Number.isFinite(low) && Number.isFinite(high)).toBe(true)
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeGreaterThanOrEqual(low)
      }),
    )
  })

  it('has an inverse', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 500, noNaN: true }), (phi) => {
        expect(Math.abs(phiAkka(1000 + 100 * phiAkkaInverse(phi), 1000, 100) - phi)).toBeLessThan(
          1e-6 * phi + 1e-9,
        )
      }),
    )
  })
})

describe('phi detector', () => {
  it('starts from two samples a quarter of the interval apart from it', () => {
    const detector = new PhiAkkaDetector(OPTIONS)
    expect(detector.meanMs).toBe(1000)
    expect(detector.stdDeviationMs).toBe(250)
  })

  it('suspects nobody before the first beat', () => {
    const detector = new PhiAkkaDetector(OPTIONS)
    expect(detector.phi(1e9)).toBe(0)
    expect(detector.suspects(1e9)).toBe(false)
    expect(detector.suspectAtMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('suspects exactly when phi reaches the threshold', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 100, max: 3000 }), { maxLength: 30 }),
        fc.double({ min: 0.5, max: 20, noNaN: true }),
        fc.nat(5000),
        (intervals, phiThreshold, acceptablePauseMs) => {
          const detector = new PhiAkkaDetector({ ...OPTIONS, phiThreshold, acceptablePauseMs })
          let nowMs = 0
          detector.heartbeat(nowMs)
          for (const interval of intervals) {
            nowMs += interval
            detector.heartbeat(nowMs)
          }
          const atMs = detector.suspectAtMs()
          expect(detector.suspects(atMs)).toBe(true)
          expect(detector.suspects(atMs - 1)).toBe(false)
          expect(Math.abs(detector.phi(atMs) - phiThreshold)).toBeLessThan(1e-6 * phiThreshold)
        },
      ),
    )
  })

  it('keeps the last samples only, and its sums do not drift', () => {
    const detector = new PhiAkkaDetector({ ...OPTIONS, windowSize: 10, minStdDeviationMs: 0.001 })
    let nowMs = 0
    detector.heartbeat(nowMs)
    for (let index = 0; index < 10_000; index += 1) {
      nowMs += index % 2 === 0 ? 1e7 + 0.1 : 0.3
      detector.heartbeat(nowMs)
    }
    // Two revolutions: the sums are rebuilt once in each.
    for (let index = 0; index < 20; index += 1) {
      nowMs += index % 2 === 0 ? 90 : 110
      detector.heartbeat(nowMs)
    }
    expect(detector.meanMs).toBeCloseTo(100, 6)
    expect(detector.stdDeviationMs).toBeCloseTo(10, 6)
  })

  it('agrees with a plain computation over the window', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 60 }),
        (intervals) => {
          const detector = new PhiAkkaDetector({ ...OPTIONS, windowSize: 20, minStdDeviationMs: 0.001 })
          let nowMs = 0
          detector.heartbeat(nowMs)
          for (const interval of intervals) {
            nowMs += interval
            detector.heartbeat(nowMs)
          }
          const window = [750, 1250, ...intervals].slice(-20)
          const mean = window.reduce((sum, sample) => sum + sample, 0) / window.length
          const variance = window.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / window.length
          expect(detector.meanMs).toBeCloseTo(mean, 6)
          expect(detector.stdDeviationMs).toBeCloseTo(Math.max(Math.sqrt(variance), 0.001), 3)
        },
      ),
    )
  })

  it('does not learn an interval that it is told not to', () => {
    const detector = new PhiAkkaDetector(OPTIONS)
    detector.heartbeat(0)
    detector.heartbeat(60_000, false)
    expect(detector.meanMs).toBe(1000)
    expect(detector.silentMs(60_500)).toBe(500)
  })
})
