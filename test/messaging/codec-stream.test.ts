import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Codec } from '../../src/messaging/codec.js'
import { jsonCodec } from '../../src/messaging/codec-json.js'
import { withCodec } from '../../src/messaging/codec-messaging.js'
import { decodeStream, encodeStream } from '../../src/messaging/codec-stream.js'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { all, errorOf, Loopback, stream } from './codec-support.js'

const raw: Codec<Uint8Array> = { name: 'raw', encode: (value) => value, decode: (bytes) => bytes.slice() }
const json = jsonCodec<unknown>()

function lengthOf(count: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, count, true)
  return bytes
}

/** All of the encoded stream in one piece. */
async function encoded(values: readonly Uint8Array[]): Promise<Uint8Array> {
  return Uint8Array.from((await all(encodeStream(raw, 't', stream(values)))).flatMap((chunk) => [...chunk]))
}

describe('values over chunks', () => {
  it('are the same values wherever the chunks are cut', async () => {
    const values = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })
    const cuts = fc.array(fc.nat(30), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(values, cuts, async (given, sizes) => {
        const whole = await encoded(given)
        const chunks: Uint8Array[] = []
        for (let at = 0, i = 0; at < whole.length; i++) {
          // Sizes of 0 are empty chunks; one piece of at least a byte in each round ends the loop.
          const size = i % sizes.length === 0 ? sizes[0]! + 1 : sizes[i % sizes.length]!
          chunks.push(whole.slice(at, at + size))
          at += size
        }
        expect(await all(decodeStream(raw, 't', stream(chunks)))).toEqual(given)
      }),
      { numRuns: 200 },
    )
  })

  it('are one chunk each: a length, little-endian, and the bytes', async () => {
    const chunks = await all(encodeStream(raw, 't', stream([Uint8Array.of(7, 8), new Uint8Array(0)])))
    expect(chunks).toEqual([Uint8Array.of(2, 0, 0, 0, 7, 8), Uint8Array.of(0, 0, 0, 0)])
  })

  it('arrive while more are still to come', async () => {
    const iterator = decodeStream(raw, 't', endless(Uint8Array.of(1, 0, 0, 0, 5, 1, 0, 0)))
    expect(await iterator.next()).toEqual({ done: false, value: Uint8Array.of(5) })
    await iterator.return()
  })

  it('that are long are put together once, in memory that grows with what has come', async () => {
    const long = new Uint8Array(1_000_003).map((_, i) => i)
    const whole = await encoded([long, Uint8Array.of(1)])
    for (const size of [1024, 65_536, whole.length]) {
      const chunks: Uint8Array[] = []
      for (let at = 0; at < whole.length; at += size) chunks.push(whole.subarray(at, at + size))
      const [first, second, ...rest] = await all(decodeStream(raw, 't', stream(chunks)))
      expect(Buffer.compare(first!, long)).toBe(0)
      expect(second).toEqual(Uint8Array.of(1))
      expect(rest).toEqual([])
    }
  })

  it('do not get memory for what a length only claims', async () => {
    const grownBytes: number[] = []
    async function* claim(): AsyncGenerator<Uint8Array> {
      const before = process.memoryUsage().arrayBuffers
      yield lengthOf(MESSAGING_LIMITS.messageBytesMax)
      yield new Uint8Array(10)
      grownBytes.push(process.memoryUsage().arrayBuffers - before)
    }
    await errorOf(() => all(decodeStream(raw, 't', claim())))
    expect(grownBytes[0]).toBeLessThan(1024 * 1024)
  })

  it('may have the longest length there is, and not one byte more', async () => {
    const max = MESSAGING_LIMITS.messageBytesMax
    const ended = await errorOf(() => all(decodeStream(raw, 't', stream([lengthOf(max)]))))
    expect(ended.message).toContain('ended within a value')
    const refused = await errorOf(() => all(decodeStream(raw, 't', stream([lengthOf(max + 1)]))))
    expect(refused).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR', codec: 'raw', topic: 't' })
    expect(refused.message).toContain(`${max + 1} bytes`)
    const own = await errorOf(() => all(encodeStream(raw, 't', stream([new Uint8Array(max + 1)]))))
    expect(own).toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', codec: 'raw' })
  })

  it.each([
    ['a length', Uint8Array.of(1, 0, 0)],
    ['a value', Uint8Array.of(2, 0, 0, 0, 1)],
    ['nothing but a length', Uint8Array.of(1, 0, 0, 0)],
  ])('that end within %s are told, after those that were whole', async (_, tail) => {
    const values: Uint8Array[] = []
    const error = await errorOf(async () => {
      const chunks = stream([Uint8Array.of(1, 0, 0, 0, 9), tail])
      for await (const value of decodeStream(raw, 't', chunks)) values.push(value)
    })
    expect(values).toEqual([Uint8Array.of(9)])
    expect(error).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR', codec: 'raw' })
  })

  it('that cannot be decoded end the stream, and its source is told', async () => {
    const source = watched(endless(Uint8Array.of(1, 0, 0, 0, 0x7b)))
    const error = await errorOf(() => all(decodeStream(json, 't', source.iterable)))
    expect(error).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR', codec: 'json' })
    expect(source.ended).toBe(true)
  })

  it('that cannot be encoded end the stream, and their source is told', async () => {
    const source = watched(endless<unknown>(1n))
    const error = await errorOf(() => all(encodeStream(json, 't', source.iterable)))
    expect(error).toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', codec: 'json' })
    expect(source.ended).toBe(true)
  })
})

