import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NativeHandle } from '../../src/transport/native/addon.js'
import { createNativeTransport } from '../../src/transport/native/native-transport.js'
import type { Transport, TransportEvent } from '../../src/transport/transport.js'
import { NATIVE_MISSING } from '../cluster/support.js'
import { eventsOf, freshUid, isLinked, linkedPair, startNode, transportOptions } from '../contract/harness.js'
import { type Bench, makeBench, waitFor } from './support.js'

describe.skipIf(NATIVE_MISSING)('the native adapter', () => {
  let bench: Bench
  let extra: Transport[]

  beforeEach(() => {
    bench = makeBench()
    extra = []
  })
  afterEach(async () => {
    await Promise.all(extra.map((transport) => transport.close()))
    await bench.dispose()
  })

  function make(options: Parameters<typeof transportOptions>[2] = {}, uid = freshUid()): Transport {
    const transport = createNativeTransport(transportOptions(bench.harness, uid, options))
    extra.push(transport)
    return transport
  }

  it('does what was asked of it before it was started', async () => {
    const peer = await startNode(bench.harness, bench.open)
    for (const host of ['127.0.0.1', 'localhost']) {
      const uid = freshUid()
      const early = make({ listen: { host, port: 0 } }, uid)
      early.connect(peer.address, peer.uid)
      await early.start(() => {})
      await waitFor(() => isLinked(peer, uid), `the link from ${host}`)
    }
  })

  it('rejects what no hello can carry, secrets out of bounds, and TLS', () => {
    const options = transportOptions(bench.harness, freshUid())
    const cases = [
      { ...options, identity: { ...options.identity, uid: 'xyz' } },
      { ...options, identity: { ...options.identity, cluster: 'é'.repeat(128) } },
      { ...options, identity: { ...options.identity, nodeId: 'n'.repeat(256) } },
      { ...options, listen: { host: 'h'.repeat(256), port: 0 } },
      { ...options, advertise: { host: 'h'.repeat(256), port: 0 } },
      { ...options, secrets: [] },
      { ...options, secrets: [new Uint8Array(15)] },
      { ...options, tls: { cert: '', key: '', ca: '' } },
    ]
    for (const wrong of cases) {
      expect(() => createNativeTransport(wrong)).toThrow(
        expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' }),
      )
    }
  })

  it('refuses a lane that there is none of', async () => {
    const transport = make()
    for (const lane of ['control', undefined])
      expect(() => transport.openLane(freshUid(), lane as never, 1)).toThrow(
        expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' }),
      )
  })

  it('gives out what comes with and after an event that it cannot read, which it tells of once', async () => {
    const uid = freshUid()
    const transport = make({}, uid)
    const seen: TransportEvent[] = []
    await transport.start((batch) => seen.push(...batch))
    const { native } = transport as unknown as { native: NativeHandle }
    // Of a lane that no adapter names.
    native.openLane(freshUid(), 9, 1)
    transport.openLane(freshUid(), 'large', 2)
    // Asks the control thread, and waits for the answer: both events are in the ring.
    transport.peers()
    expect(() => transport.drain()).toThrow(/code 9/)
    expect(seen).toMatchObject([{ type: 'laneFailed', lane: 'large', dial: 2 }])
    expect(() => transport.drain()).not.toThrow()
    await transport.close()
  })

  it('a host that does not resolve or is not ours rejects with ERR_SKEIN_BIND', async () => {
    for (const host of ['no-such-host.invalid', '192.0.2.1']) {
      const transport = make({ listen: { host, port: 0 } })
      await expect(transport.start(() => {})).rejects.toMatchObject({
        code: 'ERR_SKEIN_BIND',
        message: expect.stringContaining(host),
      })
    }
  })

  it('close while the start is pending ends both', async () => {
    const transport = make({ listen: { host: 'localhost', port: 0 } })
    const started = transport.start(() => {})
    await Promise.all([started, transport.close()])
    expect(() => transport.connect({ host: '127.0.0.1', port: 1 })).not.toThrow()
    await expect(transport.start(() => {})).rejects.toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
  })

  it('drain inside the sink neither nests nor loses anything', async () => {
    const sender = await startNode(bench.harness, bench.open)
    const uid = freshUid()
    const receiver = make({}, uid)
    const seen: TransportEvent[] = []
    let depth = 0
    let deepest = 0
    const address = await receiver.start((batch) => {
      depth += 1
      deepest = Math.max(deepest, depth)
      receiver.drain()
      seen.push(...batch)
      depth -= 1
    })
    sender.transport.connect(address, uid)
    await waitFor(() => isLinked(sender, uid), 'the link')
    for (let index = 0; index < 500; index += 1) sender.transport.send(uid, Uint8Array.of(index & 0xff))
    const messages = () => seen.filter((event) => event.type === 'message')
    await waitFor(() => messages().length === 500, 'all messages')
    expect(messages().map((event) => event.bytes[0])).toEqual(
      Array.from({ length: 500 }, (_, index) => index & 0xff),
    )
    expect(deepest).toBe(1)
  })

  it('delivers no message of an incarnation after it was quarantined, not even what lay in the ring', async () => {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    for (let index = 0; index < 200; index += 1) b.transport.send(a.uid, new Uint8Array(500))
    // This loop does not turn, so they pile up in the ring meanwhile.
    for (let tries = 0; a.transport.counters()['messagesIn']! < 200 && tries < 10_000_000; tries += 1);
    a.transport.quarantine(b.uid, 'operator')
    await waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown')
    expect(eventsOf(a, 'message')).toEqual([])
    expect(a.transport.counters()['quarantinedFramesDropped']).toBeGreaterThanOrEqual(200)
  })
})
