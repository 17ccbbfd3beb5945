import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Codec, CodecError } from '../../src/messaging/codec.js'
import { jsonCodec } from '../../src/messaging/codec-json.js'
import { withCodec } from '../../src/messaging/codec-messaging.js'
import { errorOf, Loopback } from './codec-support.js'

interface Order {
  readonly id: number
  readonly note?: string
}

const isOrder = (value: unknown): Order => {
  if (typeof value !== 'object' || value === null || typeof (value as Order).id !== 'number') {
    throw new TypeError('not an order')
  }
  return value as Order
}

const orders = jsonCodec<Order>({ validate: isOrder })
const text = (bytes: string): Uint8Array => new TextEncoder().encode(bytes)

/** The value is the bytes themselves, where they lie. */
const raw: Codec<Uint8Array> = {
  name: 'raw',
  borrows: true,
  encode: (value) => value,
  decode: (bytes) => bytes,
}

describe('jsonCodec', () => {
  it('gives back what JSON can carry', () => {
    const codec = jsonCodec<unknown>()
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(codec.decode(codec.encode(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('carries undefined as no bytes', () => {
    const codec = jsonCodec<undefined>()
    expect(codec.encode(undefined)).toHaveLength(0)
    expect(codec.decode(new Uint8Array(0))).toBeUndefined()
    expect(() => orders.decode(new Uint8Array(0))).toThrow('not an order')
  })

  it.each([
    ['a function', () => {}],
    ['a symbol', Symbol('s')],
    ['a bigint', 1n],
  ])('does not encode %s', (_, value) => {
    expect(() => jsonCodec<unknown>().encode(value)).toThrow(TypeError)
  })

  it('does not encode what refers to itself', () => {
    const loop: Record<string, unknown> = {}
    loop['loop'] = loop
    expect(() => jsonCodec<unknown>().encode(loop)).toThrow(TypeError)
  })

  it.each([
    ['half a value', text('{"id":')],
    ['two values', text('1 2')],
    ['a byte order mark', text('\ufeff1')],
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22)],
    ['half a character', Uint8Array.of(0x22, 0xc3, 0x22)],
  ])('does not decode %s', (_, bytes) => {
    expect(() => jsonCodec<unknown>().decode(bytes)).toThrow()
  })

  it('takes what validate makes of it, and nothing that it refuses', () => {
    const codec = jsonCodec<Date>({ validate: (value) => new Date(String(value)) })
    expect(codec.decode(codec.encode(new Date(5)))).toEqual(new Date(5))
    expect(() => orders.decode(text('{"id":"7"}'))).toThrow('not an order')
  })
})

describe('withCodec', () => {
  it('sends, asks and answers with values', async () => {
    const loop = new Loopback()
    const typed = withCodec(loop, orders, jsonCodec<string>())
    const seen: unknown[] = []
    typed.handle('order', (order, context) => {
      seen.push(order, context.topic, context.from.nodeId)
      return `got ${order.id}`
    })
    typed.handle('slow', async (order) => {
      await Promise.resolve()
      return `later ${order.id} ${order.note}`
    })
    expect(typed.send('n2', 'order', { id: 1 }, { lane: 'large' })).toBe(true)
    expect(await typed.request('n2', 'order', { id: 2 })).toBe('got 2')
    expect(await typed.request('n2', 'slow', { id: 3, note: 'ü' }, { timeoutMs: 5 })).toBe('later 3 ü')
    expect(seen).toEqual([{ id: 1 }, 'order', 'n1', { id: 2 }, 'order', 'n1'])
    expect(loop.options).toEqual([{ lane: 'large' }, undefined, { timeoutMs: 5 }])
  })

  it('takes one codec for both directions', async () => {
    const typed = withCodec(new Loopback(), orders)
    typed.handle('next', ({ id }) => ({ id: id + 1 }))
    const { id } = await typed.request('n2', 'next', { id: 1 })
    expect(id).toBe(2)
  })

  it('answers nothing with no bytes', async () => {
    const loop = new Loopback()
    const typed = withCodec(loop, orders, jsonCodec<undefined>())
    typed.handle('order', () => {})
    typed.handle('later', async () => undefined)
    expect(await typed.request('n2', 'order', { id: 1 })).toBeUndefined()
    expect(await typed.request('n2', 'later', { id: 1 })).toBeUndefined()
    expect(await loop.request('n2', 'order', text('{"id":1}'))).toHaveLength(0)
  })

  it('takes a handler away again', () => {
    const loop = new Loopback()
    const remove = withCodec(loop, orders).handle('order', () => {})
    expect(loop.handlers.has('order')).toBe(true)
    remove()
    expect(loop.handlers.has('order')).toBe(false)
  })

  it('keeps no lent memory in a value, unless the codec says that it borrows', async () => {
    const loop = new Loopback()
    const kept: Order[] = []
    withCodec(loop, orders).handle('order', async (order) => {
      await Promise.resolve()
      kept.push(order)
    })
    const lent: Uint8Array[] = []
    withCodec(loop, raw).handle('raw', (bytes) => void lent.push(bytes))
    loop.send('n2', 'order', text('{"id":9,"note":"still here"}'))
    loop.send('n2', 'raw', Uint8Array.of(1, 2))
    await Promise.resolve()
    await Promise.resolve()
    expect(kept).toEqual([{ id: 9, note: 'still here' }])
    expect(lent).toEqual([Uint8Array.of(0xdb, 0xdb)])
  })
})

describe('what does not fit a codec', () => {
  const unencodable = { id: 1n } as unknown as Order

  it('is told to the caller who sends it, by the codec and the topic, and is not sent', async () => {
    const loop = new Loopback()
    const typed = withCodec(loop, orders)
    for (const run of [
      () => typed.send('n2', 'order', unencodable),
      () => typed.request('n2', 'order', unencodable),
    ]) {
      const error = await errorOf(run)
      expect(error).toBeInstanceOf(CodecError)
      expect(error).toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', codec: 'json', topic: 'order' })
      expect(error.cause).toBeInstanceOf(TypeError)
      expect(error.message).toContain('codec json, topic "order"')
      expect(error.message).toContain('Nothing was sent')
    }
    expect(() => typed.send('n2', 'order', unencodable)).toThrow(CodecError)
    expect(loop.sent).toEqual([])
  })

  it('is told where a codec gives no bytes', async () => {
    const broken = { ...raw, name: 'broken', encode: () => 'text' } as unknown as Codec<string>
    const error = await errorOf(() => withCodec(new Loopback(), broken).send('n2', 't', 'x'))
    expect(error).toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', codec: 'broken' })
    expect(error.message).toContain('encode() gave string')
  })

  it('does not reach the handler, and counts as one that failed', async () => {
    const loop = new Loopback()
    const handled: Order[] = []
    withCodec(loop, orders).handle('order', (order) => void handled.push(order))
    loop.send('n2', 'order', text('{"id":"one"}'))
    const error = await errorOf(() => loop.request('n2', 'order', text('nonsense')))
    expect(loop.failures).toHaveLength(1)
    for (const failure of [...loop.failures, error]) {
      expect(failure).toBeInstanceOf(CodecError)
      expect(failure).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR', codec: 'json', topic: 'order' })
    }
    expect(handled).toEqual([])
  })

  it('rejects a request whose answer cannot be decoded', async () => {
    const loop = new Loopback()
    loop.handle('order', () => text('{"id":null}'))
    const error = await errorOf(() => withCodec(loop, orders).request('n2', 'order', { id: 1 }))
    expect(error).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR', codec: 'json', retryable: false })
    expect(error.message).toContain('11 bytes of the peer cannot be decoded (not an order)')
  })

  it('as an answer is the failure of its handler, at once or later', async () => {
    const loop = new Loopback()
    const typed = withCodec(loop, orders)
    typed.handle('now', () => unencodable)
    typed.handle('later', async () => unencodable)
    for (const topic of ['now', 'later']) {
      const error = await errorOf(() => typed.request('n2', topic, { id: 1 }))
      expect(error).toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', topic })
    }
  })

  it('is told also where a codec throws what is no error', async () => {
    const rude: Codec<string> = {
      name: 'rude',
      encode: () => {
        throw 'no'
      },
      decode: () => {
        throw undefined
      },
    }
    const loop = new Loopback()
    const typed = withCodec(loop, rude)
    expect((await errorOf(() => typed.send('n2', 't', 'x'))).message).toContain('(no)')
    loop.handle('t', () => Uint8Array.of(1))
    expect((await errorOf(() => withCodec(loop, raw, rude).request('n2', 't', Uint8Array.of(1)))).code).toBe(
      'ERR_SKEIN_REMOTE_ERROR',
    )
  })
})
