import { Builder } from 'flatbuffers'
import { describe, expect, it } from 'vitest'
import { flatbuffersCodec } from '../../src/messaging/codec-flatbuffers.js'
import { withCodec } from '../../src/messaging/codec-messaging.js'
import { Message } from '../../src/wire/generated/message.js'
import { MessageKind } from '../../src/wire/generated/message-kind.js'
import { MESSAGE_IDENTIFIER, MESSAGE_SHAPE } from '../../src/wire/message-shape.js'
import { verifyBuffer } from '../../src/wire/verify.js'
import { errorOf, Loopback } from './codec-support.js'

/** Any schema would do; the project's own is at hand, with its verifier. */
const shared = {
  identifier: MESSAGE_IDENTIFIER,
  encode: (builder: Builder, value: MessageKind) => {
    Message.startMessage(builder)
    Message.addKind(builder, value)
    return Message.endMessage(builder)
  },
  verify: (bytes: Uint8Array) => verifyBuffer(bytes, MESSAGE_SHAPE, MESSAGE_IDENTIFIER) === undefined,
}

const kinds = flatbuffersCodec<MessageKind>({
  ...shared,
  decode: (buffer) => Message.getRootAsMessage(buffer).kind(),
})

describe('flatbuffersCodec', () => {
  it('gives back what was written, from any place in memory', () => {
    for (const kind of [MessageKind.none, MessageKind.join, MessageKind.digest]) {
      const bytes = kinds.encode(kind)
      const elsewhere = new Uint8Array(bytes.length + 3)
      elsewhere.set(bytes, 3)
      expect(kinds.decode(elsewhere.subarray(3))).toBe(kind)
    }
  })

  it('gives bytes that a later call leaves alone', () => {
    const first = kinds.encode(MessageKind.join)
    const copy = first.slice()
    kinds.encode(MessageKind.digest)
    expect(first).toEqual(copy)
  })

  it('is usable again after what it writes with has thrown half-way', () => {
    let broken = true
    const codec = flatbuffersCodec<MessageKind>({
      ...shared,
      encode(builder, value) {
        if (broken) {
          Message.startMessage(builder)
          throw new Error('half-way')
        }
        return shared.encode(builder, value)
      },
      decode: (buffer) => Message.getRootAsMessage(buffer).kind(),
    })
    expect(() => codec.encode(MessageKind.join)).toThrow('half-way')
    broken = false
    expect(codec.decode(codec.encode(MessageKind.join))).toBe(MessageKind.join)
  })

  it('asks the verifier before it reads, and reads nothing that it refuses', () => {
    const asked: string[] = []
    const codec = flatbuffersCodec<number>({
      encode: () => 0,
      verify: (bytes) => {
        asked.push('verify')
        return bytes[8] !== 1
      },
      decode: () => asked.push('decode'),
    })
    codec.decode(new Uint8Array(12))
    expect(asked).toEqual(['verify', 'decode'])
    const bad = new Uint8Array(12)
    bad[8] = 1
    expect(() => codec.decode(bad)).toThrow('verifier refuses')
    expect(asked).toEqual(['verify', 'decode', 'verify'])
  })

  it('reads no part of a buffer as a whole one', () => {
    const bytes = kinds.encode(MessageKind.join)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => kinds.decode(bytes.subarray(0, length))).toThrow()
    }
  })

  it('refuses a buffer of another schema by its identifier, before anything else', () => {
    const builder = new Builder()
    builder.startObject(0)
    builder.finish(builder.endObject(), 'ELSE')
    const codec = flatbuffersCodec<null>({
      identifier: MESSAGE_IDENTIFIER,
      encode: () => 0,
      decode: () => null,
    })
    expect(() => codec.decode(builder.asUint8Array())).toThrow('identifier SKM1')
    expect(codec.decode(kinds.encode(MessageKind.join))).toBeNull()
  })

  it('refuses bytes too short for any buffer without a verifier, too', () => {
    const codec = flatbuffersCodec<null>({ encode: () => 0, decode: () => null })
    expect(() => codec.decode(new Uint8Array(7))).toThrow('too short')
    expect(codec.decode(new Uint8Array(8))).toBeNull()
  })

  it('refuses an identifier that is none', () => {
    for (const identifier of ['', 'ABC', 'ABCDE', 'ABC\u00e9']) {
      expect(() => flatbuffersCodec({ ...shared, identifier, decode: () => 0 })).toThrow(
        expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION', path: 'identifier' }),
      )
    }
  })

  it('reads a copy, so that a lazy value stays whole; with borrows it reads in place', () => {
    const loop = new Loopback()
    const lazy = { ...shared, decode: Message.getRootAsMessage }
    const view = flatbuffersCodec<Message>({ ...lazy, encode: () => 0 })
    const borrowing = flatbuffersCodec<Message>({ ...lazy, encode: () => 0, borrows: true })
    expect([view.borrows, borrowing.borrows]).toEqual([false, true])
    const kept: Message[] = []
    const atOnce: MessageKind[] = []
    withCodec(loop, view).handle('copy', (message) => void kept.push(message))
    withCodec(loop, borrowing).handle('lent', (message) => void atOnce.push(message.kind()))
    loop.send('n2', 'copy', kinds.encode(MessageKind.digest))
    loop.send('n2', 'lent', kinds.encode(MessageKind.digest))
    expect(kept.map((message) => message.kind())).toEqual([MessageKind.digest])
    expect(atOnce).toEqual([MessageKind.digest])
    expect(loop.failures).toEqual([])
    const bytes = kinds.encode(MessageKind.join)
    const borrowed = borrowing.decode(bytes)
    expect(borrowed.bb?.bytes()).toBe(bytes)
    expect(view.decode(bytes).bb?.bytes()).not.toBe(bytes)
  })

  it('is named in errors', async () => {
    const named = flatbuffersCodec<number>({ name: 'orders', encode: () => 0, decode: () => 0 })
    expect(named.name).toBe('orders')
    const loop = new Loopback()
    withCodec(loop, kinds).handle('t', () => undefined)
    const error = await errorOf(() => loop.request('n2', 't', new Uint8Array(20)))
    expect(error).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR', codec: 'flatbuffers' })
  })
})
