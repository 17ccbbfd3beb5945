/** The pool of lanes: when they are opened, kept, closed and given up. */
import { describe, expect, it } from 'vitest'
import { DATA_LIMITS } from '../../../src/transport/limits.js'
import { DATA_OVERHEAD_BYTES, encodeAck, Lane } from '../../../src/wire/data-frame.js'
import { LaneWorld } from './lane-world.js'
import { addPlane, socketOf } from './plane-world.js'

const BODY = Uint8Array.of(1, 2, 3)

function pair(options: Parameters<typeof addPlane>[2] = {}) {
  const world = new LaneWorld()
  const a = addPlane(world, 0, options)
  const b = addPlane(world, 1, options)
  return { world, a, b }
}

describe('a peer that is not linked yet', () => {
  it('is waited for from the time of the first message on, however long nothing has happened', async () => {
    const { world, a, b } = pair()
    world.cut(a.node, b.node)
    await world.pass(100_000)
    a.send(b, 1, BODY)
    await world.pass(9_900)
    expect(a.ends).toEqual([])
    await world.pass(200)
    expect(a.ends).toEqual(['unreachable'])
    expect(a.letters).toMatchObject([{ correlation: 1, bytes: 3, sent: false, reason: 'unreachable' }])
  })

  it('gets what waited when it answers in time', async () => {
    const { world, a, b } = pair()
    world.cut(a.node, b.node)
    a.send(b, 1, BODY)
    a.send(b, 2, BODY, 'large')
    await world.pass(9_000)
    world.heal(a.node, b.node)
    await world.pass(1_000)
    expect(b.correlations.sort()).toEqual([1, 2])
    await world.pass(60_000)
    expect(a.letters).toEqual([])
  })

  it('known by its address only is named when it answers', async () => {
    const { world, a, b } = pair()
    const association = a.plane.ensureAt(b.node.address)
    a.sendOn(association, 1, BODY)
    await world.pass(100)
    expect(association.uid).toBe(b.node.uid)
    expect(a.plane.get(b.node.uid)).toBe(association)
    expect(b.correlations).toEqual([1])
  })

  it('known by its address first and by its uid then is one peer', async () => {
    const { world, a, b } = pair()
    a.sendOn(a.plane.ensureAt(b.node.address), 1, BODY)
    a.send(b, 2, BODY)
    await world.pass(20_000)
    expect(b.correlations).toEqual([1, 2])
    expect(a.letters).toEqual([])
  })
})

describe('a batch of frames', () => {
  it('that ends in a fault still lets out what its good frames have queued', async () => {
    const { world, a, b } = pair()
    const c = addPlane(world, 2)
    b.send(c, 1, BODY)
    a.send(b, 1, BODY)
    await world.pass(200)
    b.onReceived = ({ correlation }) => correlation === 2 && b.send(c, 2, BODY)
    const socket = socketOf(world, a)
    // One whole frame, and behind it in the same batch one that is none.
    const good = socket.peer
    good.pieces = (count) => count
    socket.pieces = (count) => count
    a.send(b, 2, BODY)
    await world.pass(0)
    socket.inject(Uint8Array.of(255, 255, 255, 255))
    await world.pass(0.2)
    expect(b.faults).toEqual(['frameTooLarge'])
    await world.pass(10)
    expect(c.correlations).toEqual([1, 2])
    // Time goes on too: what is sent now waits its full time.
    world.cut(b.node, c.node)
    b.send(c, 3, BODY)
    await world.pass(9_000)
    expect(b.ends).toEqual([])
  })

  it('lets out what the layer above queues in answer to room', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    let given = 0
    b.onReceived = (_, association) => b.sendOn(association, 100, BODY)
    b.onRoomOf = (association) => {
      given += 1
      if (given === 1) b.sendOn(association, 101, BODY)
    }
    given = 0
    a.send(b, 2, BODY)
    await world.pass(5)
    expect(a.correlations).toEqual([100, 101])
  })
})

