import { once } from 'node:events'
import { connect as connectPlain, createServer, type Socket } from 'node:net'
import * as tls from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import type { Address } from '../../src/core/address.js'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import { createNetTransport } from '../../src/transport/net/net-transport.js'
import { TlsEnds } from '../../src/transport/net/tls-ends.js'
import type { TlsOptions } from '../../src/transport/transport.js'
import { decodeFrame, decodeRefusal, FrameKind, RefusalReason } from '../../src/wire/frame.js'
import {
  closeNodes,
  counter,
  eventsOf,
  expectUndisturbed,
  freshUid,
  isLinked,
  type Node,
  type NodeOptions,
  startNode,
  transportOptions,
} from '../contract/harness.js'
import { isSame, openLane, pattern } from '../contract/lane-probe.js'
import { realHarness } from '../contract/real-harness.js'
import { Authority } from './tls-certificates.js'

const LOCAL = '127.0.0.1'
const ours = new Authority('ours')
const theirs = new Authority('theirs')
const good = ours.issue({ hosts: [LOCAL] })
const stranger = theirs.issue({ hosts: [LOCAL] })
const elsewhere = ours.issue({ hosts: ['elsewhere.example', '127.0.0.2'] })
const expired = ours.issue({ hosts: [LOCAL], days: -1 })

/** Trusts ours, and shows what `shown` has. */
const showing = (shown: TlsOptions): TlsOptions => ({ ...shown, ca: ours.pem })

const harness = realHarness(createNetTransport, false)
const open: Node[] = []
const played: { destroy(): void }[] = []

afterEach(async () => {
  for (const each of played.splice(0)) each.destroy()
  await harness.dispose()
  await closeNodes(harness, open.splice(0))
})

function secured(options: TlsOptions, more: NodeOptions = {}): Promise<Node> {
  const certified = {
    ...harness,
    createTransport: (base: Parameters<typeof createNetTransport>[0]) =>
      createNetTransport({ ...base, tls: options }),
  }
  return startNode(certified, open, more)
}

async function linked(first = good, second = good): Promise<[Node, Node]> {
  const [a, b] = [await secured(first), await secured(second)]
  a.transport.connect(b.address, b.uid)
  await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'both sides to be linked')
  return [a, b]
}

const badInputs = (node: Node) => eventsOf(node, 'badInput').map((event) => event.reason)

/** A connection without TLS, at which the test writes what it likes. */
function plainTo(address: Address): Socket & { readonly isOver: boolean } {
  const socket = Object.assign(connectPlain(address), { isOver: false })
  socket.on('error', () => {})
  socket.on('data', () => {})
  socket.on('close', () => {
    socket.isOver = true
  })
  played.push(socket)
  return socket
}

/** Somebody who speaks TLS, but not as a node does; resolves with what the node has said, once it is over. */
async function strangeClient(
  address: Address,
  options: tls.ConnectionOptions,
  says = Buffer.alloc(0),
): Promise<Buffer> {
  const socket = tls.connect({ ...address, ca: ours.pem, servername: '', ...options })
  played.push(socket)
  const received: Buffer[] = []
  let isOver = false
  socket.on('error', () => {})
  socket.on('close', () => {
    isOver = true
  })
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.write(says)
  await harness.waitFor(() => isOver, 'the end of the connection')
  return Buffer.concat(received)
}

