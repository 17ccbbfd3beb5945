import fc from 'fast-check'
import { Builder, ByteBuffer } from 'flatbuffers'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/wire/crc32c.js'
import {
  decodeFrame,
  decodeGoodbye,
  decodeHeartbeat,
  decodeQuarantined,
  decodeRefusal,
  decodeWatch,
  encodeEcho,
  encodeFrame,
  encodeGoodbye,
  encodeHeartbeat,
  encodeQuarantined,
  encodeRefusal,
  encodeWatch,
  FRAME_OVERHEAD_BYTES,
  FrameFlag,
  FrameKind,
  frameCrcMatches,
  GoodbyeReason,
  isFrameKind,
  Lane,
  QuarantineReason,
  RefusalReason,
} from '../../src/wire/frame.js'
import { FrameHeader } from '../../src/wire/generated/frame-header.js'
import { Goodbye } from '../../src/wire/generated/goodbye.js'
import { Heartbeat } from '../../src/wire/generated/heartbeat.js'
import { Quarantine } from '../../src/wire/generated/quarantine.js'
import { Refusal } from '../../src/wire/generated/refusal.js'
import { Watch } from '../../src/wire/generated/watch.js'

const UID = '0123456789abcdef'
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const u16 = fc.integer({ min: 0, max: 0xffff })
const anyUid = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map((bits) => bits.toString(16).padStart(16, '0'))

/** The struct as flatc's own writer lays it out: the oracle for our writers. */
function structBytes(write: (builder: Builder) => number, sizeBytes: number): Uint8Array {
  const builder = new Builder(64)
  write(builder)
  const all = builder.dataBuffer().bytes()
  return all.slice(all.length - sizeBytes)
}

const bodyOf = (frame: Uint8Array) => frame.slice(FRAME_OVERHEAD_BYTES)

describe('crc32c', () => {
  it.each([
    ['', 0x00000000],
    ['123456789', 0xe3069283],
    ['a', 0xc1d04330],
    ['The quick brown fox jumps over the lazy dog', 0x22620404],
  ])('of %j', (text, expected) => {
    expect(crc32c(new TextEncoder().encode(text))).toBe(expected)
  })

  it.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ])('of %s (RFC 3720, B.4)', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected)
  })

  it('agrees with the bitwise definition on any slice', () => {
    const bitwise = (bytes: Uint8Array) => {
      let crc = 0xffffffff
      for (const byte of bytes) {
        crc ^= byte
        for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
      }
      return ~crc >>> 0
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(70), fc.nat(70), (bytes, a, b) => {
        const start = Math.min(a, b, bytes.length)
        const end = Math.min(Math.max(a, b), bytes.length)
        expect(crc32c(bytes, start, end)).toBe(bitwise(bytes.slice(start, end)))
      }),
    )
  })
})

describe('frame', () => {
  it('is length, header, body, little-endian', () => {
    const frame = encodeFrame(FrameKind.message, Uint8Array.of(1, 2, 3), {
      correlation: 0x01020304,
      sequence: 7,
    })
    expect(frame.length).toBe(23)
    expect([...frame.slice(0, 4)]).toEqual([19, 0, 0, 0])
    const header = structBytes(
      (b) =>
        FrameHeader.createFrameHeader(
          b,
          crc32c(frame, 8),
          FrameKind.message,
          0,
          Lane.control,
          0,
          0x01020304,
          7,
        ),
      16,
    )
    expect(frame.slice(4, 20)).toEqual(header)
    expect([...frame.slice(20)]).toEqual([1, 2, 3])
  })

  it('round-trips any fields and body', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.integer({ min: 0, max: 255 }),
        u32,
        u32,
        (body, flags, correlation, sequence) => {
          const bytes = encodeFrame(FrameKind.message, body, { flags, correlation, sequence }).subarray(4)
          expect(frameCrcMatches(bytes)).toBe(true)
          expect(decodeFrame(bytes)).toEqual({
            kind: FrameKind.message,
            flags,
            lane: Lane.control,
            correlation,
            sequence,
            body,
          })
        },
      ),
    )
  })

  it('loses its CRC by any single flipped bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(), (body, at) => {
        const bytes = encodeFrame(FrameKind.message, body).slice(4)
        bytes[at % bytes.length]! ^= 1 << (at % 8)
        expect(frameCrcMatches(bytes)).toBe(false)
      }),
    )
  })

  it('carries no CRC on the data lanes', () => {
    const frame = encodeFrame(FrameKind.message, Uint8Array.of(9), { lane: Lane.ordinary })
    expect([...frame.slice(4, 8)]).toEqual([0, 0, 0, 0])
    expect(decodeFrame(frame.subarray(4)).lane).toBe(Lane.ordinary)
  })

  it('knows its kinds', () => {
    const known = Array.from({ length: 256 }, (_, kind) => kind).filter(isFrameKind)
    expect(known).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })
})

