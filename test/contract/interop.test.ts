import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nativeAvailable } from '../../src/transport/native/load.js'
import { createNativeTransport } from '../../src/transport/native/native-transport.js'
import { createNetTransport } from '../../src/transport/net/net-transport.js'
import type { Transport, TransportOptions } from '../../src/transport/transport.js'
import { admissionContract } from './admission-contract.js'
import {
  closeNodes,
  counter,
  eventsOf,
  type Harness,
  isLinked,
  type Node,
  type NodeOptions,
  startNode,
} from './harness.js'
import { laneContract } from './lane-contract.js'
import { laneStreamContract } from './lane-stream-contract.js'
import { realHarness } from './real-harness.js'
import { contractParts } from './transport-contract.js'

type Factory = (options: TransportOptions) => Transport

const PAIRS: [string, Factory, Factory][] = [
  ['net dials native', createNetTransport, createNativeTransport],
  ['native dials net', createNativeTransport, createNetTransport],
]

const text = (value: string) => new TextEncoder().encode(value)

/** Nothing that one implementation sends may look bad to the other. */
function expectNoBadInput(...nodes: Node[]): void {
  for (const node of nodes) expect(eventsOf(node, 'badInput')).toEqual([])
}

function interop(makeA: Factory, makeB: Factory): void {
  let harness: Harness
  let open: Node[]
  beforeEach(() => {
    harness = realHarness(makeA, true)
    open = []
  })
  afterEach(async () => {
    await harness.dispose()
    await closeNodes(harness, open)
  })

  const start = (make: Factory, options: NodeOptions = {}) =>
    startNode({ ...harness, createTransport: make }, open, options)

  const linked = async (options: NodeOptions = {}): Promise<[Node, Node]> => {
    const [a, b] = [await start(makeA, options), await start(makeB, options)]
    a.transport.connect(b.address, b.uid)
    await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'both sides to be linked')
    return [a, b]
  }

  it('link, each seeing who the other is', async () => {
    const [a, b] = await linked()
    expect(eventsOf(a, 'linkUp')).toMatchObject([
      { session: 1, peer: { uid: b.uid, nodeId: b.nodeId, address: b.address } },
    ])
    expect(eventsOf(b, 'linkUp')).toMatchObject([
      { session: 1, peer: { uid: a.uid, nodeId: a.nodeId, address: a.address } },
    ])
    expectNoBadInput(a, b)
  })

  it('keep one link when both dial at once', async () => {
    for (let round = 0; round < 10; round += 1) {
      const [a, b] = [await start(makeA), await start(makeB)]
      a.transport.connect(b.address, b.uid)
      b.transport.connect(a.address, a.uid)
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'both sides to be linked')
      await harness.advance(50)
      for (const node of [a, b]) expect(eventsOf(node, 'linkDown')).toEqual([])
      expect(a.transport.send(b.uid, text('a'))).toBe('sent')
      expect(b.transport.send(a.uid, text('b'))).toBe('sent')
      const heard = (node: Node) => eventsOf(node, 'message').length === 1
      await harness.waitFor(() => heard(a) && heard(b), 'messages both ways')
      expectNoBadInput(a, b)
    }
  })

  it('carry messages of any size in order, both ways', async () => {
    const [a, b] = await linked()
    const sizes = [
      0,
      1,
      19,
      65_536,
      1_048_576,
      4 * 1024 * 1024 - 16,
      ...Array.from({ length: 200 }, (_, i) => i),
    ]
    for (const [index, size] of sizes.entries()) {
      expect(a.transport.send(b.uid, new Uint8Array(size).fill(index))).toBe('sent')
      expect(b.transport.send(a.uid, new Uint8Array(size).fill(index + 1))).toBe('sent')
    }
    const all = (node: Node) => eventsOf(node, 'message').length === sizes.length
    await harness.waitFor(() => all(a) && all(b), 'all messages')
    for (const [node, shift] of [
      [b, 0],
      [a, 1],
    ] as const) {
      const wrong = eventsOf(node, 'message').filter((event, index) => {
        const value = (index + shift) & 0xff
        return event.bytes.length !== sizes[index] || !event.bytes.every((byte) => byte === value)
      })
      expect(wrong).toEqual([])
    }
    expectNoBadInput(a, b)
  })

  it('beat to each other and measure round trips', async () => {
    const [a, b] = await linked({ heartbeat: { acceptablePauseMs: 3000 } })
    a.transport.watch(b.uid, b.address)
    b.transport.watch(a.uid, a.address)
    await harness.waitFor(
      () => [a, b].every((node) => counter(node, 'beatsIn') >= 8 && counter(node, 'echoesIn') >= 2),
      'beats and echoes both ways',
    )
    for (const [node, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const status = node.transport.peers().find((peer) => peer.uid === other.uid)!
      expect(status).toMatchObject({ linked: true, watched: true })
      expect(status.rttMs).toBeGreaterThanOrEqual(0)
      expect(status.phi).toBeLessThan(8)
      expect(eventsOf(node, 'suspicion')).toEqual([])
    }
    expectNoBadInput(a, b)
  })

  it('tell each other of quarantine, and refuse what comes after', async () => {
    const [a, b] = await linked()
    a.transport.quarantine(b.uid, 'reliableDeliveryFailed')
    await harness.waitFor(() => eventsOf(b, 'quarantinedBy').length === 1, 'the news')
    expect(eventsOf(b, 'quarantinedBy')[0]).toMatchObject({ uid: a.uid, reason: 'reliableDeliveryFailed' })
    await harness.waitFor(() => eventsOf(b, 'linkDown').length === 1, 'linkDown')
    expect(eventsOf(b, 'linkDown')[0]!.reason).toBe('quarantined')
    b.transport.probe(a.uid, a.address)
    await harness.waitFor(() => eventsOf(b, 'probed').length === 1, 'the probe')
  })

  it('refuse another cluster with the same words', async () => {
    const a = await start(makeA, { cluster: 'blue' })
    const b = await start(makeB, { cluster: 'green' })
    a.transport.connect(b.address, b.uid)
    await harness.waitFor(() => eventsOf(a, 'refused').length > 0, 'the refusal')
    expect(eventsOf(a, 'refused')[0]).toMatchObject({ by: b.uid, reason: 'clusterMismatch' })
  })

  it('say goodbye when they close; a restarted peer is another incarnation, and the old one is gone', async () => {
    const [a, b] = await linked({ heartbeat: { acceptablePauseMs: 8000 } })
    a.transport.watch(b.uid, b.address)
    await harness.waitFor(() => counter(a, 'beatsIn') > 0, 'a beat')
    await b.transport.close()
    await harness.waitFor(() => eventsOf(a, 'linkDown').length === 1, 'linkDown')
    expect(eventsOf(a, 'linkDown')[0]!.reason).toBe('goodbye')
    const reborn = await start(makeB, { listen: b.address })
    await harness.waitFor(() => eventsOf(a, 'suspicion').length > 0, 'gone')
    expect(eventsOf(a, 'suspicion')[0]).toMatchObject({ uid: b.uid, cause: 'gone' })
    a.transport.connect(reborn.address, reborn.uid)
    await harness.waitFor(() => isLinked(a, reborn.uid), 'the link to the new incarnation')
    expectNoBadInput(a, reborn)
  })

  it('withdraw a wish with the same effect', async () => {
    const [a, b] = await linked()
    b.transport.watch(a.uid, a.address)
    await harness.waitFor(() => counter(b, 'beatsIn') > 0, 'a beat')
    a.transport.disconnect(b.address)
    await harness.advance(100)
    expect(isLinked(a, b.uid)).toBe(true)
    b.transport.unwatch(a.uid)
    await harness.waitFor(() => !isLinked(a, b.uid) && !isLinked(b, a.uid), 'the end of the link')
    expect(eventsOf(a, 'linkDown')[0]!.reason).toBe('disconnected')
    expect(eventsOf(b, 'linkDown')[0]!.reason).toBe('goodbye')
  })
}

/** A harness whose nodes are of either kind in turn. */
function alternating(makeA: Factory, makeB: Factory): Harness {
  let made = 0
  return realHarness((options) => {
    made += 1
    return made % 2 === 1 ? makeA(options) : makeB(options)
  }, true)
}

if (nativeAvailable() || process.env['SKEIN_REQUIRE_NATIVE'] === '1') {
  describe.each(PAIRS)('%s', (_, makeA, makeB) => {
    describe('on the control link', () => interop(makeA, makeB))
    describe('on data lanes and with secrets', () => {
      contractParts(() => alternating(makeA, makeB), [laneContract, laneStreamContract, admissionContract])
    })
  })
} else {
  describe('native and net interoperate', () => {
    it.skip('no binary is built: run `npm run build:native`', () => {})
  })
}