describe('TLS between nodes', () => {
  it('carries the link and the lanes, and nothing of it can be read on the way', async () => {
    const [a, b] = [await secured(good), await secured(good)]
    const seen: Buffer[] = []
    const relay = createServer((from) => {
      const to = connectPlain(b.address)
      played.push(from, to)
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        one.on('data', (chunk) => {
          seen.push(chunk)
          other.write(chunk)
        })
        one.on('error', () => {})
      }
    })
    played.push({ destroy: () => relay.close() })
    await new Promise<void>((resolve) => relay.listen(0, LOCAL, resolve))
    const { port } = relay.address() as { port: number }
    a.transport.connect({ host: LOCAL, port }, b.uid)
    await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
    const secret = Buffer.from('a word that is nowhere on the wire')
    expect(a.transport.send(b.uid, secret)).toBe('sent')
    await harness.waitFor(() => eventsOf(b, 'message').length === 1, 'the message')
    expect(Buffer.from(eventsOf(b, 'message')[0]!.bytes).equals(secret)).toBe(true)
    const wire = Buffer.concat(seen)
    expect(wire.length).toBeGreaterThan(secret.length)
    expect(wire.includes(secret) || wire.includes(a.nodeId)).toBe(false)
    const [here, there] = await openLane(harness, a, b, 'large')
    const bytes = pattern(3_000_000)
    here.attach().send(bytes)
    there.attach()
    await harness.waitFor(() => there.receivedBytes === bytes.length, 'the bytes of the lane')
    expect(isSame(there.received, bytes)).toBe(true)
  })

  it('checks a name that was dialled, and not only literal addresses', async () => {
    const named = ours.issue({ hosts: ['localhost', LOCAL] })
    const [a, b] = [await secured(named), await secured(named)]
    const byName = { host: 'localhost', port: b.address.port }
    a.transport.connect(byName, b.uid)
    await harness.waitFor(() => isLinked(a, b.uid), 'the link')
    const c = await secured(good)
    // Its certificate is for the address only.
    a.transport.connect({ host: 'localhost', port: c.address.port })
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(eventsOf(a, 'gated')[0]).toMatchObject({ reason: 'handshake' })
    expect(badInputs(a)[0]).toBe('unauthenticated')
  })

  it('takes a wildcard for one label', async () => {
    const wild = ours.issue({ hosts: ['*.nodes.example', LOCAL] })
    const a = await secured(wild, { advertise: { host: 'a.nodes.example', port: 0 } })
    const b = await secured(wild, { advertise: { host: 'deep.b.nodes.example', port: 0 } })
    const target = await secured(good)
    const at = { host: LOCAL, port: target.address.port }
    a.transport.connect(at)
    await harness.waitFor(() => isLinked(a, target.uid), 'the link')
    b.transport.connect(at)
    await harness.waitFor(() => eventsOf(b, 'refused').length > 0, 'the refusal')
    expect(eventsOf(b, 'refused')[0]).toMatchObject({ reason: 'unauthenticated', by: target.uid })
  })
})

