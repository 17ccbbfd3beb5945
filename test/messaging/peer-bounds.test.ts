/** What a peer can make this side hold by not keeping to the protocol. */
import { describe, expect, it } from 'vitest'
import { CREDIT_BYTES, DataFlag, DataKind } from '../../src/wire/data-frame.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addPlane } from '../transport/data/plane-world.js'
import { addOffice } from './office-world.js'

const NO_BYTES = new Uint8Array(0)

function raw(options = {}) {
  const world = new LaneWorld()
  const a = addPlane(world, 0)
  const b = addOffice(world, 1, options)
  const outbox = (lane: 'ordinary' | 'large') => b.office.plane.get(a.node.uid)!.laneOf(lane)!.outbox
  /** From now on the peer is sent nothing, and so takes nothing. */
  const mute = () => {
    for (const { sockets } of world.lanes) sockets[1].takes = () => 0
  }
  return { world, a, b, outbox, mute }
}

describe('a peer that takes no answers', () => {
  it('and opens streams and ends them is answered up to a number, and opens no more', async () => {
    const { world, a, b, outbox, mute } = raw({ outboxMessagesMax: 16 })
    let opened = 0
    b.office.topics.handleStream('s', async (incoming) => {
      opened += 1
      for await (const _ of incoming);
    })
    const open = (id: number) => {
      a.frame(b.node, DataKind.streamOpen, DataFlag.fromOpener, 's', id, new Uint8Array(CREDIT_BYTES))
      a.frame(b.node, DataKind.streamReset, DataFlag.fromOpener, undefined, id, Uint8Array.of(5, 0))
    }
    open(1)
    await world.pass(200)
    mute()
    const before = outbox('large').unackedFrames
    for (let id = 2; id < 200; id += 1) open(id)
    await world.pass(20)
    expect(outbox('large').unackedFrames).toBe(16)
    expect(opened).toBe(1 + 16 - before)
    expect(b.office.counters.streamsReset).toBeGreaterThanOrEqual(198 - 16)
  })

  it('and asks for what fails at length is answered up to a number of bytes', async () => {
    const { world, a, b, outbox, mute } = raw({ outboxBytesMax: 10_000 })
    b.office.topics.handle('t', () => {
      throw new Error('x'.repeat(1000))
    })
    a.frame(b.node, DataKind.request, 0, 't', 1, NO_BYTES, 'ordinary')
    await world.pass(200)
    mute()
    for (let id = 2; id < 200; id += 1) a.frame(b.node, DataKind.request, 0, 't', id, NO_BYTES, 'ordinary')
    await world.pass(20)
    expect(outbox('ordinary').unackedBytes).toBeGreaterThanOrEqual(20_000)
    expect(outbox('ordinary').unackedBytes).toBeLessThan(20_000 + 1100)
    expect(b.office.counters.requestsFailedIn).toBe(199)
  })
})

describe('a request whose number is that of one still being handled', () => {
  it('is not handled and not answered; it is counted', async () => {
    const { world, a, b } = raw()
    const answers: (() => void)[] = []
    b.office.topics.handle('t', () => new Promise<void>((resolve) => answers.push(resolve)))
    b.office.topics.handle('at once', () => {})
    const ask = (topic: string) => a.frame(b.node, DataKind.request, 0, topic, 7, NO_BYTES, 'ordinary')
    for (const topic of ['t', 't', 'at once', 'nobody']) ask(topic)
    await world.pass(50)
    expect(answers.length).toBe(1)
    expect(b.office.counters.requestsRepeated).toBe(3)
    expect(a.received).toEqual([])
    answers[0]!()
    await world.pass(50)
    expect(a.received).toMatchObject([{ kind: DataKind.response, correlation: 7 }])
    ask('at once')
    await world.pass(50)
    expect(a.received.length).toBe(2)
    expect(b.office.counters.requestsRepeated).toBe(3)
  })
})
