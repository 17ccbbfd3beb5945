import fc from 'fast-check'
import { Builder } from 'flatbuffers'
import { describe, expect, it } from 'vitest'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import { decodeFrame, encodeFrame, FrameKind, frameCrcMatches, Lane } from '../../src/wire/frame.js'
import { Hello as HelloStruct } from '../../src/wire/generated/hello.js'
import { HelloFlag } from '../../src/wire/generated/hello-flag.js'
import {
  appendProofs,
  decodeAckProofs,
  decodeHello,
  encodeHello,
  encodeHelloBody,
  HELLO_MAGIC,
  HELLO_STRUCT_BYTES,
  type Hello,
  hasHelloMagic,
} from '../../src/wire/hello.js'

const HELLO: Hello = {
  versionMin: 1,
  versionMax: 3,
  uid: '0123456789abcdef',
  dial: 5,
  cluster: 'orders',
  nodeId: 'node-1',
  bind: { host: '0.0.0.0', port: 7355 },
  advertised: { host: 'node-1.example', port: 17355 },
  dialed: { host: '::1', port: 7356 },
}

const bytesOf = (text: string) => new TextEncoder().encode(text).length
const name = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((text) => bytesOf(text) <= 255)
const port = fc.integer({ min: 1, max: 65_535 })
const address = fc.record({ host: name.filter((host) => host !== ''), port })
const { nonceBytes, proofBytes, secretsMax } = TRANSPORT_LIMITS
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const named: fc.Arbitrary<Hello> = fc.record({
  versionMin: fc.nat(0xffff),
  versionMax: fc.nat(0xffff),
  uid: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map((bits) => bits.toString(16).padStart(16, '0')),
  dial: fc.integer({ min: 1, max: 0xffff_ffff }),
  cluster: name,
  nodeId: name,
  bind: address,
  advertised: address,
  dialed: address,
})
const anyHello: fc.Arbitrary<Hello> = fc
  .tuple(
    named,
    fc.record({ lane: fc.constantFrom('ordinary', 'large'), nonce: bytes32 }, { requiredKeys: [] }),
  )
  .map(([hello, more]) => ({ ...hello, ...more }))