describe('bodies are laid out as flatc lays them out', () => {
  it('heartbeat', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        u32,
        u32,
        u32,
        fc.boolean(),
        (sentUs, loopAgeMs, intervalMs, sequence, echoWanted) => {
          const frame = encodeHeartbeat({ sentUs, loopAgeMs, intervalMs }, sequence, echoWanted)
          const expected = structBytes(
            (b) => Heartbeat.createHeartbeat(b, BigInt(sentUs), loopAgeMs, intervalMs),
            16,
          )
          expect(bodyOf(frame)).toEqual(expected)
          expect(decodeHeartbeat(bodyOf(frame))).toEqual({ sentUs, loopAgeMs, intervalMs })
          const decoded = decodeFrame(frame.subarray(4))
          expect(decoded.kind).toBe(FrameKind.heartbeat)
          expect(decoded.sequence).toBe(sequence)
          expect(decoded.flags).toBe(echoWanted ? FrameFlag.echoWanted : 0)
        },
      ),
    )
  })

  it('a heartbeat frame has 36 bytes', () => {
    expect(encodeHeartbeat({ sentUs: 1, loopAgeMs: 0, intervalMs: 1000 }, 1, false).length).toBe(36)
  })

  it('echo copies the beat and its sequence, but for the loop age', () => {
    const beat = encodeHeartbeat({ sentUs: 123_456_789_012, loopAgeMs: 5, intervalMs: 1000 }, 42, true)
    const echo = encodeEcho(decodeFrame(beat.subarray(4)), 77)
    const decoded = decodeFrame(echo.subarray(4))
    expect(frameCrcMatches(echo.subarray(4))).toBe(true)
    expect(decoded.kind).toBe(FrameKind.echo)
    expect(decoded.sequence).toBe(42)
    expect(decodeHeartbeat(decoded.body)).toEqual({
      sentUs: 123_456_789_012,
      loopAgeMs: 77,
      intervalMs: 1000,
    })
  })

  it('watch', () => {
    fc.assert(
      fc.property(u32, (intervalMs) => {
        const body = bodyOf(encodeWatch(intervalMs))
        expect(body).toEqual(structBytes((b) => Watch.createWatch(b, intervalMs), 4))
        expect(decodeWatch(body)).toBe(intervalMs)
      }),
    )
  })

  it('refusal', () => {
    fc.assert(
      fc.property(anyUid, u16, u16, u16, u16, u32, (uid, reason, versionMin, versionMax, detail, dial) => {
        const body = bodyOf(encodeRefusal({ uid, reason, versionMin, versionMax, detail, dial }))
        const bits = BigInt(`0x${uid}`)
        const expected = structBytes(
          (b) => Refusal.createRefusal(b, bits, reason, versionMin, versionMax, detail, dial, 0),
          24,
        )
        expect(body).toEqual(expected)
        expect(decodeRefusal(body)).toEqual({ uid, reason, versionMin, versionMax, detail, dial })
      }),
    )
  })

  it('quarantined', () => {
    const body = bodyOf(encodeQuarantined(UID, QuarantineReason.operator))
    const expected = structBytes(
      (b) => Quarantine.createQuarantine(b, 0x0123456789abcdefn, QuarantineReason.operator),
      16,
    )
    expect(body).toEqual(expected)
    expect(decodeQuarantined(body)).toEqual({ uid: UID, reason: QuarantineReason.operator })
  })

  it('goodbye', () => {
    const body = bodyOf(encodeGoodbye(GoodbyeReason.shutdown))
    expect(body).toEqual(structBytes((b) => Goodbye.createGoodbye(b, GoodbyeReason.shutdown), 2))
    expect(decodeGoodbye(body)).toBe(GoodbyeReason.shutdown)
  })

  it('reads a generated struct back through the generated accessor', () => {
    const body = bodyOf(
      encodeRefusal({
        uid: UID,
        reason: RefusalReason.busy,
        versionMin: 1,
        versionMax: 2,
        detail: 3,
        dial: 4,
      }),
    )
    const refusal = new Refusal().__init(0, new ByteBuffer(body))
    expect([
      refusal.uid(),
      refusal.reason(),
      refusal.versionMin(),
      refusal.versionMax(),
      refusal.detail(),
      refusal.dial(),
    ]).toEqual([0x0123456789abcdefn, RefusalReason.busy, 1, 2, 3, 4])
  })

  it.each([
    ['heartbeat', decodeHeartbeat, 16],
    ['watch', decodeWatch, 4],
    ['refusal', decodeRefusal, 24],
    ['quarantined', decodeQuarantined, 16],
    ['goodbye', decodeGoodbye, 2],
  ] as const)('a short %s is undefined, a longer one is read', (_, decode, sizeBytes) => {
    for (let length = 0; length < sizeBytes; length += 1)
      expect(decode(new Uint8Array(length))).toBeUndefined()
    expect(decode(new Uint8Array(sizeBytes))).toBeDefined()
    expect(decode(new Uint8Array(sizeBytes + 9))).toEqual(decode(new Uint8Array(sizeBytes)))
  })
})
