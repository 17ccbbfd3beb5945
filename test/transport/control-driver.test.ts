import { describe, expect, it } from 'vitest'
import { ControlDriver, type SocketEffect } from '../../src/transport/control/driver.js'
import type { TransportEvent } from '../../src/transport/transport.js'
import { encodeFrame, FrameKind } from '../../src/wire/frame.js'
import { encodeHello } from '../../src/wire/hello.js'
import { OWN_ADDRESS, PEER_ADDRESS, PEER_UID, RIG_OPTIONS } from './plane-rig.js'

/** A driver whose sockets and postponed calls are kept for the test to run. */
function setUp(onBatch?: (driver: ControlDriver, batch: readonly TransportEvent[]) => void) {
  const effects: SocketEffect[] = []
  const postponed: (() => void)[] = []
  const armed: (number | undefined)[] = []
  const batches: TransportEvent[][] = []
  const driver = new ControlDriver(
    { ...RIG_OPTIONS, random: () => 0.5 },
    {
      nowMs: () => 1000,
      arm: (atMs) => armed.push(atMs),
      apply: (effect) => effects.push(effect),
      postpone: (run) => postponed.push(run),
    },
  )
  const sink = (batch: readonly TransportEvent[]) => {
    batches.push([...batch])
    onBatch?.(driver, batch)
  }
  driver.start(sink, OWN_ADDRESS, OWN_ADDRESS)
  const runPostponed = () => {
    for (const run of postponed.splice(0)) run()
  }
  /** A link that came in; what follows on it is given to `data`. */
  const link = () => {
    const connection = driver.newConnectionId()
    driver.socketInput({ type: 'accepted', connection, remote: 'peer:1' })
    const text = { cluster: 'test', nodeId: 'peer', bind: PEER_ADDRESS, advertised: PEER_ADDRESS }
    const hello = { versionMin: 1, versionMax: 1, uid: PEER_UID, dial: 1, dialed: OWN_ADDRESS, ...text }
    driver.socketInput({ type: 'data', connection, bytes: encodeHello(FrameKind.hello, hello) })
    driver.socketInput({ type: 'data', connection, bytes: encodeFrame(FrameKind.ready) })
    return connection
  }
  const message = (value: number) => encodeFrame(FrameKind.message, Uint8Array.of(value))
  return { driver, effects, postponed, armed, batches, runPostponed, link, message }
}

const typesOf = (batches: TransportEvent[][]) => batches.map((batch) => batch.map((event) => event.type))

describe('control driver', () => {
  it('hands over what one socket input caused as one batch, before it returns', () => {
    const { driver, batches, link, message } = setUp()
    const connection = link()
    const bytes = new Uint8Array(Buffer.concat([message(1), message(2), message(3)]))
    driver.socketInput({ type: 'data', connection, bytes })
    expect(typesOf(batches)).toEqual([['linkUp'], ['message', 'message', 'message']])
    expect(driver.counters()['wakeups']).toBe(2)
  })

  it('postpones what a command caused, once, and drain forestalls it', () => {
    const { driver, batches, postponed, link, runPostponed } = setUp()
    link()
    driver.disconnect(PEER_ADDRESS)
    driver.disconnect(PEER_ADDRESS)
    expect(typesOf(batches)).toEqual([['linkUp']])
    expect(postponed).toHaveLength(1)
    driver.drain()
    expect(typesOf(batches)).toEqual([['linkUp'], ['linkDown']])
    runPostponed()
    expect(batches).toHaveLength(2)
  })

  it('delivers nothing from an incarnation that is quarantined while its messages wait', () => {
    const { driver, batches, link, message } = setUp()
    const connection = link()
    driver.hold()
    driver.socketInput({ type: 'data', connection, bytes: message(1) })
    driver.quarantine(PEER_UID, 'operator')
    driver.release()
    driver.drain()
    expect(typesOf(batches)).toEqual([['linkUp'], ['linkDown']])
  })

  it('does not call the sink while the sink is being called', () => {
    let depth = 0
    let deepest = 0
    const { batches, link, runPostponed } = setUp((driver) => {
      depth += 1
      deepest = Math.max(deepest, depth)
      driver.disconnect(PEER_ADDRESS)
      driver.drain()
      depth -= 1
    })
    link()
    expect(typesOf(batches)).toEqual([['linkUp']])
    runPostponed()
    expect(typesOf(batches)).toEqual([['linkUp'], ['linkDown']])
    expect(deepest).toBe(1)
  })

  it('goes on after a sink that throws, whose error reaches its caller', () => {
    let thrown = 0
    const { driver, batches, link, message } = setUp(() => {
      thrown += 1
      if (thrown === 2) throw new Error('from the sink')
    })
    const connection = link()
    expect(() => driver.socketInput({ type: 'data', connection, bytes: message(1) })).toThrow('from the sink')
    driver.socketInput({ type: 'data', connection, bytes: message(2) })
    expect(typesOf(batches)).toEqual([['linkUp'], ['message'], ['message']])
  })

  it('shuts down when its last socket is closed, disarms, and is deaf from then on', async () => {
    const { driver, effects, armed, batches, link } = setUp()
    const connection = link()
    let done = false
    const closing = driver.shutdown().then(() => {
      done = true
    })
    expect(effects.at(-1)).toEqual({ type: 'closeGracefully', connection })
    await Promise.resolve()
    expect(done).toBe(false)
    driver.socketInput({ type: 'closed', connection, how: 'closed' })
    await closing
    expect(armed.at(-1)).toBeUndefined()
    const before = effects.length
    driver.connect(PEER_ADDRESS)
    driver.watch(PEER_UID, PEER_ADDRESS)
    expect(driver.send(PEER_UID, new Uint8Array(1))).toBe('noLink')
    expect(effects).toHaveLength(before)
    expect(typesOf(batches)).toEqual([['linkUp']])
  })
})
