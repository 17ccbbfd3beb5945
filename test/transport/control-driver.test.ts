import { describe, expect, it } from 'vitest'
import { ControlDriver, type SocketEffect } from '../../src/transport/control/driver.js'
import type { LaneSocket } from '../../src/transport/lane-socket.js'
import type { TransportEvent } from '../../src/transport/transport.js'
import { encodeFrame, FrameKind } from '../../src/wire/frame.js'
import { encodeHello, type Hello } from '../../src/wire/hello.js'
import { OWN_ADDRESS, OWN_UID, PEER_ADDRESS, PEER_UID, RIG_OPTIONS } from './plane-rig.js'

/** A lane's socket that only knows whether it was destroyed. */
class FakeLane implements LaneSocket {
  hasUnwritten = false
  destroyed = false

  constructor(readonly unread: Uint8Array) {}

  attach(): void {}
  write(): number {
    return 0
  }
  setReading(): void {}
  shutdown(): void {}
  destroy(): void {
    this.destroyed = true
  }
}

/** A driver whose sockets and postponed calls are kept for the test to run. */
function setUp(onBatch?: (driver: ControlDriver, batch: readonly TransportEvent[]) => void) {
  const effects: SocketEffect[] = []
  const postponed: (() => void)[] = []
  const armed: (number | undefined)[] = []
  const batches: TransportEvent[][] = []
  const lanes: FakeLane[] = []
  /** What the adapter was asked for, in order. */
  const asked: string[] = []
  /** What the port answers next. */
  const next = { isGone: false }
  const driver = new ControlDriver(
    { ...RIG_OPTIONS, random: () => 0.5 },
    {
      nowMs: () => 1000,
      arm: (atMs) => armed.push(atMs),
      apply: (effect) => {
        effects.push(effect)
        asked.push(effect.type)
      },
      handOver: (_, unread) => {
        asked.push('handOver')
        const lane = new FakeLane(unread)
        if (!next.isGone) lanes.push(lane)
        return next.isGone ? undefined : lane
      },
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
  const link = (more: Partial<Hello> = {}) => {
    const connection = driver.newConnectionId()
    driver.socketInput({ type: 'accepted', connection, remote: 'peer:1' })
    driver.socketInput({ type: 'data', connection, bytes: encodeHello(FrameKind.hello, hello(more)) })
    driver.socketInput({ type: 'data', connection, bytes: encodeFrame(FrameKind.ready) })
    return connection
  }
  /** A lane of ours that is answered. */
  const dialLane = () => {
    driver.openLane(PEER_UID, 'ordinary', 3)
    const dialled = effects.at(-1)!
    const { connection } = dialled
    driver.socketInput({ type: 'opened', connection })
    const bytes = encodeHello(FrameKind.helloAck, hello({ lane: 'ordinary', dial: 3 }))
    driver.socketInput({ type: 'data', connection, bytes })
  }
  const message = (value: number) => encodeFrame(FrameKind.message, Uint8Array.of(value))
  return {
    driver,
    effects,
    asked,
    postponed,
    armed,
    batches,
    lanes,
    next,
    runPostponed,
    link,
    dialLane,
    message,
  }
}

function hello(more: Partial<Hello>): Hello {
  const text = { cluster: 'test', nodeId: 'peer', bind: PEER_ADDRESS, advertised: PEER_ADDRESS }
  return { versionMin: 1, versionMax: 1, uid: PEER_UID, dial: 1, dialed: OWN_ADDRESS, ...text, ...more }
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

describe('control driver, handing over a lane', () => {
  it('tells of it in the order of the other events, with the socket that the adapter made', () => {
    const { batches, lanes, asked, link, dialLane } = setUp()
    link()
    dialLane()
    // Behind the hello and `ready`.
    expect(asked.slice(-4)).toEqual(['dial', 'write', 'write', 'handOver'])
    link({ lane: 'large', dial: 5 })
    expect(typesOf(batches)).toEqual([['linkUp'], ['laneOpened'], ['laneOpened']])
    const [ours, theirs] = batches.slice(1).map((batch) => batch[0])
    expect(ours).toMatchObject({ lane: 'ordinary', dial: 3, dialler: OWN_UID, peer: { uid: PEER_UID } })
    expect(theirs).toMatchObject({ lane: 'large', dial: 5, dialler: PEER_UID, peer: { uid: PEER_UID } })
    expect([ours, theirs].map((event) => (event as { socket: unknown }).socket)).toEqual(lanes)
  })

  it('that is gone by then tells the dialler, and nobody else', () => {
    const { batches, next, link, dialLane } = setUp()
    link()
    next.isGone = true
    link({ lane: 'large', dial: 5 })
    dialLane()
    expect(batches.slice(1)).toEqual([
      [{ type: 'laneFailed', uid: PEER_UID, lane: 'ordinary', dial: 3, reason: 'handshake' }],
    ])
  })

  it('keeps it while the loop is held', () => {
    const { driver, batches, lanes, link, runPostponed } = setUp()
    driver.hold()
    link({ lane: 'large' })
    expect([batches.length, lanes.length]).toEqual([0, 1])
    driver.release()
    runPostponed()
    expect(typesOf(batches)).toEqual([['laneOpened']])
    expect(lanes[0]!.destroyed).toBe(false)
  })

  it('of an incarnation that is quarantined while it waits destroys it', () => {
    const { driver, batches, lanes, link } = setUp()
    driver.hold()
    link({ lane: 'large' })
    link({ lane: 'large', uid: '6100000000000000' })
    driver.quarantine(PEER_UID, 'operator')
    driver.release()
    driver.drain()
    expect(lanes.map((lane) => lane.destroyed)).toEqual([true, false])
    expect(typesOf(batches)).toEqual([['laneOpened']])
  })

  it.each(['shutdown', 'stop'] as const)('destroys what nobody has heard of by the %s', (how) => {
    const { driver, batches, lanes, link } = setUp()
    link({ lane: 'ordinary' })
    driver.hold()
    link({ lane: 'large' })
    void driver[how]()
    expect(lanes.map((lane) => lane.destroyed)).toEqual([false, true])
    expect(typesOf(batches)).toEqual([['laneOpened']])
  })
})
