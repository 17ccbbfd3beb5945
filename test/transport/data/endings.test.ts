/** What happens to what waits when sockets, links and peers go in awkward orders. */
import { expect, it } from 'vitest'
import { LoopSocket } from '../../../src/transport/data/loop-socket.js'
import { LaneWorld } from './lane-world.js'
import { addPlane } from './plane-world.js'

const BODY = Uint8Array.of(1, 2, 3)

function pair() {
  const world = new LaneWorld()
  return { world, a: addPlane(world, 0), b: addPlane(world, 1) }
}

it('large work is given up in time when only an idle lane still stands', async () => {
  const { world, a, b } = pair()
  a.send(b, 1, BODY)
  a.send(b, 2, BODY, 'large')
  await world.pass(1_000)
  world.openLanes.find(({ lane }) => lane === 'large')!.sockets[0].kill()
  world.cutSilently(a.node, b.node)
  a.send(b, 3, BODY, 'large')
  await world.pass(200_000)
  expect(a.ends).toEqual(['unreachable'])
  expect(a.letters.map(({ correlation }) => correlation)).toEqual([3])
})

it('a peer that takes lanes and closes them at once is given up as if it could not be reached', async () => {
  const { world, a, b } = pair()
  world.prepare = (socket) => {
    socket.takes = () => 0
    world.clock.schedule(5, () => socket.kill())
  }
  a.send(b, 1, BODY)
  await world.pass(15_000)
  expect(a.ends).toEqual(['unreachable'])
  expect(a.letters).toMatchObject([{ correlation: 1, reason: 'unreachable' }])
})

it('a socket whose link was lost gives way to any other, whatever its rank', async () => {
  const { world, a, b } = pair()
  world.link(a.node, b.node)
  const first = world.join(a.node, b.node, 'ordinary', 5000)
  await world.pass(100)
  expect(first.sockets[0].destroyed).toBe(false)
  world.cutSilently(a.node, b.node)
  world.heal(a.node, b.node)
  world.link(a.node, b.node)
  const second = world.join(b.node, a.node, 'ordinary', 2)
  await world.pass(100)
  expect(second.sockets.map((socket) => socket.destroyed)).toEqual([false, false])
  b.send(a, 7, BODY)
  await world.pass(100)
  expect(a.correlations).toEqual([7])
})

it('closing waits for what was queued before there was a lane', async () => {
  const { world, a, b } = pair()
  a.send(b, 1, BODY)
  let drained = false
  a.plane.close(() => {
    drained = true
  })
  expect(drained).toBe(false)
  await world.pass(1_000)
  expect(drained).toBe(true)
  expect(b.correlations).toEqual([1])
  expect(a.letters).toEqual([])
})

it('closing does not wait for a peer that cannot be dialled', async () => {
  const { world, a, b } = pair()
  world.cut(a.node, b.node)
  a.send(b, 1, BODY)
  await world.pass(500)
  let drained = false
  a.plane.close(() => {
    drained = true
  })
  expect(drained).toBe(true)
  expect(a.letters).toMatchObject([{ correlation: 1, reason: 'closed' }])
})

it('an incarnation that is gone for good opens no lane, and is sent nothing', async () => {
  const { world, a, b } = pair()
  a.plane.endPeer(b.node.uid, 'quarantined')
  const { sockets } = world.join(b.node, a.node, 'ordinary', 1)
  expect(sockets[1].destroyed).toBe(true)
  expect(() => a.to(b)).toThrow(/nothing is exchanged/)
})

it('two incarnations at one address do not take the link from each other', async () => {
  const { world, a, b } = pair()
  a.send(b, 1, BODY)
  await world.pass(500)
  const older = a.plane.ensure('0000000000000001', b.node.address, 'older')
  a.sendOn(older, 2, BODY)
  await world.pass(12_000)
  expect(older.ended).toBe('unreachable')
  expect(a.node.connects.at(-1)).toBe('10.0.0.2:7000')
  expect(a.node.wanted.has('10.0.0.2:7000')).toBe(true)
})

it('a lane to this node itself delivers in turns of its own, and takes more when that is done', () => {
  const turns: (() => void)[] = []
  const socket = new LoopSocket((run) => turns.push(run))
  const seen: number[] = []
  let rooms = 0
  socket.attach({
    onData: (bytes, from, to) => {
      for (let at = from; at < to - 1; at += 1) seen.push(bytes[at]!)
      return Math.max(0, to - from - 1)
    },
    onWritable: () => {
      rooms += 1
    },
    onEnd: () => {},
  })
  expect(socket.write(Uint8Array.of(1, 2, 3), 0, 3)).toBe(3)
  expect(seen).toEqual([])
  turns.shift()!()
  expect(seen).toEqual([1, 2])
  socket.write(Uint8Array.of(4), 0, 1)
  turns.shift()!()
  expect(seen).toEqual([1, 2, 3])
  socket.write(new Uint8Array(1024 * 1024), 0, 1024 * 1024)
  expect(socket.write(BODY, 0, 3)).toBe(0)
  turns.shift()!()
  expect(rooms).toBe(1)
  socket.write(BODY, 0, 3)
  socket.destroy()
  const before = seen.length
  for (const turn of turns) turn()
  expect(seen.length).toBe(before)
})