describe('an idle lane', () => {
  it('is closed, and opened again when it is needed', async () => {
    const { world, a, b } = pair({ laneIdleMs: 1000 })
    a.send(b, 1, BODY)
    await world.pass(5_000)
    expect(world.openLanes).toEqual([])
    expect(a.plane.counters.lanesClosedIdle + b.plane.counters.lanesClosedIdle).toBeGreaterThan(0)
    expect(a.node.disconnects).toEqual(['10.0.0.2:7000'])
    a.send(b, 2, BODY)
    await world.pass(100)
    expect(b.correlations).toEqual([1, 2])
    expect(a.letters).toEqual([])
  })

  it('is not one that sends, though nothing comes back but acks', async () => {
    const { world, a, b } = pair({ laneIdleMs: 1000 })
    for (let index = 0; index < 50; index += 1) {
      a.send(b, index, BODY)
      await world.pass(200)
    }
    expect(world.lanes.length).toBe(1)
    expect(b.correlations.length).toBe(50)
  })

  it('is not one that something above holds open', async () => {
    const { world, a, b } = pair({ laneIdleMs: 1000 })
    a.send(b, 1, BODY)
    await world.pass(200)
    a.laneTo(b).held = 1
    b.laneTo(a).held = 1
    await world.pass(10_000)
    expect(world.openLanes.length).toBe(1)
    expect(world.lanes.length).toBe(1)
  })
})

describe('an association', () => {
  it('that something holds open ends when its peer is gone, though nothing was queued', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    a.laneTo(b).held = 1
    world.crash(b.node)
    await world.pass(9_000)
    expect(a.ends).toEqual([])
    await world.pass(2_000)
    expect(a.ends).toEqual(['unreachable'])
  })

  it('that nothing needs outlives the loss of its peer without a word', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    world.crash(b.node)
    await world.pass(60_000)
    expect(a.ends).toEqual([])
    expect(a.letters).toEqual([])
  })

  it('that ended can begin anew from the very call that tells of its end', async () => {
    const { world, a, b } = pair()
    a.sendOn(a.plane.ensureAt(b.node.address), 1, BODY)
    world.cut(a.node, b.node)
    await world.pass(9_999)
    const tell = a.onUnacked.bind(a)
    a.onUnacked = (...told) => {
      tell(...told)
      world.heal(a.node, b.node)
      if (a.letters.length === 1) a.sendOn(a.plane.ensureAt(b.node.address), 2, BODY)
    }
    await world.pass(1_000)
    expect(a.letters.map(({ correlation }) => correlation)).toEqual([1])
    expect(b.correlations).toEqual([2])
  })
})

describe('what may be remembered', () => {
  it('is bounded: one more peer takes the place of the one idle for longest', async () => {
    const { world, a, b } = pair()
    const { associationsMax } = DATA_LIMITS
    a.send(b, 1, BODY)
    await world.pass(200)
    world.cut(a.node, b.node)
    await world.pass(10)
    for (let index = 0; index < associationsMax - 1; index += 1)
      a.plane.ensure(uidOf(index), { host: 'h', port: 1 + index }, 'n')
    expect(a.ends).toEqual([])
    a.plane.ensure(uidOf(associationsMax), { host: 'i', port: 1 }, 'n')
    expect(a.ends).toEqual(['closed'])
    // Never used at all is idle for longer than used a moment ago.
    expect(a.plane.get(b.node.uid)).toBeDefined()
  })
})

function uidOf(index: number): string {
  return (0x1000_0000 + index).toString(16).padStart(16, '0')
}

describe('acks that lie', () => {
  it('about half frames end in nothing worse than wrong letters', async () => {
    const { world, a, b } = pair()
    const lane = a.laneTo(b)
    // With the topic's frame exactly a segment: whoever reads on from the midst of a frame reads beyond it.
    a.send(b, 1, new Uint8Array(DATA_LIMITS.segmentBytes[0]! - 2 * DATA_OVERHEAD_BYTES - 1))
    await world.pass(2)
    expect(lane.outbox.endPosition).toBe(DATA_LIMITS.segmentBytes[0])
    const received = lane.outbox.endPosition - 2
    socketOf(world, b).inject(encodeAck(Lane.ordinary, { received, frames: 1 }))
    await world.pass(1)
    expect(lane.outbox.ackedPosition).toBe(received)
    a.plane.end(a.to(b), 'quarantined')
    expect(a.ends).toEqual(['quarantined'])
  })
})
