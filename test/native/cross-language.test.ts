import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isUid } from '../../src/core/address.js'
import { PhiAkkaDetector } from '../../src/detectors/phi-akka.js'
import {
  CONTROL_LINK_LIMITS,
  NATIVE_LIMITS,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
  TRANSPORT_LIMITS,
} from '../../src/transport/limits.js'
import { loadAddon } from '../../src/transport/native/load.js'
import { crc32c } from '../../src/wire/crc32c.js'
import { decodeFrame, encodeFrame, encodeHeartbeat, frameCrcMatches } from '../../src/wire/frame.js'
import { decodeHello, encodeHelloBody, type Hello } from '../../src/wire/hello.js'
import { NATIVE_MISSING } from '../cluster/support.js'

/** The ring's size and the rounds of a drain are JavaScript's alone. */
const { ringBytes, drainRoundsMax, ...NATIVE_LANE_LIMITS } = NATIVE_LIMITS
const bytesOf = (bytes: Uint8Array) => [...bytes]
const u32 = fc.nat({ max: 0xffff_ffff })
const host = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
const address = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) })
const uid = fc
  .bigInt({ min: 1n, max: (1n << 64n) - 1n })
  .map((bits) => bits.toString(16).padStart(16, '0'))
  .filter(isUid)
const hellos: fc.Arbitrary<Hello> = fc.record({
  versionMin: fc.constant(1),
  versionMax: fc.integer({ min: 1, max: 65_535 }),
  uid,
  dial: fc.integer({ min: 1, max: 0xffff_ffff }),
  cluster: fc.string({ unit: 'grapheme', maxLength: 30 }),
  nodeId: fc.string({ unit: 'grapheme', maxLength: 30 }),
  bind: address,
  advertised: address,
  dialed: address,
})

describe.skipIf(NATIVE_MISSING)('C++ and TypeScript, byte for byte', () => {
  const core = () => loadAddon().core

  it('have the same limits', () => {
    expect(core().limits).toEqual({
      ...TRANSPORT_LIMITS,
      ...CONTROL_LINK_LIMITS,
      ...NATIVE_LANE_LIMITS,
      protocolVersionMin: PROTOCOL_VERSION_MIN,
      protocolVersionMax: PROTOCOL_VERSION_MAX,
    })
  })

  it('compute the same CRC32C, by instruction and by table', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        const expected = crc32c(bytes)
        expect(core().crc32c(bytes)).toBe(expected)
        expect(core().crc32cByTable(bytes)).toBe(expected)
      }),
    )
  })

  it('write the same frames', () => {
    const kinds = fc.integer({ min: 1, max: 10 })
    fc.assert(
      fc.property(kinds, fc.nat(255), u32, fc.uint8Array(), (kind, flags, sequence, body) => {
        const expected = encodeFrame(kind, body, { flags, sequence })
        expect(bytesOf(core().encodeFrame(kind, flags, sequence, body))).toEqual(bytesOf(expected))
      }),
    )
  })

  it('write the same heartbeats', () => {
    const sentUs = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(sentUs, u32, u32, u32, fc.boolean(), (sent, loopAgeMs, intervalMs, sequence, echo) => {
        const beat = { sentUs: sent, loopAgeMs, intervalMs }
        const expected = encodeHeartbeat(beat, sequence, echo)
        expect(bytesOf(core().encodeHeartbeatFrame(beat, sequence, echo))).toEqual(bytesOf(expected))
      }),
    )
  })

  it('read the same frames, damaged or not', () => {
    const damage = fc.option(fc.tuple(fc.nat(1000), fc.nat(255)), { nil: undefined })
    fc.assert(
      fc.property(fc.nat(12), u32, fc.uint8Array({ maxLength: 100 }), damage, (kind, sequence, body, hit) => {
        const frame = encodeFrame(kind, body, { sequence })
        if (hit !== undefined) frame[4 + (hit[0] % (frame.length - 4))] = hit[1]
        const { frames, status } = core().readFrames(frame, 4096)
        const content = frame.subarray(4)
        expect(status).toBe('needMore')
        expect(frames).toEqual([
          {
            ...decodeFrame(content),
            body: new Uint8Array(decodeFrame(content).body),
            crcMatches: frameCrcMatches(content),
          },
        ])
      }),
    )
  })

  it('write and read the same hellos', () => {
    fc.assert(
      fc.property(hellos, (hello) => {
        const body = encodeHelloBody(hello)
        expect(bytesOf(core().encodeHelloBody(hello))).toEqual(bytesOf(body))
        expect(core().decodeHelloBody(body)).toEqual(decodeHello(body))
      }),
    )
  })

  it('refuse and accept the same damaged hellos', () => {
    const hits = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 4 })
    let refused = 0
    fc.assert(
      fc.property(hellos, hits, fc.nat(10), (hello, damage, cut) => {
        const body = encodeHelloBody(hello)
        for (const [at, value] of damage) body[at % body.length] = value
        const damaged = body.subarray(0, body.length - cut)
        const expected = decodeHello(damaged)
        if (expected === undefined) refused += 1
        expect(core().decodeHelloBody(damaged)).toEqual(expected)
      }),
      { numRuns: 1000 },
    )
    expect(refused).toBeGreaterThan(100)
  })

  it('read the same in random bytes as hello', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 56, maxLength: 200 }), (body) => {
        expect(core().decodeHelloBody(body)).toEqual(decodeHello(body))
      }),
      { numRuns: 1000 },
    )
  })

  it('come to the same phi, and to the same moment of suspicion', () => {
    const options = fc.record({
      phiThreshold: fc.double({ min: 0.5, max: 16, noNaN: true }),
      intervalMs: fc.integer({ min: 20, max: 5000 }),
      acceptablePauseMs: fc.integer({ min: 0, max: 5000 }),
      minStdDeviationMs: fc.integer({ min: 1, max: 500 }),
      windowSize: fc.integer({ min: 2, max: 50 }),
    })
    const beats = fc.array(fc.tuple(fc.double({ min: 0, max: 10_000, noNaN: true }), fc.boolean()), {
      maxLength: 120,
    })
    fc.assert(
      fc.property(options, beats, fc.double({ min: 0, max: 60_000, noNaN: true }), (given, list, silence) => {
        const native = new (core().PhiAccrual)(given)
        const twin = new PhiAkkaDetector({ ...given, expectedIntervalMs: given.intervalMs })
        let nowMs = 1000
        for (const [gapMs, learn] of [[0, true] as [number, boolean], ...list]) {
          nowMs += gapMs
          native.heartbeat(nowMs, learn)
          twin.heartbeat(nowMs, learn)
        }
        expectClose(native.phi(nowMs + silence), twin.phi(nowMs + silence))
        expectClose(nowMs + native.suspectAfterMs(), twin.suspectAtMs())
      }),
      { numRuns: 300 },
    )
  })
})

/** Equal but for the last bits in which two libraries' exp and log1p may differ. */
function expectClose(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(expected)))
}
