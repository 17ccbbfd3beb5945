import { describe, expect, it } from 'vitest'
import { BAD_INPUT_REASONS } from '../../src/transport/control/counters.js'
import { FakePeer } from './fake-peer.js'
import { eventsOf, freshUid, isLinked, linkedPair, startNode, transportOptions } from './harness.js'
import type { ContractContext } from './transport-contract.js'

const COUNTERS = [
  ...[
    'framesIn',
    'framesOut',
    'bytesIn',
    'bytesOut',
    'beatsIn',
    'beatsOut',
    'beatsSkipped',
    'echoesIn',
    'dials',
  ],
  ...['dialsFailed', 'accepts', 'handshakesCompleted', 'linksUp', 'linksDown', 'superseded', 'refusedOut'],
  ...['refusedIn', 'messagesIn', 'messagesOut', 'sendNoLink', 'sendOutboxFull', 'inboxFull', 'selfPauses'],
  ...['lanesOpened', 'laneDialsFailed'],
  ...['selfPausedMs', 'quarantinedFramesDropped', 'wakeups'],
  ...BAD_INPUT_REASONS.map((reason) => `badInput.${reason}`),
]

export function lifecycleContract(context: ContractContext): void {
  describe('life cycle', () => {
    it('port 0 is drawn, and the bound address is what it advertises', async () => {
      const listen = { ...context.harness.listenAddress(), port: 0 }
      const node = await startNode(context.harness, context.open, { listen })
      expect(node.address.host).toBe(listen.host)
      expect(node.address.port).toBeGreaterThan(0)
      const peer = await FakePeer.dial(context.harness, node.address)
      await context.harness.waitFor(() => isLinked(node, peer.uid), 'the link')
    })

    it('advertises what it is told to, its port 0 meaning the port bound', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open, { advertise: { host: 'node-a.example', port: 0 } })
      expect(node.address.host).toBe('node-a.example')
      expect(node.address.port).toBeGreaterThan(0)
    })

    it('says in its hello where it is bound and what it advertises', async () => {
      const { harness, open } = context
      const listener = await harness.listenRaw()
      const node = await startNode(harness, open, { advertise: { host: 'node-a.example', port: 4711 } })
      node.transport.connect(listener.address)
      const peer = await FakePeer.meet(harness, listener, 0)
      const hello = await peer.hello()
      expect(hello.uid).toBe(node.uid)
      expect(hello.nodeId).toBe(node.nodeId)
      expect(hello.cluster).toBe('contract')
      expect(hello.advertised).toEqual({ host: 'node-a.example', port: 4711 })
      expect(hello.bind.port).toBeGreaterThan(0)
      expect(hello.dialed).toEqual(listener.address)
      expect(hello.dial).toBe(1)
    })

    it('an address that is taken rejects with ERR_SKEIN_BIND, and the one that has it is undisturbed', async () => {
      const { harness, open } = context
      const first = await startNode(harness, open)
      const second = harness.createTransport(transportOptions(harness, freshUid(), { listen: first.address }))
      await expect(harness.settle(second.start(() => {}))).rejects.toMatchObject({ code: 'ERR_SKEIN_BIND' })
      await harness.settle(second.close())
      const peer = await FakePeer.dial(harness, first.address)
      await harness.waitFor(() => isLinked(first, peer.uid), 'the link')
    })

    it('close is idempotent, says goodbye, and no event follows it', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const before = a.events.length
      await harness.settle(Promise.all([a.transport.close(), a.transport.close()]))
      await harness.settle(a.transport.close())
      await harness.waitFor(() => eventsOf(b, 'linkDown').length > 0, 'the other side to lose the link')
      expect(eventsOf(b, 'linkDown')[0]).toMatchObject({ uid: a.uid, reason: 'goodbye' })
      await harness.advance(100)
      expect(a.events.length).toBe(before)
      expect(a.transport.send(b.uid, new Uint8Array(1))).toBe('noLink')
    })

    it('close of a transport that was never started resolves', async () => {
      const { harness } = context
      const transport = harness.createTransport(transportOptions(harness, freshUid()))
      await harness.settle(transport.close())
    })

    it('close does not wait for a peer that does not answer', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      await harness.waitFor(() => isLinked(node, peer.uid), 'the link')
      // The fake peer never closes its side: the drain is bounded.
      await harness.settle(node.transport.close())
      expect(node.transport.peers()).toEqual([])
    })

    it('an address can be listened on again after close', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      await harness.settle(b.transport.close())
      const again = await startNode(harness, open, { listen: b.address })
      expect(again.address).toEqual(b.address)
      a.transport.connect(again.address, again.uid)
      await harness.waitFor(() => isLinked(a, again.uid), 'the link to the new incarnation')
    })

    it('leaks no descriptors over 10 rounds of start, link and close', async () => {
      const { harness, open } = context
      const round = async () => {
        const pair = await linkedPair(harness, open)
        await harness.settle(Promise.all(pair.map((node) => node.transport.close())))
      }
      await round()
      const before = harness.openDescriptors() ?? 0
      for (let index = 0; index < 10; index += 1) await round()
      await harness.waitFor(
        () => (harness.openDescriptors() ?? 0) <= before,
        `no more than ${before} descriptors`,
      )
    })

    it('has every counter, as a number', async () => {
      const node = await startNode(context.harness, context.open)
      const counters = node.transport.counters()
      for (const name of COUNTERS) expect(counters[name], name).toBeTypeOf('number')
    })
  })
}
