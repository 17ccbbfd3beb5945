import { readdirSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { eventsOf, freshUid, isLinked, startNode } from '../contract/harness.js'
import { type Bench, makeBench, waitFor } from './support.js'

const HAS_IPV6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
)

describe.skipIf(NATIVE_MISSING)('addresses', () => {
  let bench: Bench

  beforeEach(() => {
    bench = makeBench()
  })
  afterEach(() => bench.dispose())

  const listenOn = (host: string, port = 0) =>
    startNode(bench.harness, bench.open, { listen: { host, port } })

  it('several nodes listen on one port of different loopback addresses', async () => {
    const a = await listenOn('127.0.0.2')
    const b = await listenOn('127.0.0.3', a.address.port)
    expect([a, b].map((node) => node.address.host)).toEqual(['127.0.0.2', '127.0.0.3'])
    a.transport.connect(b.address, b.uid)
    await waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
  })

  it.skipIf(!HAS_IPV6)('IPv6 literals', async () => {
    const a = await listenOn('::1')
    const b = await listenOn('::1')
    expect(a.address.host).toBe('::1')
    a.transport.connect(b.address, b.uid)
    await waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
  })

  it('a name is resolved, and every address it has is tried', async () => {
    const a = await listenOn('localhost')
    // A name with an IPv6 address in front of the one that listens.
    const b = await listenOn('127.0.0.1')
    a.transport.connect({ host: 'localhost', port: b.address.port }, b.uid)
    await waitFor(() => isLinked(a, b.uid), 'the link')
    // Linked under the advertised address; the name asked for is content with it.
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(a.transport.counters()['linksUp']).toBe(1)
    expect(eventsOf(a, 'gated')).toEqual([])
  })

  it('a name that does not exist is unreachable', async () => {
    const a = await listenOn('127.0.0.1')
    a.transport.connect({ host: 'no-such-host.invalid', port: 7000 })
    await waitFor(() => eventsOf(a, 'gated').length > 0, 'gated')
    expect(['unreachable', 'timeout']).toContain(eventsOf(a, 'gated')[0]!.reason)
  })

  it('what is no address is refused and counted, not thrown', async () => {
    const a = await listenOn('127.0.0.1')
    a.transport.connect({ host: '', port: 7000 })
    a.transport.watch(freshUid(), { host: 'x'.repeat(256), port: 7000 })
    await waitFor(() => a.transport.counters()['wantedRefused'] === 2, 'both to be counted')
  })

  it('one node with four links takes at most 16 descriptors', async () => {
    const before = readdirSync('/proc/self/fd').length
    const nodes = []
    for (let index = 0; index < 5; index += 1) nodes.push(await listenOn('127.0.0.1'))
    const [hub, ...others] = nodes
    for (const other of others) hub!.transport.watch(other.uid, other.address)
    await waitFor(() => others.every((other) => isLinked(hub!, other.uid)), 'four links')
    // The four others live in this process too: their listeners and their ends of the links do not count.
    const taken = readdirSync('/proc/self/fd').length - before - 2 * others.length
    expect(taken).toBeLessThanOrEqual(16)
  })
})
