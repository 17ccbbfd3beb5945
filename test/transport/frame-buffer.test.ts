import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameBuffer } from '../../src/transport/control/frame-buffer.js'
import { encodeFrame, FrameKind } from '../../src/wire/frame.js'

const LIMIT = 4096

/** Cuts `bytes` at the given places, in any order, empty pieces included. */
function chunk(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((end, index) => bytes.slice(cuts[index]!, end))
}

describe('frame buffer', () => {
  it('gives the frames back whatever the chunks, and holds nothing afterwards', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 })
    const cuts = fc.array(fc.nat(4000), { maxLength: 60 })
    fc.assert(
      fc.property(bodies, cuts, (parts, places) => {
        const frames = parts.map((body) => encodeFrame(FrameKind.message, body))
        const buffer = new FrameBuffer()
        const seen: Uint8Array[] = []
        for (const piece of chunk(new Uint8Array(Buffer.concat(frames)), places)) {
          buffer.push(piece)
          for (let step = buffer.next(LIMIT); step !== undefined; step = buffer.next(LIMIT)) {
            if (typeof step === 'string') throw new Error(step)
            seen.push(step.slice())
          }
        }
        expect(seen).toEqual(frames.map((frame) => frame.slice(4)))
        expect(buffer.byteLength).toBe(0)
      }),
    )
  })

  it('hands out a view, not a copy, when a frame lies in one chunk', () => {
    const buffer = new FrameBuffer()
    const frame = encodeFrame(FrameKind.message, Uint8Array.of(1, 2, 3))
    buffer.push(frame)
    const step = buffer.next(LIMIT) as Uint8Array
    expect(step.buffer).toBe(frame.buffer)
  })

  it.each([
    ['frameTooLarge', LIMIT + 1],
    ['frameTooLarge', 0xffff_ffff],
    ['frameTooLarge', 0x8000_0000],
    ['frameTooShort', 15],
    ['frameTooShort', 0],
  ])('says %s for a length of %i as soon as it is there', (expected, length) => {
    const head = new Uint8Array(4)
    new DataView(head.buffer).setUint32(0, length, true)
    const buffer = new FrameBuffer()
    for (const byte of head.subarray(0, 3)) {
      buffer.push(Uint8Array.of(byte))
      expect(buffer.next(LIMIT)).toBeUndefined()
    }
    buffer.push(head.slice(3))
    expect(buffer.next(LIMIT)).toBe(expected)
    expect(buffer.next(LIMIT)).toBe(expected)
  })

  it('takes lengths at both bounds', () => {
    for (const bodyLength of [0, LIMIT - 16]) {
      const buffer = new FrameBuffer()
      buffer.push(encodeFrame(FrameKind.message, new Uint8Array(bodyLength)))
      expect((buffer.next(LIMIT) as Uint8Array).length).toBe(16 + bodyLength)
    }
  })

  it('applies the bound of each call, so that it may grow between two frames of one chunk', () => {
    const buffer = new FrameBuffer()
    const small = encodeFrame(FrameKind.ready)
    const large = encodeFrame(FrameKind.message, new Uint8Array(100))
    buffer.push(new Uint8Array(Buffer.concat([small, large])))
    expect(buffer.next(20)).toEqual(small.slice(4))
    expect(buffer.next(20)).toBe('frameTooLarge')
    expect(buffer.next(200)).toEqual(large.slice(4))
  })

  it('forgets everything on clear', () => {
    const buffer = new FrameBuffer()
    buffer.push(Uint8Array.of(1, 2, 3, 4, 5))
    buffer.clear()
    expect(buffer.byteLength).toBe(0)
    buffer.push(encodeFrame(FrameKind.ready))
    expect((buffer.next(LIMIT) as Uint8Array).length).toBe(16)
  })
})
