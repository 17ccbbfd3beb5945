/** Codecs over two real ends, with lent memory overwritten as soon as its loan ends. */
import { afterEach, expect, test } from 'vitest'
import { CodecError } from '../../src/messaging/codec.js'
import { jsonCodec } from '../../src/messaging/codec-json.js'
import { withCodec } from '../../src/messaging/codec-messaging.js'
import { createTransport, type MessageTransport } from '../../src/messaging/standalone.js'
import { all, errorOf, stream } from './codec-support.js'

const open: MessageTransport[] = []

async function end(): Promise<MessageTransport> {
  const transport = await createTransport({
    listen: '127.0.0.1:0',
    transport: 'net',
    messaging: { debugPoison: true },
  })
  open.push(transport)
  return transport
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()))
})

const codec = jsonCodec<{ text: string }>({
  validate(value) {
    if (typeof (value as { text?: unknown } | null)?.text !== 'string') throw new TypeError('no text')
    return value as { text: string }
  },
})

test('values arrive whole, and what cannot be decoded is an event there and an error here', async () => {
  const [here, there] = await Promise.all([end(), end()])
  const [asker, answerer] = [withCodec(here, codec), withCodec(there, codec)]
  const kept: string[] = []
  answerer.handle('echo', async ({ text }) => {
    await Promise.resolve()
    kept.push(text)
    return { text: text.toUpperCase() }
  })
  const texts = ['ä', 'x'.repeat(100_000), '']
  for (const text of texts) {
    expect(await asker.request(there.address, 'echo', { text })).toEqual({ text: text.toUpperCase() })
  }
  expect(kept).toEqual(texts)

  const failed = new Promise<unknown>((resolve) => there.on('handlerFailed', ({ error }) => resolve(error)))
  const bad = new TextEncoder().encode('{"text":1}')
  here.send(there.address, 'echo', bad)
  expect(await failed).toBeInstanceOf(CodecError)
  const error = await errorOf(() => here.request(there.address, 'echo', bad))
  expect(error).toMatchObject({ code: 'ERR_SKEIN_REMOTE_ERROR' })
  expect(error.message).toContain('codec json')
  expect(kept).toEqual(texts)
})

test('streams carry values both ways, whatever their size', async () => {
  const [here, there] = await Promise.all([end(), end()])
  withCodec(there, codec).handleStream('double', async function* (incoming) {
    for await (const { text } of incoming) yield { text: text + text }
  })
  const texts = ['', 'a', 'long '.repeat(60_000), 'z']
  const opened = withCodec(here, codec).stream(
    there.address,
    'double',
    stream(texts.map((text) => ({ text }))),
  )
  expect((await all(opened)).map(({ text }) => text)).toEqual(texts.map((text) => text + text))
  await opened.sent
})

test('what cannot be encoded breaks the stream on both ends', async () => {
  const [here, there] = await Promise.all([end(), end()])
  const got: string[] = []
  const broken = new Promise<unknown>((resolve) => {
    withCodec(there, codec).handleStream('sink', async (incoming) => {
      try {
        for await (const { text } of incoming) got.push(text)
      } catch (error) {
        resolve(error)
      }
    })
  })
  const values = stream([{ text: 'one' }, { text: 1n as unknown as string }])
  const opened = withCodec(here, codec).stream(there.address, 'sink', values)
  const error = await errorOf(() => opened.sent)
  expect(error).toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', codec: 'json', topic: 'sink' })
  expect(await broken).toMatchObject({ code: 'ERR_SKEIN_STREAM_RESET' })
  expect(got).toEqual(['one'])
})
