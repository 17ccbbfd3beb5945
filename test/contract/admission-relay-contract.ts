/** Admission by secrets through somebody in the middle, who changes what the two ends say to each other. */
import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameKind } from '../../src/wire/frame.js'
import { secretOf } from './fake-admission.js'
import { FakePeer } from './fake-peer.js'
import { eventsOf, isLinked, type Node, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

const SECRET = secretOf('right')

export function admissionRelayContract(context: ContractContext): void {
  /** Passes the frames of a handshake on between two nodes, changed; whether they linked. */
  const relayed = async (change: (body: Uint8Array, kind: FrameKind) => void): Promise<[Node, Node]> => {
    const { harness, open } = context
    const [a, b] = [
      await startNode(harness, open, { secrets: [SECRET] }),
      await startNode(harness, open, { secrets: [SECRET] }),
    ]
    const listener = await harness.listenRaw()
    a.transport.connect(listener.address, b.uid)
    const near = await FakePeer.meet(harness, listener, 0)
    const far = await FakePeer.connect(harness, b.address)
    const pass = async (from: FakePeer, to: FakePeer, kind: FrameKind) => {
      const body = (await from.frame(kind)).body.slice()
      change(body, kind)
      to.send(encodeFrame(kind, body))
    }
    await pass(near, far, FrameKind.hello)
    await pass(far, near, FrameKind.helloAck)
    await harness.waitFor(
      () => near.count(FrameKind.ready) > 0 || eventsOf(a, 'gated').length > 0,
      'the dialler to decide',
    )
    if (near.count(FrameKind.ready) > 0) await pass(near, far, FrameKind.ready)
    return [a, b]
  }

  describe('admission through somebody in the middle', () => {
    it('goes through when nothing is changed', async () => {
      const [a, b] = await relayed(() => {})
      await context.harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'the link')
    })

    it.each([
      ['hello', 'dial number', FrameKind.hello, 32],
      ['hello', 'uid', FrameKind.hello, 8],
      ['hello', 'port', FrameKind.hello, 48],
      ['hello', 'reserved field', FrameKind.hello, 24],
      ['hello', 'padding', FrameKind.hello, 55],
      ['ack', 'uid', FrameKind.helloAck, 8],
      ['ack', 'port', FrameKind.helloAck, 48],
      ['ack', 'features', FrameKind.helloAck, 16],
    ] as const)('fails when in the %s the %s is changed', async (_, _field, kind, at) => {
      const [a, b] = await relayed((body, each) => {
        if (each === kind) body[at] = body[at]! ^ 2
      })
      await context.harness.waitFor(() => eventsOf(a, 'gated').length > 0, 'the failure')
      expect([...eventsOf(a, 'linkUp'), ...eventsOf(b, 'linkUp')]).toEqual([])
      expect(eventsOf(a, 'badInput')).toHaveLength(1)
    })
  })
}
