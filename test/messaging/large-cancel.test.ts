/** Large requests that are given up before, while and after they are sent. */
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addOffice } from './office-world.js'

const MIB = 1024 * 1024

function pair(takes?: (count: number) => number) {
  const world = new LaneWorld()
  const a = addOffice(world, 0)
  const b = addOffice(world, 1)
  world.prepare = (socket) => {
    if (takes !== undefined) socket.takes = takes
  }
  const signals: AbortSignal[] = []
  b.office.topics.handle('t', (_, { signal }) => {
    signals.push(signal)
    return new Promise(() => {})
  })
  const kept: number[] = []
  b.office.topics.handle('m', ({ length }) => void kept.push(length))
  const ask = (size: number) => {
    const controller = new AbortController()
    const { signal } = controller
    const asked = a.to(b).request('t', new Uint8Array(size), { signal, lane: 'large' })
    asked.catch(() => {})
    return { controller, asked }
  }
  return { world, a, b, signals, kept, ask }
}

const ABORTED = { code: 'ERR_SKEIN_ABORTED' }

describe('a large request that is given up', () => {
  it('before anything of it was sent is not sent, and those behind it go on', async () => {
    const { world, a, b, signals, kept, ask } = pair()
    const transfers = a.to(b).transfers
    const { transfersBegunMax } = MESSAGING_LIMITS
    // All turns are taken: this one waits, and so does what follows.
    for (let index = 0; index < transfersBegunMax; index += 1) a.to(b).send('m', new Uint8Array(MIB))
    const { controller, asked } = ask(20 * MIB)
    a.to(b).send('m', new Uint8Array(MIB))
    const before = transfers.waitingBytes
    controller.abort()
    await expect(asked).rejects.toMatchObject(ABORTED)
    expect(transfers.waitingBytes).toBe(before - 20 * MIB)
    await world.until(() => kept.length === transfersBegunMax + 1, 'the others')
    await world.pass(200)
    expect(signals).toEqual([])
    expect(b.office.counters.requestsIn).toBe(0)
    expect(transfers.waitingBytes).toBe(0)
  })

  it('before its turn leaves the room of one that has begun', async () => {
    const { world, a, b, kept, ask } = pair(() => 0)
    // They fill what the lane takes: of this one, which has begun, nothing is sent yet.
    for (let index = 0; index < 8; index += 1) a.to(b).send('m', new Uint8Array(MIB))
    const { controller } = ask(20 * MIB)
    await world.pass(10)
    controller.abort()
    a.to(b).send('m', new Uint8Array(20 * MIB))
    for (const { sockets } of world.lanes) for (const socket of sockets) socket.takes = (count) => count
    world.prepare = () => {}
    world.killLanes()
    await world.until(() => kept.length === 9, 'the others')
    expect(b.office.counters.requestsIn).toBe(0)
  })

  it('in the midst of its chunks is handled, and its handler told at once', async () => {
    const { world, a, b, signals, ask } = pair((count) => Math.min(count, 10_000))
    const { controller, asked } = ask(5 * MIB)
    await world.pass(5)
    expect(a.to(b).transfers.waitingBytes).toBeGreaterThan(0)
    controller.abort()
    await expect(asked).rejects.toMatchObject(ABORTED)
    expect(signals).toEqual([])
    await world.until(() => signals.length === 1, 'the handler')
    await world.until(() => signals[0]!.aborted, 'the abort')
  })

  it.each([100, 3 * MIB])('when all of its %i bytes are on their way is told behind them', async (size) => {
    const { world, a, b, signals, ask } = pair()
    // The ordinary lane is open and idle: what went there would come first.
    a.to(b).send('m', new Uint8Array(1))
    a.to(b).send('m', new Uint8Array(1), { lane: 'large' })
    await world.pass(200)
    for (const { lane, sockets } of world.openLanes)
      if (lane === 'large') for (const socket of sockets) socket.pieces = () => 20_000
    const { controller } = ask(size)
    await world.until(() => a.to(b).transfers.waitingBytes === 0, 'the last chunk')
    expect(signals).toEqual([])
    controller.abort()
    await world.until(() => signals.length === 1 && signals[0]!.aborted, 'the abort')
  })

  it('while its lane has no socket is told of on the next one', async () => {
    const { world, a, b, signals, ask } = pair((count) => Math.min(count, 10_000))
    const { controller } = ask(300_000)
    await world.pass(5)
    expect(a.to(b).transfers.waitingBytes).toBe(0)
    world.killLanes()
    await world.pass(1)
    expect(a.to(b).association.hasSocket).toBe(false)
    controller.abort()
    await world.until(() => signals.length === 1 && signals[0]!.aborted, 'the abort')
  })

  it('for want of an answer in time is told of too', async () => {
    const { world, a, b, signals } = pair()
    const asked = a.to(b).request('t', new Uint8Array(MIB), { timeoutMs: 500 })
    await expect(world.settle(asked)).rejects.toMatchObject({ code: 'ERR_SKEIN_TIMEOUT' })
    await world.pass(50)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })
})
