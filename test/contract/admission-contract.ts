/** Admission by secrets between two nodes; of any two adapters that speak to each other. */
import { describe, expect, it } from 'vitest'
import { TRANSPORT_LIMITS } from '../../src/transport/limits.js'
import { FRAME_OVERHEAD_BYTES, FrameKind } from '../../src/wire/frame.js'
import { secretOf } from './fake-admission.js'
import { FakePeer } from './fake-peer.js'
import {
  counter,
  eventsOf,
  expectUndisturbed,
  freshUid,
  isLinked,
  type Node,
  startNode,
  transportOptions,
} from './harness.js'
import { isSame, openLane, pattern } from './lane-probe.js'
import type { ContractContext } from './transport-contract.js'

const { secretsMax, secretBytesMin, secretBytesMax } = TRANSPORT_LIMITS

const named = (names: string) => [...names].map((name) => secretOf(name))

/** Each letter is a secret; both ends of each pair share at least one. */
const SHARED: [string, string][] = [
  ['a', 'a'],
  ['ab', 'a'],
  ['a', 'ab'],
  ['ba', 'a'],
  ['a', 'ba'],
  ['ab', 'ba'],
  ['ab', 'bc'],
  ['bc', 'ab'],
  ['abcd', 'd'],
  ['d', 'abcd'],
  ['abcd', 'wxyd'],
]

const NOT_SHARED: [string, string][] = [
  ['a', 'b'],
  ['ab', 'cd'],
  ['abcd', 'wxyz'],
]

async function pairWith(
  context: ContractContext,
  here: readonly Uint8Array[] | undefined,
  there: readonly Uint8Array[] | undefined,
): Promise<[Node, Node]> {
  const { harness, open } = context
  const a = await startNode(harness, open, here === undefined ? {} : { secrets: here })
  const b = await startNode(harness, open, there === undefined ? {} : { secrets: there })
  a.transport.connect(b.address, b.uid)
  return [a, b]
}

const badInputs = (node: Node) => eventsOf(node, 'badInput').map((event) => event.reason)

export function admissionContract(context: ContractContext): void {
  describe('admission of those who share a secret', () => {
    it.each(SHARED)('%s and %s: a link, and lanes both ways', async (here, there) => {
      const { harness } = context
      const [a, b] = await pairWith(context, named(here), named(there))
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
      const lanes = [await openLane(harness, a, b, 'ordinary'), await openLane(harness, b, a, 'large')]
      for (const [index, [dialler, acceptor]] of lanes.entries()) {
        dialler.attach().send(pattern(1000, index))
        acceptor.attach().send(pattern(2000, index))
        const arrived = () => dialler.receivedBytes === 2000 && acceptor.receivedBytes === 1000
        await harness.waitFor(arrived, 'bytes both ways')
        expect(isSame(dialler.received, pattern(2000, index))).toBe(true)
        expect(isSame(acceptor.received, pattern(1000, index))).toBe(true)
      }
      expect([...badInputs(a), ...badInputs(b)]).toEqual([])
      await expectUndisturbed(harness, a, b)
    })

    it('secrets and names as long as they may be fit a first frame', async () => {
      const { harness, open } = context
      const secrets = [...'abcd'].map((name) => secretOf(name, secretBytesMax))
      const cluster = 'c'.repeat(TRANSPORT_LIMITS.clusterNameBytesMax)
      const listener = await harness.listenRaw()
      const a = await startNode(harness, open, { secrets, cluster })
      const b = await startNode(harness, open, { secrets: secrets.slice(3), cluster })
      a.transport.connect(b.address, b.uid)
      b.transport.connect(a.address, a.uid)
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
      a.transport.connect(listener.address)
      const peer = await FakePeer.meet(harness, listener, 0)
      const { body } = await peer.frame(FrameKind.hello)
      // The names of the nodes and hosts are shorter here than they may be; the ack has all the proofs besides.
      const spare = 4 * TRANSPORT_LIMITS.hostBytesMax
      const proofs = 1 + secretsMax * TRANSPORT_LIMITS.proofBytes
      expect(FRAME_OVERHEAD_BYTES + body.length + spare + proofs).toBeLessThan(
        TRANSPORT_LIMITS.helloFrameBytesMax,
      )
    })

    it('secrets are copied: what becomes of the array given changes nothing', async () => {
      const { harness, open } = context
      const secrets = [secretOf('a')]
      const a = await startNode(harness, open, { secrets })
      secrets[0]!.fill(0)
      secrets.pop()
      const b = await startNode(harness, open, { secrets: named('a') })
      a.transport.connect(b.address, b.uid)
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
    })

    it('beats, quarantine and a new link go as without', async () => {
      const { harness } = context
      const [a, b] = await pairWith(context, named('ab'), named('b'))
      a.transport.watch(b.uid, b.address)
      await harness.waitFor(() => counter(a, 'beatsIn') >= 3, 'beats')
      a.transport.unwatch(b.uid)
      a.transport.disconnect(b.address)
      await harness.waitFor(() => !isLinked(a, b.uid) && !isLinked(b, a.uid), 'the end of the link')
      b.transport.connect(a.address, a.uid)
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the next link')
      a.transport.quarantine(b.uid, 'operator')
      await harness.waitFor(() => eventsOf(b, 'quarantinedBy').length > 0, 'the news')
      expect([...badInputs(a), ...badInputs(b)]).toEqual([])
    })
  })

  strangersContract(context)
  secretsOptionContract(context)
}

