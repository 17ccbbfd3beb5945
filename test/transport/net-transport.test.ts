import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { createNetTransport } from '../../src/transport/net/net-transport.js'
import {
  counter,
  eventsOf,
  freshUid,
  isLinked,
  linkedPair,
  type Node,
  type NodeOptions,
  startNode,
  transportOptions,
} from '../contract/harness.js'
import { isSame, LaneProbe, pattern } from '../contract/lane-probe.js'
import { realHarness } from '../contract/real-harness.js'

const harness = realHarness(createNetTransport, false)
const open: Node[] = []

afterEach(async () => {
  await harness.dispose()
  await Promise.all(open.splice(0).map((node) => node.transport.close()))
})

/** Blocks this thread, and with it every transport on its loop. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

const hasIpv6Loopback = Object.values(networkInterfaces()).some((all) =>
  all?.some((each) => each.address === '::1'),
)

describe('net transport', () => {
  it('takes a blocked loop for a pause of its own, and suspects nobody', async () => {
    const heartbeat = { acceptablePauseMs: 1000 }
    const [a, b] = await linkedPair(harness, open, { heartbeat })
    a.transport.watch(b.uid, b.address)
    b.transport.watch(a.uid, a.address)
    await harness.waitFor(() => counter(a, 'beatsIn') >= 3 && counter(b, 'beatsIn') >= 3, 'beats')
    // More than twice the silence that raises suspicion at these settings.
    block(2600)
    await harness.waitFor(
      () => eventsOf(a, 'paused').length > 0 && eventsOf(b, 'paused').length > 0,
      'the pauses',
    )
    const beats = counter(a, 'beatsIn')
    await harness.waitFor(() => counter(a, 'beatsIn') >= beats + 3, 'more beats')
    expect(eventsOf(a, 'paused')[0]!.gapMs).toBeGreaterThan(2400)
    expect(counter(a, 'selfPauses')).toBeGreaterThanOrEqual(1)
    expect([...eventsOf(a, 'suspicion'), ...eventsOf(b, 'suspicion')]).toEqual([])
    expect([...eventsOf(a, 'linkDown'), ...eventsOf(b, 'linkDown')]).toEqual([])
  })

  it('reports a loop age of 0: a loop that does not turn sends no beat', async () => {
    const [a, b] = await linkedPair(harness, open)
    a.transport.watch(b.uid, b.address)
    await harness.waitFor(() => counter(a, 'beatsIn') >= 2, 'beats')
    expect(a.transport.peers()[0]!.loopAgeMs).toBe(0)
    expect(a.transport.reportsStalls).toBe(false)
  })

  it.skipIf(!hasIpv6Loopback)('listens on an IPv6 address', async () => {
    const node = await startNode(harness, open, { listen: { host: '::1', port: 0 } })
    expect(node.address.host).toBe('::1')
    expect(node.address.port).toBeGreaterThan(0)
  })

  it('leaves no socket, server or timer behind after close', async () => {
    const resources = () =>
      process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP') || name === 'Immediate')
    const before = resources().length
    const [a, b] = await linkedPair(harness, open)
    a.transport.watch(b.uid, b.address)
    expect(resources().length).toBeGreaterThan(before)
    await Promise.all([a.transport.close(), b.transport.close()])
    await harness.waitFor(() => resources().length <= before, 'its resources to be gone')
  })

  it('does nothing once it is closed, and cannot be started again', async () => {
    const [a, b] = await linkedPair(harness, open)
    await a.transport.close()
    a.transport.connect(b.address)
    a.transport.watch(b.uid, b.address)
    expect(a.transport.send(b.uid, new Uint8Array(1))).toBe('noLink')
    await harness.advance(100)
    expect(isLinked(b, a.uid)).toBe(false)
    const closed = createNetTransport(transportOptions(harness, freshUid()))
    await closed.close()
    await expect(closed.start(() => {})).rejects.toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
  })

  it('writes on a lane behind what the handshake has still to say', async () => {
    const probes: LaneProbe[] = []
    const onBatch: NonNullable<NodeOptions['onBatch']> = (batch) => {
      for (const event of batch) {
        if (event.type !== 'laneOpened') continue
        const probe = new LaneProbe(event.socket).attach()
        probes.push(probe)
        // In the turn in which the handshake became complete: `ready` may not have left yet.
        probe.send(pattern(1000))
      }
    }
    const [a, b] = await linkedPair(harness, open, { onBatch })
    a.transport.openLane(b.uid, 'ordinary', 1)
    await harness.waitFor(() => probes.filter((probe) => probe.receivedBytes === 1000).length === 2, 'bytes')
    expect(probes.every((probe) => isSame(probe.received, pattern(1000)))).toBe(true)
    expect([...eventsOf(a, 'badInput'), ...eventsOf(b, 'badInput')]).toEqual([])
    for (const probe of probes) probe.destroy()
  })

  it.each([
    { host: '', port: 7000 },
    { host: '127.0.0.1', port: 0 },
    { host: '127.0.0.1', port: 70_000 },
  ])('an address that cannot be dialled ($host, $port) is unreachable, not an exception', async (address) => {
    const node = await startNode(harness, open)
    node.transport.connect(address)
    await harness.waitFor(() => eventsOf(node, 'gated').length > 0, 'the failure')
    expect(eventsOf(node, 'gated')[0]).toMatchObject({ address, reason: 'unreachable' })
  })

  it('dials what was wanted before it was started', async () => {
    const b = await startNode(harness, open)
    const uid = freshUid()
    const transport = createNetTransport(transportOptions(harness, uid))
    transport.connect(b.address, b.uid)
    await transport.start(() => {})
    await harness.waitFor(() => isLinked(b, uid), 'the link')
    await transport.close()
  })
})
