import { afterEach, describe, expect, it } from 'vitest'
import { keepMajority } from '../../src/core/downing.js'
import type { SkeinErrorCode } from '../../src/errors.js'
import { isSkeinError } from '../../src/errors.js'
import type { Handler } from '../../src/messaging/messaging.js'
import { nativeAvailable } from '../../src/transport/native/load.js'
import { Nodes, statuses, type TransportName, waitFor } from './support.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (given: Uint8Array) => new TextDecoder().decode(given)
const echo: Handler = (given) => given

async function codeOf(promise: Promise<unknown>): Promise<SkeinErrorCode | 'resolved'> {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    if (isSkeinError(error)) return error.code
    throw error
  }
}

const TRANSPORTS: readonly TransportName[] = nativeAvailable()
  ? ['native', 'net', 'memory']
  : ['net', 'memory']

describe.each(TRANSPORTS)('messages among members, %s', (transport) => {
  const nodes = new Nodes(transport)
  afterEach(() => nodes.end())

  it('finds a member by nodeId, address, uid, or as it is', async () => {
    const [a, b] = await nodes.form(2, { messaging: { handlers: { echo } } })
    const { uid, nodeId, address } = b!.self
    for (const to of [nodeId, `${address.host}:${address.port}`, uid, b!.self]) {
      expect(text(await a!.request(to, 'echo', bytes('hello')))).toBe('hello')
    }
    expect(await codeOf(a!.request('nobody', 'echo', bytes('x')))).toBe('ERR_SKEIN_NOT_MEMBER')
    expect(() => a!.send('nobody', 'echo', bytes('x'))).toThrow(/nobody/)
  })

  it('reaches this node itself, with large messages and streams as well', async () => {
    const a = await nodes.join({ messaging: { handlers: { echo } } })
    expect(text(await a.request(a.self, 'echo', bytes('me')))).toBe('me')
    const large = new Uint8Array(300_000).map((_, at) => at)
    expect(Buffer.compare(await a.request(a.self, 'echo', large), large)).toBe(0)
    a.handleStream('double', async function* (incoming) {
      for await (const chunk of incoming) yield chunk.map((byte) => 2 * byte)
    })
    async function* source() {
      yield Uint8Array.of(1, 2)
      yield Uint8Array.of(3)
    }
    const received: number[] = []
    for await (const chunk of a.stream(a.self, 'double', source())) received.push(...chunk)
    expect(received).toEqual([2, 4, 6])
  })

  it('broadcasts to a role, to this node only when told to', async () => {
    const heard: string[] = []
    const note: Handler = (given, { from }) => void heard.push(`${from.nodeId} ${text(given)}`)
    const handlers = { note }
    const [a] = await nodes.form(3, { messaging: { handlers }, roles: ['worker'] })
    await nodes.join({ nodeId: 'other', messaging: { handlers } }, [a!])
    await waitFor(() => statuses(a!.state) === Array(4).fill('up').join())
    expect(a!.broadcast('note', bytes('hi'), { role: 'worker' })).toBe(2)
    await waitFor(() => heard.length === 2)
    expect(a!.broadcast('note', bytes('all'), { includeSelf: true })).toBe(4)
    await waitFor(() => heard.length === 6)
    expect(a!.broadcast('note', bytes('none'), { role: 'nobody' })).toBe(0)
    expect(heard.slice(0, 2)).toEqual(['n1 hi', 'n1 hi'])
  })

  it('routes by role, and goes on without a member that has gone', async () => {
    const who = (name: string) => ({ messaging: { handlers: { who: () => bytes(name) } } })
    const first = await nodes.join({ nodeId: 'n1', ...who('n1') })
    const second = await nodes.join({ nodeId: 'n2', roles: ['worker'], ...who('n2') }, [first])
    await nodes.join({ nodeId: 'n3', roles: ['worker'], ...who('n3') }, [first])
    await waitFor(() => statuses(first.state) === 'up,up,up')
    const router = first.router('worker', { strategy: 'roundRobin' })
    const ask = async () => text(await router.request('who', bytes(''), { idempotent: true }))
    expect(new Set([await ask(), await ask()])).toEqual(new Set(['n2', 'n3']))
    await second.leave()
    expect([await ask(), await ask()]).toEqual(['n3', 'n3'])
    expect(router.members().map((m) => m.nodeId)).toEqual(['n3'])
    router.close()
    expect(await codeOf(router.request('who', bytes('')))).toBe('ERR_SKEIN_CLOSED')
  })

  it('tells the fate of what was sent to a member that was downed', async () => {
    const downing = keepMajority({ stableAfterMs: 1000 })
    const [a, b, c] = await nodes.form(3, { downing, messaging: { handlers: { echo } } })
    await a!.request(c!.self, 'echo', bytes('warm'))
    const gone = c!.self
    const reasons: string[] = []
    a!.on('deadLetter', (letter) => reasons.push(`${letter.reason} ${letter.topic} ${letter.count}`))
    await c!.close()
    await waitFor(() => a!.state.members.some((m) => m.uid === gone.uid && m.reachability === 'unreachable'))
    a!.send(gone, 'note', bytes('late'))
    const waiting = codeOf(a!.request(gone, 'echo', bytes('late'), { timeoutMs: 20_000 }))
    expect(['ERR_SKEIN_UNREACHABLE', 'ERR_SKEIN_QUARANTINED']).toContain(await waiting)
    await waitFor(() => statuses(a!.state) === 'up,up')
    await waitFor(() => reasons.length === 1)
    expect(reasons).toEqual(['quarantined note 1'])
    expect(await codeOf(a!.request(gone, 'echo', bytes('later')))).toBe('ERR_SKEIN_NOT_MEMBER')
    expect(text(await a!.request(b!.self, 'echo', bytes('still')))).toBe('still')
  })

  it('takes nothing once it is closed', async () => {
    const a = await nodes.join()
    const peer = a.peer(a.self)
    await a.close()
    expect(() => a.send(a.self, 'x', bytes('x'))).toThrow(/closed/)
    expect(await codeOf(peer.request('x', bytes('x')))).toBe('ERR_SKEIN_CLOSED')
    expect(() => a.broadcast('x', bytes('x'))).toThrow(/closed/)
  })

  it.skipIf(transport === 'memory')('lets in only who knows the secret', async () => {
    const secret = 'a secret of sixteen bytes or more'
    const a = await nodes.join({ secret, messaging: { handlers: { echo } } })
    const b = await nodes.join({ secret: [secret, 'the next one, not yet in use'] }, [a])
    expect(text(await b.request(a.self, 'echo', bytes('in')))).toBe('in')
    const rejected: string[] = []
    a.on('connectionRejected', ({ reason }) => rejected.push(reason))
    const stranger = nodes.join({ joinTimeoutMs: 800, seedNodeTimeoutMs: 100 }, [a])
    expect(await codeOf(stranger)).toBe('ERR_SKEIN_JOIN_TIMEOUT')
    expect(rejected).toContain('unauthenticated')
  })
})

describe('options', () => {
  const nodes = new Nodes('net')
  afterEach(() => nodes.end())

  it.each([
    ['a secret too short', { secret: 'short' }],
    ['no secret at all', { secret: [] }],
    ['an unknown messaging option', { messaging: { outboxBytes: 1 } }],
    ['a low-water mark above the high one', { messaging: { highWaterBytes: 2048, lowWaterBytes: 4096 } }],
    ['a handler that is none', { messaging: { handlers: { echo: 'no' } } }],
    ['TLS that is no PEM', { tls: { cert: 'x', key: 'y', ca: 'z' } }],
    ['a message bound below a frame', { messaging: { messageBytesMax: 10 } }],
  ])('refuses %s, and quotes no secret', async (_, options) => {
    const joining = nodes.join(options as never)
    await expect(joining).rejects.toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION' })
    await expect(joining).rejects.not.toThrow(/short'/)
  })
})
