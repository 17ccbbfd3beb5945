import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createNativeTransport } from '../../src/transport/native/native-transport.js'
import { createNetTransport } from '../../src/transport/net/net-transport.js'
import type { Transport, TransportOptions } from '../../src/transport/transport.js'
import { NATIVE_MISSING } from '../cluster/support.js'
import { counter, eventsOf, isLinked, type Node, startNode } from '../contract/harness.js'
import { realHarness } from '../contract/real-harness.js'
import { waitFor } from './support.js'

type Create = (options: TransportOptions) => Transport
const PAIRS: [string, Create, Create][] = [
  ['native dials net', createNativeTransport, createNetTransport],
  ['net dials native', createNetTransport, createNativeTransport],
]

describe.skipIf(NATIVE_MISSING).each(PAIRS)('%s', (_, createA, createB) => {
  let open: Node[]
  let a: Node
  let b: Node

  beforeEach(async () => {
    open = []
    a = await startNode(realHarness(createA, false), open)
    b = await startNode(realHarness(createB, false), open)
  })
  afterEach(async () => {
    await Promise.all(open.map((node) => node.transport.close()))
  })

  const bothLinked = () => isLinked(a, b.uid) && isLinked(b, a.uid)

  it('link, messages both ways, goodbye', async () => {
    a.transport.connect(b.address, b.uid)
    await waitFor(bothLinked, 'the link')
    expect(eventsOf(a, 'linkUp')[0]!.peer).toEqual({
      uid: b.uid,
      nodeId: b.nodeId,
      address: b.address,
      bind: b.address,
    })
    for (const bytes of [new Uint8Array(0), new Uint8Array(100_000).fill(7), Uint8Array.of(1, 2, 3)]) {
      expect(a.transport.send(b.uid, bytes)).toBe('sent')
      expect(b.transport.send(a.uid, bytes)).toBe('sent')
    }
    await waitFor(
      () => eventsOf(a, 'message').length === 3 && eventsOf(b, 'message').length === 3,
      'messages',
    )
    const lengths = (node: Node) => eventsOf(node, 'message').map((event) => event.bytes.length)
    expect(lengths(a)).toEqual([0, 100_000, 3])
    expect(lengths(b)).toEqual([0, 100_000, 3])
    await a.transport.close()
    await waitFor(() => eventsOf(b, 'linkDown').length === 1, 'linkDown')
    expect(eventsOf(b, 'linkDown')[0]!.reason).toBe('goodbye')
  })

  it('beats and echoes both ways', async () => {
    a.transport.watch(b.uid, b.address)
    b.transport.watch(a.uid, a.address)
    await waitFor(() => [a, b].every((node) => counter(node, 'echoesIn') > 1), 'echoes both ways')
    expect([a, b].map((node) => eventsOf(node, 'suspicion'))).toEqual([[], []])
    expect(a.transport.peers()[0]!.rttMs).toBeGreaterThanOrEqual(0)
  })

  it('both dial at once: one link, never down', async () => {
    a.transport.connect(b.address)
    b.transport.connect(a.address)
    await waitFor(bothLinked, 'the link')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(bothLinked()).toBe(true)
    expect([...eventsOf(a, 'linkDown'), ...eventsOf(b, 'linkDown')]).toEqual([])
    expect([...eventsOf(a, 'badInput'), ...eventsOf(b, 'badInput')]).toEqual([])
  })

  it('quarantine is told across', async () => {
    a.transport.connect(b.address, b.uid)
    await waitFor(bothLinked, 'the link')
    b.transport.quarantine(a.uid, 'removedAfterDown')
    await waitFor(() => eventsOf(a, 'quarantinedBy').length > 0, 'quarantinedBy')
    expect(eventsOf(a, 'quarantinedBy')[0]).toMatchObject({ uid: b.uid, reason: 'removedAfterDown' })
    expect(a.transport.send(b.uid, new Uint8Array(1))).toBe('noLink')
  })

  it('a probe finds the other alive', async () => {
    a.transport.probe(b.uid, b.address)
    await waitFor(() => eventsOf(a, 'probed').length === 1, 'probed')
    expect(eventsOf(a, 'probed')[0]!.outcome).toBe('alive')
  })
})