describe('TLS with a node that cannot prove who it is', () => {
  it.each([
    ['another authority', showing(stranger)],
    ['a certificate that has expired', expired],
    ['a certificate for another host', elsewhere],
  ])('as the dialler, with %s: is refused, and both sides say why', async (_, shown) => {
    const b = await secured(good)
    const a = await secured(shown)
    a.transport.connect(b.address, b.uid)
    await harness.waitFor(() => eventsOf(a, 'refused').length > 0, 'the refusal')
    expect(eventsOf(a, 'refused')[0]).toEqual({
      type: 'refused',
      address: b.address,
      by: b.uid,
      reason: 'unauthenticated',
    })
    expect(eventsOf(a, 'gated')[0]).toMatchObject({ reason: 'handshake' })
    expect(badInputs(b)[0]).toBe('unauthenticated')
    expect(eventsOf(b, 'badInput')[0]!.remote).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(counter(b, 'badInput.unauthenticated')).toBeGreaterThan(0)
    await harness.waitFor(() => eventsOf(a, 'refused').length > 1, 'another try')
    expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
  })

  it.each([
    ['another authority', showing(stranger)],
    ['a certificate that has expired', expired],
    ['a certificate for another host', elsewhere],
  ])('as the acceptor, with %s: is not told anything', async (_, shown) => {
    const b = await secured(shown)
    const a = await secured(good)
    a.transport.connect(b.address, b.uid)
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(eventsOf(a, 'gated')[0]).toMatchObject({ address: b.address, reason: 'handshake' })
    expect(eventsOf(a, 'badInput')[0]).toEqual({
      type: 'badInput',
      remote: `${b.address.host}:${b.address.port}`,
      reason: 'unauthenticated',
    })
    expect(counter(a, 'framesOut')).toBe(0)
    expect(eventsOf(b, 'linkUp')).toEqual([])
  })

  it('as the acceptor, though the environment says that anybody will do', async () => {
    const was = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    try {
      const [a, b] = [await secured(good), await secured(showing(stranger))]
      a.transport.connect(b.address, b.uid)
      await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
      b.transport.connect(a.address, a.uid)
      await harness.waitFor(() => eventsOf(b, 'refused').length > 0, 'the refusal')
      expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
    } finally {
      if (was === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = was
    }
  })

  it('as the acceptor, that is who was dialled but not whom it advertises', async () => {
    const b = await secured(good, { advertise: { host: 'elsewhere.example', port: 0 } })
    const a = await secured(good)
    a.transport.connect({ host: LOCAL, port: b.address.port })
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(badInputs(a)[0]).toBe('unauthenticated')
    expect(eventsOf(a, 'gated')[0]!.reason).toBe('handshake')
    expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
  })

  it('for a lane: the link stays', async () => {
    const [a, b] = await linked()
    b.transport.setTls!(expired)
    a.transport.openLane(b.uid, 'ordinary', 1)
    await harness.waitFor(() => eventsOf(a, 'laneFailed').length === 1, 'the failure')
    expect(eventsOf(a, 'laneFailed')[0]).toMatchObject({ uid: b.uid, dial: 1, reason: 'handshake' })
    expect(badInputs(a)).toEqual(['unauthenticated'])
    await expectUndisturbed(harness, a, b)
  })

  it('without a certificate is refused in words, before anything that it says is read', async () => {
    const [a, b] = await linked()
    const received = await strangeClient(a.address, {})
    const refusal = decodeFrame(new Uint8Array(received.subarray(4)))
    expect(refusal.kind).toBe(FrameKind.refusal)
    expect(decodeRefusal(refusal.body)!.reason).toBe(RefusalReason.unauthenticated)
    expect(badInputs(a)).toEqual(['unauthenticated'])
    await expectUndisturbed(harness, a, b)
  })

  it('without a certificate is not let near the parser', async () => {
    const a = await secured(good)
    await strangeClient(a.address, {}, Buffer.alloc(10_000, 0xff))
    expect(badInputs(a)).toEqual(['unauthenticated'])
    expect([counter(a, 'framesIn'), counter(a, 'badInput.frameTooLarge')]).toEqual([0, 0])
  })
})

describe('TLS with somebody who does not speak it', () => {
  it.each([
    ['a plain HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['garbage', Buffer.alloc(300, 0xa7)],
    ['a hello without TLS', Buffer.from([76, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0, ...new Uint8Array(68)])],
    ['a record that is no client hello', Buffer.from([0x16, 3, 1, 0, 4, 9, 0, 0, 0])],
    ['an alert', Buffer.from([0x15, 3, 3, 0, 2, 2, 40])],
  ])('%s is counted as badMagic and closed', async (_, bytes) => {
    const [a, b] = await linked()
    const socket = plainTo(a.address)
    socket.write(bytes)
    await harness.waitFor(() => socket.isOver, 'the connection to be closed')
    await harness.waitFor(() => badInputs(a).length === 1, 'the news')
    expect(eventsOf(a, 'badInput')[0]).toEqual({
      type: 'badInput',
      remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      reason: 'badMagic',
    })
    await expectUndisturbed(harness, a, b)
  })

  it('a client of TLS 1.2 is refused, whatever certificate it has', async () => {
    const [a, b] = await linked()
    await strangeClient(a.address, { cert: good.cert, key: good.key, maxVersion: 'TLSv1.2' })
    await harness.waitFor(() => badInputs(a).length === 1, 'the news')
    expect(badInputs(a)).toEqual(['badMagic'])
    await expectUndisturbed(harness, a, b)
  })

  it('a server of TLS 1.2 is no peer', async () => {
    const server = tls.createServer({ ...good, maxVersion: 'TLSv1.2', requestCert: true })
    server.on('tlsClientError', () => {})
    played.push({ destroy: () => server.close() })
    await new Promise<void>((resolve) => server.listen(0, LOCAL, resolve))
    const a = await secured(good)
    a.transport.connect({ host: LOCAL, port: (server.address() as { port: number }).port })
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(eventsOf(a, 'gated')[0]!.reason).toBe('handshake')
    expect(badInputs(a)[0]).toBe('badMagic')
  })

  it('a node without TLS is counted by the one that has it, whoever dials', async () => {
    const [plain, sure] = [await startNode(harness, open), await secured(good)]
    plain.transport.connect(sure.address)
    await harness.waitFor(() => badInputs(sure).length > 0, 'the news')
    expect(badInputs(sure)[0]).toBe('badMagic')
    await harness.waitFor(() => eventsOf(plain, 'gated').length > 0, 'the failure')
    expect(eventsOf(plain, 'gated')[0]!.reason).toBe('handshake')
    plain.transport.disconnect(sure.address)
    sure.transport.connect(plain.address)
    await harness.waitFor(() => badInputs(plain).length > 0, 'the news there')
    expect(badInputs(plain)[0]).toBe('frameTooLarge')
    await harness.waitFor(() => eventsOf(sure, 'gated').length > 0, 'the failure there')
    expect(eventsOf(sure, 'gated')[0]!.reason).toBe('handshake')
  })

  it('a server that talks first is no peer', async () => {
    const listener = await harness.listenRaw()
    const a = await secured(good)
    a.transport.connect(listener.address)
    await harness.waitFor(() => listener.streams.length > 0, 'the dial')
    listener.streams[0]!.write(Buffer.from('220 mail.example ESMTP\r\n'))
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(eventsOf(a, 'gated')[0]!.reason).toBe('handshake')
    expect(badInputs(a)[0]).toBe('badMagic')
  })
})

describe('TLS that does not come to an end', () => {
  it('is closed in time, whether nothing came or half a client hello', async () => {
    const [a, b] = await linked()
    const silent = plainTo(a.address)
    const half = plainTo(a.address)
    half.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]))
    await harness.waitFor(() => silent.isOver && half.isOver, 'both to be closed')
    expect(badInputs(a)).toEqual(['handshakeTimeout', 'handshakeTimeout'])
    await expectUndisturbed(harness, a, b)
  })

  it('counts against the pending handshakes, and costs none once there are too many', async () => {
    const [a, b] = await linked()
    const pending = Array.from({ length: TRANSPORT_LIMITS.pendingHandshakesMax }, () => plainTo(a.address))
    for (const socket of pending) socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1]))
    await harness.waitFor(() => counter(a, 'accepts') >= pending.length, 'all of them')
    const excess = plainTo(a.address)
    await harness.waitFor(() => excess.isOver, 'the excess to be closed')
    expect(badInputs(a)).toEqual(['tooManyConnections'])
    for (const socket of pending) socket.destroy()
    // Somebody who hangs up gives room, and is nobody's fault.
    const dials = () => eventsOf(b, 'laneOpened').length + eventsOf(b, 'laneFailed').length
    for (let dial = 1; dial <= 50 && eventsOf(b, 'laneOpened').length === 0; dial += 1) {
      b.transport.openLane(a.uid, 'ordinary', dial)
      await harness.waitFor(() => dials() === dial, 'the outcome')
    }
    expect(eventsOf(b, 'laneOpened')).toHaveLength(1)
    expect(new Set(badInputs(a))).toEqual(new Set(['tooManyConnections']))
  })

  it('because the peer has hung up is not counted, and leaves nothing behind', async () => {
    const a = await secured(good)
    const round = async () => {
      const sockets = [plainTo(a.address), plainTo(a.address), plainTo(a.address)] as const
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      sockets[1].write(Buffer.from([0x16, 3, 1, 2, 0, 1]))
      sockets[0].end()
      sockets[1].end()
      sockets[2].resetAndDestroy()
      await harness.waitFor(() => sockets.every((socket) => socket.isOver), 'all to be closed')
    }
    await round()
    await harness.advance(50)
    const before = harness.openDescriptors()!
    for (let index = 0; index < 5; index += 1) await round()
    await harness.waitFor(() => harness.openDescriptors()! <= before, `no more than ${before} descriptors`)
    expect(badInputs(a)).toEqual([])
  })

  it('is forgotten with its connection', async () => {
    const ends = new TlsEnds(good)
    const remembered = () => (Reflect.get(ends, 'handshakes') as Map<string, unknown>).size
    const accepted: Socket[] = []
    const outcomes: string[] = []
    const server = createServer((socket) => {
      accepted.push(socket)
      socket.on('error', () => {})
      ends.accept(socket, {
        onSecure: (secure) => {
          outcomes.push('secure')
          played.push(secure)
        },
        onFault: (fault) => outcomes.push(fault),
      })
    })
    played.push({ destroy: () => server.close() })
    await new Promise<void>((resolve) => server.listen(0, LOCAL, resolve))
    const address = { host: LOCAL, port: (server.address() as { port: number }).port }
    const [gone, strange] = [plainTo(address), plainTo(address)]
    await harness.waitFor(() => accepted.length === 2, 'both')
    expect(remembered()).toBe(2)
    gone.destroy()
    strange.write('what?')
    await harness.waitFor(() => remembered() === 0, 'nothing to be remembered')
    expect(outcomes).toEqual(['badMagic'])
    const client = tls.connect({ ...address, ca: ours.pem, servername: '' })
    played.push(client)
    await harness.waitFor(() => outcomes.length === 2, 'the client')
    expect([remembered(), outcomes[1]]).toEqual([0, 'secure'])
  })

  it('is given up by a dialler in its own time', async () => {
    const listener = await harness.listenRaw()
    const a = await secured(good, { dial: { connectTimeoutMs: 200 } })
    a.transport.connect(listener.address)
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(eventsOf(a, 'gated')[0]!.reason).toBe('timeout')
    expect(badInputs(a)).toEqual([])
  })

  it('because the acceptor has hung up is a failed handshake', async () => {
    const listener = await harness.listenRaw()
    const a = await secured(good)
    a.transport.connect(listener.address)
    await harness.waitFor(() => listener.streams.length > 0, 'the dial')
    listener.streams[0]!.end()
    await harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
    expect(eventsOf(a, 'gated')[0]!.reason).toBe('handshake')
    expect(badInputs(a)).toEqual([])
  })

  it('ends with the transport', async () => {
    const a = await secured(good)
    const silent = plainTo(a.address)
    await harness.waitFor(() => counter(a, 'accepts') === 1, 'the connection')
    await a.transport.close()
    await harness.waitFor(() => silent.isOver, 'its end')
  })
})

