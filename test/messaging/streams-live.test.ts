/** Streams over real sockets, native and not, and between the two. */
import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { createTransport, type MessageTransport } from '../../src/messaging/standalone.js'
import { nativeAvailable } from '../../src/transport/native/load.js'
import { pattern } from './office-world.js'

type Kind = 'net' | 'native'

const open: MessageTransport[] = []
const PAIRS: [Kind, Kind][] = nativeAvailable()
  ? [
      ['net', 'net'],
      ['native', 'native'],
      ['native', 'net'],
    ]
  : [['net', 'net']]

async function end(transport: Kind): Promise<MessageTransport> {
  const made = await createTransport({ listen: '127.0.0.1:0', transport, messaging: { debugPoison: true } })
  open.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()))
})

async function* chunks(count: number, size: number) {
  for (let index = 0; index < count; index += 1) yield pattern(size, index)
}

async function digest(from: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of from) hash.update(chunk)
  return hash.digest('hex')
}

describe.each(PAIRS)('between %s and %s', (from, to) => {
  it('carry megabytes both ways at once, beside large messages', async () => {
    const [a, b] = await Promise.all([end(from), end(to)])
    b.handleStream('echo', async function* (incoming) {
      for await (const chunk of incoming) yield chunk
    })
    let messageBytes = 0
    b.handle('large', (bytes) => {
      messageBytes += bytes.length
    })
    const given = [
      [200, 50_000],
      [5, 1_000_000],
      [3000, 333],
    ] as const
    const wanted = await Promise.all(given.map(([count, size]) => digest(chunks(count, size))))
    const streams = given.map(([count, size]) => a.stream(b.address, 'echo', chunks(count, size)))
    a.send(b.address, 'large', new Uint8Array(2_000_000))
    expect(await Promise.all(streams.map(digest))).toEqual(wanted)
    await Promise.all(streams.map(({ sent }) => sent))
    expect(messageBytes).toBe(2_000_000)
    expect(a.counters()['streamsReset']).toBe(0)
  })

  it('end at both ends when one of them is closed', async () => {
    const [a, b] = await Promise.all([end(from), end(to)])
    let told: unknown
    const heard = new Promise<void>((resolve) => {
      b.handleStream('t', async (incoming) => {
        await digest(incoming).catch((error) => {
          told = error
        })
        resolve()
      })
    })
    async function* endless() {
      yield pattern(10)
      await new Promise<void>(() => {})
    }
    const stream = a.stream(b.address, 't', endless())
    while ((b.counters()['streamsOpened'] ?? 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await a.close()
    await expect(stream.sent).rejects.toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
    await expect(digest(stream)).rejects.toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
    await b.close()
    await heard
    expect(told).toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
  })
})
