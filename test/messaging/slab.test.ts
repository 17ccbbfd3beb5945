import { describe, expect, it } from 'vitest'
import { Slab } from '../../src/messaging/slab.js'
import { pattern } from './office-world.js'

describe('a slab', () => {
  it('gives copies that stay, whatever is copied after them', () => {
    const slab = new Slab()
    const source = new Uint8Array(4096)
    const sizes = Array.from({ length: 500 }, (_, index) => (index * 37) % 1500)
    const copies = sizes.map((size, index) => {
      source.set(pattern(size, index), 100)
      const copy = slab.copy(source, 100, 100 + size)
      source.fill(0xdb)
      return copy
    })
    expect(copies.every((copy, index) => Buffer.compare(copy, pattern(sizes[index]!, index)) === 0)).toBe(
      true,
    )
  })

  it('shares a piece of memory among small ones, never among large ones', () => {
    const slab = new Slab()
    const bytes = pattern(5000)
    const [one, other] = [slab.copy(bytes, 0, 10), slab.copy(bytes, 10, 1034)]
    expect(one.buffer).toBe(other.buffer)
    expect(slab.copy(bytes, 0, 1025).buffer.byteLength).toBe(1025)
  })

  it('lays each copy where typed arrays of any kind may begin', () => {
    const slab = new Slab()
    for (let size = 0; size < 20; size += 1)
      expect(slab.copy(pattern(100), 0, size).byteOffset % Float64Array.BYTES_PER_ELEMENT).toBe(0)
  })

  it('copies out of a view that does not begin where its memory does', () => {
    const whole = pattern(100)
    expect(new Slab().copy(whole.subarray(50), 1, 4)).toEqual(whole.slice(51, 54))
  })
})