function strangersContract(context: ContractContext): void {
  describe('admission of those who share none', () => {
    it.each(NOT_SHARED)(
      '%s and %s: the dialler finds no proof, and there is no link',
      async (here, there) => {
        const { harness } = context
        const [a, b] = await pairWith(context, named(here), named(there))
        await harness.waitFor(() => eventsOf(a, 'gated').length >= 2, 'two dials to fail')
        expect(eventsOf(a, 'gated').every((event) => event.reason === 'handshake')).toBe(true)
        expect(new Set(badInputs(a))).toEqual(new Set(['unauthenticated']))
        expect(counter(a, 'badInput.unauthenticated')).toBe(badInputs(a).length)
        expect([...eventsOf(a, 'refused'), ...eventsOf(b, 'refused')]).toEqual([])
        expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
      },
    )

    it('a dialler without secrets is refused, told so, and tries again', async () => {
      const { harness } = context
      const [a, b] = await pairWith(context, undefined, named('a'))
      await harness.waitFor(() => eventsOf(a, 'gated').length >= 2, 'two dials to fail')
      expect(eventsOf(a, 'refused')[0]).toMatchObject({
        address: b.address,
        by: b.uid,
        reason: 'unauthenticated',
      })
      expect(eventsOf(a, 'gated').every((event) => event.reason === 'handshake')).toBe(true)
      await harness.waitFor(() => badInputs(b).length >= 2, 'the news')
      expect(new Set(badInputs(b))).toEqual(new Set(['unauthenticated']))
      expect(counter(b, 'badInput.unauthenticated')).toBeGreaterThanOrEqual(2)
      expect(badInputs(a)).toEqual([])
      expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
    })

    it('an acceptor without secrets proves nothing to a dialler that has some', async () => {
      const { harness } = context
      const [a, b] = await pairWith(context, named('a'), undefined)
      await harness.waitFor(() => eventsOf(a, 'gated').length >= 2, 'two dials to fail')
      expect(new Set(badInputs(a))).toEqual(new Set(['unauthenticated']))
      expect(eventsOf(a, 'refused')).toEqual([])
      expect(badInputs(b)).toEqual([])
      expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
    })

    it('says nothing of who is there: no identity, no verdict', async () => {
      const { harness, open } = context
      const stranger = await startNode(harness, open, { secrets: named('b') })
      const node = await startNode(harness, open, {
        secrets: named('a'),
        heartbeat: { acceptablePauseMs: 8000 },
      })
      const expected = freshUid()
      node.transport.watch(expected, stranger.address)
      node.transport.probe(expected, stranger.address)
      await harness.waitFor(() => eventsOf(node, 'probed').length === 1, 'the probe')
      expect(eventsOf(node, 'probed')[0]!.outcome).toBe('unknown')
      await harness.waitFor(() => eventsOf(node, 'gated').length >= 2, 'two dials to fail')
      for (const type of ['identityChanged', 'suspicion', 'linkUp'] as const)
        expect(eventsOf(node, type)).toEqual([])
    })

    it('goes on beside a good link, which is undisturbed; the stranger gets no lane either', async () => {
      const { harness, open } = context
      const [a, b] = await pairWith(context, named('a'), named('ab'))
      await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
      const stranger = await startNode(harness, open, { secrets: named('c') })
      stranger.transport.connect(a.address, a.uid)
      a.transport.connect(stranger.address, stranger.uid)
      const failed = (node: Node) => eventsOf(node, 'gated').length >= 2
      await harness.waitFor(() => failed(a) && failed(stranger), 'failures on both sides')
      a.transport.openLane(stranger.uid, 'ordinary', 1)
      await harness.waitFor(() => eventsOf(a, 'laneFailed').length === 1, 'the failure')
      expect(eventsOf(a, 'laneFailed')[0]!.reason).toBe('noLink')
      expect(eventsOf(stranger, 'linkUp')).toEqual([])
      await expectUndisturbed(harness, a, b)
    })
  })
}

function secretsOptionContract(context: ContractContext): void {
  const create = (secrets: readonly Uint8Array[]) =>
    context.harness.createTransport(transportOptions(context.harness, freshUid(), { secrets }))

  describe('the option secrets', () => {
    it.each([
      ['none', () => []],
      ['too many', () => named('abcde')],
      ['one too short', () => [secretOf('a', secretBytesMin - 1)]],
      ['one too long', () => [secretOf('a', secretBytesMax + 1)]],
      ['a second one too short', () => [secretOf('a'), new Uint8Array(0)]],
    ])('refuses %s', (_, secrets) => {
      expect(() => create(secrets())).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' }))
    })

    it('never shows a secret in its error', () => {
      const secret = secretOf('s3cr3t', secretBytesMax + 1)
      let message = ''
      try {
        create([secret])
      } catch (error) {
        message = String(error)
      }
      expect(message).toContain('secret')
      expect(message).not.toContain('s3cr3t')
      expect(message).not.toContain([...secret.slice(0, 4)].join())
    })

    it('takes them at their bounds', async () => {
      const { harness } = context
      const bounds = [secretOf('a', secretBytesMin), secretOf('b', secretBytesMax), ...named('cd')]
      expect(bounds).toHaveLength(secretsMax)
      const transport = create(bounds)
      await harness.settle(transport.close())
    })
  })
}