describe('hello', () => {
  it('starts with the struct as flatc lays it out, then the strings', () => {
    const builder = new Builder(128)
    HelloStruct.createHello(
      builder,
      HELLO_MAGIC,
      1,
      3,
      0x0123456789abcdefn,
      0n,
      0n,
      5,
      Lane.large,
      HelloFlag.proof,
      6,
      6,
      7,
      7355,
      14,
      17355,
      3,
      7356,
    )
    const all = builder.dataBuffer().bytes()
    const nonce = new Uint8Array(nonceBytes).fill(0x2a)
    const body = encodeHelloBody({ ...HELLO, lane: 'large', nonce })
    expect(HELLO_STRUCT_BYTES).toBe(56)
    expect(body.slice(0, 56)).toEqual(all.slice(all.length - 56))
    expect(new TextDecoder().decode(body.slice(56, -nonceBytes))).toBe('ordersnode-10.0.0.0node-1.example::1')
    expect(body.slice(-nonceBytes)).toEqual(nonce)
    expect(new TextDecoder().decode(body.slice(0, 4))).toBe('SKN1')
  })

  it('round-trips', () => {
    fc.assert(
      fc.property(anyHello, (hello) => {
        expect(decodeHello(encodeHelloBody(hello))).toEqual(hello)
      }),
    )
  })

  it('is a frame with a CRC', () => {
    const frame = encodeHello(FrameKind.helloAck, HELLO).subarray(4)
    expect(frameCrcMatches(frame)).toBe(true)
    expect(decodeFrame(frame).kind).toBe(FrameKind.helloAck)
    expect(decodeHello(decodeFrame(frame).body)).toEqual(HELLO)
  })

  it('the longest one fits the bound of a first frame, as does an ack with every proof', () => {
    const long = 'x'.repeat(255)
    const hello = { ...HELLO, cluster: long, nodeId: long, bind: { host: long, port: 1 } }
    const nonce = new Uint8Array(nonceBytes)
    const body = encodeHelloBody({
      ...hello,
      advertised: { host: long, port: 1 },
      dialed: { host: long, port: 1 },
      nonce,
    })
    const ack = appendProofs(body, Array(secretsMax).fill(new Uint8Array(proofBytes)))
    expect(encodeFrame(FrameKind.helloAck, ack).length - 4).toBeLessThanOrEqual(
      TRANSPORT_LIMITS.helloFrameBytesMax,
    )
  })

  it('ignores what a later version appends', () => {
    const body = encodeHelloBody(HELLO)
    const longer = new Uint8Array(body.length + 12).fill(0xaa)
    longer.set(body)
    expect(decodeHello(longer)).toEqual(HELLO)
  })

  it('rejects every truncation', () => {
    fc.assert(
      fc.property(anyHello, fc.nat(), (hello, cut) => {
        const body = encodeHelloBody(hello)
        expect(decodeHello(body.slice(0, cut % body.length))).toBeUndefined()
      }),
    )
  })

  it.each([
    ['no uid', (view: DataView) => view.setBigUint64(8, 0n, true)],
    ['no dial number', (view: DataView) => view.setUint32(32, 0, true)],
    ['an unknown lane', (view: DataView) => view.setUint8(36, Lane.large + 1)],
    ['a nonce that is promised only', (view: DataView) => view.setUint8(37, HelloFlag.proof)],
    ['a cluster name above its limit', (view: DataView) => view.setUint16(38, 256, true)],
    ['lengths beyond the body', (view: DataView) => view.setUint16(50, 200, true)],
    ['no advertised host', (view: DataView) => view.setUint16(46, 0, true)],
    ['no advertised port', (view: DataView) => view.setUint16(48, 0, true)],
    ['text that is not UTF-8', (view: DataView) => view.setUint8(56, 0xff)],
  ])('rejects %s', (_, spoil) => {
    const body = encodeHelloBody(HELLO)
    spoil(new DataView(body.buffer))
    expect(decodeHello(body)).toBeUndefined()
  })

  it('never throws on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void decodeHello(bytes)))
  })

  it('refuses to write a name above its limit', () => {
    expect(() => encodeHelloBody({ ...HELLO, nodeId: 'é'.repeat(128) })).toThrow(RangeError)
  })

  it('knows its magic', () => {
    expect(hasHelloMagic(encodeHelloBody(HELLO))).toBe(true)
    expect(hasHelloMagic(new TextEncoder().encode('SKN2 and more'))).toBe(false)
    expect(hasHelloMagic(new TextEncoder().encode('SKN'))).toBe(false)
  })
})

describe('the proofs of an ack', () => {
  const body = encodeHelloBody({ ...HELLO, nonce: new Uint8Array(nonceBytes).fill(1) })
  const proofs = (count: number) =>
    Array.from({ length: count }, (_, i) => new Uint8Array(proofBytes).fill(i))

  it('round-trip, and cover everything before them', () => {
    for (let count = 1; count <= secretsMax; count += 1) {
      const ack = appendProofs(body, proofs(count))
      expect(decodeHello(ack)).toEqual(decodeHello(body))
      expect(decodeAckProofs(ack)).toEqual({ coveredBytes: body.length, proofs: proofs(count) })
      const later = new Uint8Array(ack.length + 9).fill(0xaa)
      later.set(ack)
      expect(decodeAckProofs(later)).toEqual(decodeAckProofs(ack))
    }
  })

  it('are none when there are too few, too many, or less than promised', () => {
    expect(decodeAckProofs(body)).toBeUndefined()
    expect(decodeAckProofs(appendProofs(body, []))).toBeUndefined()
    expect(decodeAckProofs(appendProofs(body, proofs(secretsMax + 1)))).toBeUndefined()
    expect(decodeAckProofs(appendProofs(body, proofs(2)).slice(0, -1))).toBeUndefined()
  })
})