describe('new certificates', () => {
  it('are shown and asked for on new connections; those that stand stay', async () => {
    const [a, b] = await linked()
    const next = theirs.issue({ hosts: [LOCAL] })
    a.transport.setTls!(next)
    const c = await secured(next)
    a.transport.connect(c.address, c.uid)
    await harness.waitFor(() => isLinked(a, c.uid), 'a link by the new ones, dialled')
    const d = await secured(next)
    d.transport.connect(a.address, a.uid)
    await harness.waitFor(() => isLinked(a, d.uid), 'a link by the new ones, accepted')
    b.transport.openLane(a.uid, 'ordinary', 1)
    await harness.waitFor(() => eventsOf(b, 'laneFailed').length === 1, 'a dial by the old ones to fail')
    await expectUndisturbed(harness, a, b)
    b.transport.setTls!(next)
    await openLane(harness, b, a, 'ordinary', 2)
  })

  it.each([
    ['no certificate', { ...good, cert: 'nothing' }],
    ['an empty certificate', { ...good, cert: '' }],
    ['a key of another certificate', { ...good, key: stranger.key }],
    ['a broken key', { ...good, key: good.key.replace(/\n[A-Za-z0-9+/]/, '\n!') }],
    ['no authority', { ...good, ca: '' }],
    ['a text without authorities', { ...good, ca: 'authorities: none' }],
    ['a broken authority', { ...good, ca: `${ours.pem}${ours.pem.replace(/\nMII/, '\nAAA')}` }],
    ['a certificate that is no text', { ...good, cert: 5 as unknown as string }],
    ['nothing', null as unknown as TlsOptions],
  ])('that are wrong (%s) are rejected, at the start and later, and the old ones stay', async (_, wrong) => {
    const invalid = expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' })
    expect(() => createNetTransport({ ...transportOptions(harness, freshUid()), tls: wrong })).toThrow(
      invalid,
    )
    const [a, b] = [await secured(good), await secured(good)]
    expect(() => a.transport.setTls!(wrong)).toThrow(invalid)
    a.transport.connect(b.address, b.uid)
    await harness.waitFor(() => isLinked(a, b.uid), 'a link by the old ones, dialled')
    const c = await secured(good)
    c.transport.connect(a.address, a.uid)
    await harness.waitFor(() => isLinked(a, c.uid), 'a link by the old ones, accepted')
  })

  it('that are wrong are named, and no key is quoted', () => {
    const wrong = { ...good, key: stranger.key }
    const make = () => createNetTransport({ ...transportOptions(harness, freshUid()), tls: wrong })
    expect(make).toThrow(/tls\.cert or tls\.key cannot be used .*Nothing has changed/)
    expect(make).not.toThrow(/BEGIN|PRIVATE/)
  })

  it('of several authorities are trusted each, so that one can be exchanged for another', async () => {
    const both = { ...good, ca: `${ours.pem}\n${theirs.pem}` }
    await linked({ ...stranger, ca: both.ca }, both)
  })

  it('cannot be given to a transport that was made without', async () => {
    const node = await startNode(harness, open)
    expect(() => node.transport.setTls!(good)).toThrow(
      expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' }),
    )
  })
})