describe('withCodec, streams', () => {
  it.each([0, 1, 3, 1000])('go both ways as values, cut into pieces of %s bytes', async (cutBytes) => {
    const loop = new Loopback()
    loop.cutBytes = cutBytes
    const typed = withCodec(loop, jsonCodec<number>(), jsonCodec<{ twice: number }>())
    typed.handleStream('double', async function* (incoming, context) {
      expect(context.topic).toBe('double')
      for await (const value of incoming) yield { twice: 2 * value }
    })
    const values = await all(typed.stream('n2', 'double', stream([1, 20, 300])))
    expect(values).toEqual([{ twice: 2 }, { twice: 40 }, { twice: 600 }])
  })

  it('need no source', async () => {
    const typed = withCodec(new Loopback(), json)
    typed.handleStream('count', async function* (incoming) {
      expect(await all(incoming)).toEqual([])
      yield* [1, 2]
    })
    expect(await all(typed.stream('n2', 'count'))).toEqual([1, 2])
  })

  it('leave a handler that only takes as it is', async () => {
    const loop = new Loopback()
    const got: unknown[] = []
    withCodec(loop, json).handleStream('sink', async (incoming) => {
      got.push(...(await all(incoming)))
    })
    const chunks = encodeStream(json, 'sink', stream(['a', 'b']))
    const result = loop.streams.get('sink')!(chunks, {} as never)
    expect(result).toBeInstanceOf(Promise)
    await result
    expect(got).toEqual(['a', 'b'])
  })

  it('cancel the stream of bytes: by word, and by leaving the loop', async () => {
    const loop = new Loopback()
    const typed = withCodec(loop, json)
    const source = watched(endless<unknown>(1))
    typed.handleStream('endless', () => source.iterable)
    const opened = typed.stream('n2', 'endless')
    for await (const value of opened) {
      expect(value).toBe(1)
      break
    }
    expect(source.ended).toBe(true)
    opened.cancel('enough')
    expect(loop.canceled).toEqual(['enough'])
    await opened.sent
  })
})

async function* endless<T>(value: T): AsyncGenerator<T> {
  for (;;) yield value
}

/** Whether a source that never ends by itself was ended by its reader. */
function watched<T>(source: AsyncIterable<T>): {
  readonly iterable: AsyncIterable<T>
  readonly ended: boolean
} {
  const watch = { ended: false }
  async function* through(): AsyncGenerator<T> {
    try {
      yield* source
    } finally {
      watch.ended = true
    }
  }
  return {
    iterable: through(),
    get ended() {
      return watch.ended
    },
  }
}
