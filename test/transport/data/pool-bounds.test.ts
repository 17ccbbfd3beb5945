/** What the pool of lanes may hold at most, and how it closes. */
import { describe, expect, it } from 'vitest'
import { DATA_LIMITS } from '../../../src/transport/limits.js'
import { LaneWorld } from './lane-world.js'
import { addPlane, type PlaneNode, socketOf } from './plane-world.js'

const BODY = Uint8Array.of(1, 2, 3)

function pair(options: Parameters<typeof addPlane>[2] = {}) {
  const world = new LaneWorld()
  return { world, a: addPlane(world, 0, options), b: addPlane(world, 1, options) }
}

/** Makes associations with peers that do not exist, from an index up to another; with something queued for them or not. */
function remember(node: PlaneNode, from: number, to: number, isBusy: boolean): void {
  for (let index = from; index < to; index += 1) {
    const uid = (0x1000_0000 + index).toString(16).padStart(16, '0')
    const association = node.plane.ensure(uid, { host: 'h', port: 1 + index }, 'n')
    if (isBusy) node.sendOn(association, index, BODY)
  }
}

describe('open lanes beyond their bound', () => {
  it('cost the one that was idle for longest', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0, { lanesMax: 3 })
    const peers = [1, 2, 3, 4].map((index) => addPlane(world, index))
    for (const peer of peers.slice(0, 3)) {
      a.send(peer, 1, BODY)
      await world.pass(200)
    }
    a.send(peers[0]!, 2, BODY)
    await world.pass(200)
    a.send(peers[3]!, 1, BODY)
    await world.pass(200)
    expect(peers.map((peer) => a.to(peer).hasSocket)).toEqual([true, false, true, true])
    expect(a.plane.counters.lanesClosedIdle).toBe(1)
    // It is opened again when it is needed, and another one goes.
    a.send(peers[1]!, 2, BODY)
    await world.pass(200)
    expect(peers.map(({ correlations }) => correlations)).toEqual([[1, 2], [1, 2], [1], [1]])
    expect(peers.filter((peer) => a.to(peer).hasSocket).length).toBe(3)
  })

  it('cost none that has something under way', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0, { lanesMax: 1 })
    const [b, c] = [addPlane(world, 1), addPlane(world, 2)]
    a.send(b, 1, BODY)
    await world.pass(200)
    for (const { sockets } of world.lanes) sockets[0].takes = () => 0
    a.send(b, 2, BODY)
    a.send(c, 3, BODY)
    await world.pass(2)
    expect(a.to(b).hasSocket).toBe(true)
    expect(a.laneTo(b).outbox.unackedBytes).toBeGreaterThan(0)
  })
})

describe('an idle lane that is closed while the peer sends', () => {
  it('is opened again by the peer, and nothing is lost', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0, { laneIdleMs: 1000 })
    const b = addPlane(world, 1)
    a.send(b, 1, BODY)
    await world.pass(200)
    const socket = socketOf(world, a)
    const destroy = socket.destroy.bind(socket)
    // On its way when the socket goes.
    socket.destroy = () => {
      b.send(a, 2, BODY)
      b.laneTo(a).flush()
      destroy()
    }
    await world.pass(2000)
    expect(a.plane.counters.lanesClosedIdle).toBe(1)
    expect(world.lanes.length).toBe(2)
    expect(a.correlations).toEqual([2])
    expect(b.letters).toEqual([])
  })
})

describe('peers of which something is remembered', () => {
  const { associationsMax } = DATA_LIMITS

  it('are as many as the bound', () => {
    const { a } = pair()
    remember(a, 0, associationsMax, false)
    expect(a.ends).toEqual([])
    remember(a, associationsMax, associationsMax + 5, false)
    expect(a.ends).toEqual(Array(5).fill('closed'))
    expect([...a.plane.associations()].length).toBe(associationsMax)
  })

  it('when all are busy are joined by no other, asked or not', async () => {
    const { world, a, b } = pair({ unreachableTimeoutMs: 3_600_000 })
    remember(a, 0, associationsMax, true)
    const full = expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL', retryable: true })
    expect(() => a.plane.ensure(b.node.uid, b.node.address, 'n')).toThrow(full)
    expect(() => a.plane.ensureAt(b.node.address)).toThrow(full)
    world.link(a.node, b.node)
    const { sockets } = world.join(b.node, a.node, 'ordinary', 1)
    expect(sockets[1].destroyed).toBe(true)
    expect(a.plane.counters.lanesRefused).toBe(1)
    expect(a.ends).toEqual([])
    // One that is done with makes room.
    const [first] = a.plane.associations()
    a.plane.end(first!, 'left')
    expect(() => a.plane.ensureAt(b.node.address)).not.toThrow()
  })

  it('known by their addresses only count too', () => {
    const { a } = pair()
    for (let index = 0; index < associationsMax + 3; index += 1)
      a.plane.ensureAt({ host: `h${index}`, port: 1 })
    expect([...a.plane.associations()].length).toBe(associationsMax)
    expect(a.ends.length).toBe(3)
  })
})

describe('one address', () => {
  it('is one incarnation: a later one takes the place of the earlier', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    world.crash(b.node)
    await world.pass(10)
    a.send(b, 2, BODY)
    const next = addPlane(world, 1, {}, 1)
    await world.pass(1000)
    expect(a.ends).toEqual(['peerReset'])
    expect(a.letters).toMatchObject([{ correlation: 2, reason: 'peerReset' }])
    expect(a.plane.get(b.node.uid)).toBeUndefined()
    a.sendOn(a.plane.ensureAt(next.node.address), 3, BODY)
    await world.pass(200)
    expect(next.correlations).toEqual([3])
    expect(a.plane.getAt('10.0.0.2:7000')?.uid).toBe(next.node.uid)
  })
})

describe('a plane that closes', () => {
  function closeOf(node: PlaneNode) {
    const state = { isDrained: false }
    node.plane.close(() => {
      state.isDrained = true
    })
    return state
  }

  it('with nothing under way is closed at once', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    const state = closeOf(a)
    expect(state.isDrained).toBe(true)
    expect(a.ends).toEqual(['closed'])
    await world.pass(10)
    expect(world.openLanes).toEqual([])
    expect(a.letters).toEqual([])
  })

  it('waits until what was queued is acknowledged', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    for (let index = 2; index < 50; index += 1) a.send(b, index, new Uint8Array(50_000))
    const state = closeOf(a)
    expect(state.isDrained).toBe(false)
    await world.pass(200)
    expect(state.isDrained).toBe(true)
    expect(b.correlations.length).toBe(49)
    expect(a.letters).toEqual([])
  })

  it('and is stopped before gives up the rest, and says so', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    for (const { sockets } of world.lanes) sockets[0].takes = () => 0
    a.send(b, 2, BODY)
    const state = closeOf(a)
    await world.pass(1000)
    expect(state.isDrained).toBe(false)
    a.plane.stop()
    expect(state.isDrained).toBe(true)
    expect(a.letters).toMatchObject([{ correlation: 2, reason: 'closed', sent: false }])
    expect(a.plane.isClosing).toBe(true)
  })

  it('takes no new lane', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, BODY)
    await world.pass(200)
    for (const { sockets } of world.lanes) sockets[0].takes = () => 0
    a.send(b, 2, BODY)
    closeOf(a)
    const { sockets } = world.join(b.node, a.node, 'large', 1)
    expect(sockets[1].destroyed).toBe(true)
  })
})
