/** A lane whose control link stands may be dead all the same: acks tell. */
import { expect, it } from 'vitest'
import { DATA_LIMITS } from '../../../src/transport/limits.js'
import { LaneWorld } from './lane-world.js'
import { addPlane, socketOf } from './plane-world.js'

const BODY = Uint8Array.of(1, 2, 3)

it('gets another socket when nothing is acknowledged, and delivers once what was sent on the old one', async () => {
  const world = new LaneWorld()
  const a = addPlane(world, 0)
  const b = addPlane(world, 1)
  a.send(b, 1, BODY)
  await world.pass(1_000)
  const dead = socketOf(world, a)
  dead.peer.setReading(false)
  a.send(b, 2, BODY)
  await world.pass(DATA_LIMITS.ackTimeoutMs - 2_000)
  expect(b.correlations).toEqual([1])
  await world.pass(DATA_LIMITS.ackTimeoutMs + 3_000)
  expect(dead.destroyed).toBe(true)
  expect(b.correlations).toEqual([1, 2])
  expect(a.plane.counters.lanesStuck).toBe(1)
})

it('keeps a socket on which acks come, however slowly it drains', async () => {
  const world = new LaneWorld()
  const a = addPlane(world, 0)
  const b = addPlane(world, 1)
  a.send(b, 0, BODY)
  await world.pass(1_000)
  const socket = socketOf(world, a)
  for (let sent = 1; sent <= 60; sent += 1) {
    a.send(b, sent, BODY)
    await world.pass(1_000)
  }
  expect(socket.destroyed).toBe(false)
  expect(b.correlations.length).toBe(61)
  expect(a.plane.counters.lanesStuck).toBe(0)
})
