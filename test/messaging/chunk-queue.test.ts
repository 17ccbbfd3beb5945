import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChunkQueue } from '../../src/messaging/chunk-queue.js'
import { pattern } from './office-world.js'

const size = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(4095, 4096, 4097), fc.nat(9000))

describe('a queue of chunks', () => {
  it('gives back all bytes, once and in order, as chunks that stay', () => {
    const acts = fc.array(fc.oneof({ weight: 3, arbitrary: size }, fc.constant('shift' as const)), {
      maxLength: 200,
    })
    fc.assert(
      fc.property(acts, (history) => {
        const queue = new ChunkQueue()
        const given: Uint8Array[] = []
        const taken: Uint8Array[] = []
        const copies: Uint8Array[] = []
        const take = () => {
          const chunk = queue.shift()
          if (chunk === undefined) return false
          taken.push(chunk)
          copies.push(chunk.slice())
          return true
        }
        for (const act of history) {
          if (act === 'shift') {
            const isEmpty = queue.isEmpty
            expect(take()).toBe(!isEmpty)
            continue
          }
          const bytes = pattern(act + 7, given.length)
          queue.push(bytes, 3, 3 + act)
          given.push(bytes.slice(3, 3 + act))
          bytes.fill(0)
        }
        while (take()) {}
        expect(queue.isEmpty).toBe(true)
        expect(Buffer.compare(Buffer.concat(taken), Buffer.concat(given))).toBe(0)
        expect(Buffer.compare(Buffer.concat(copies), Buffer.concat(given))).toBe(0)
      }),
    )
  })

  it('keeps chunks as they came for a reader that keeps up', () => {
    const queue = new ChunkQueue()
    for (const length of [1, 5000, 3]) {
      queue.push(pattern(length), 0, length)
      expect(queue.shift()).toEqual(pattern(length))
    }
  })

  it('takes memory by the bytes, and none that is not needed for a chunk that is kept', () => {
    const queue = new ChunkQueue()
    for (let index = 0; index < 10_000; index += 1) queue.push(pattern(1, index), 0, 1)
    const buffers = new Set<ArrayBufferLike>()
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      buffers.add(chunk.buffer)
      expect(chunk.buffer.byteLength).toBeLessThanOrEqual(2 * chunk.length)
    }
    expect(buffers.size).toBeLessThan(5)
  })

  it('that is cleared is empty', () => {
    const queue = new ChunkQueue()
    for (let index = 0; index < 3; index += 1) queue.push(pattern(10), 0, 10)
    queue.clear()
    expect([queue.isEmpty, queue.shift()]).toEqual([true, undefined])
  })
})
