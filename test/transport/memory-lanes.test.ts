import { describe, expect, it } from 'vitest'
import { type Address, makeUid, type Uid } from '../../src/core/address.js'
import { VirtualClock } from '../../src/sim/clock.js'
import { createRandom } from '../../src/sim/random.js'
import type { LaneEnd, LaneSocket, LaneSocketHandler } from '../../src/transport/lane-socket.js'
import { MemoryNetwork } from '../../src/transport/memory/memory-network.js'
import type { Transport, TransportEvent } from '../../src/transport/transport.js'
import { decodeFrame, FRAME_LENGTH_BYTES, FrameKind } from '../../src/wire/frame.js'
import { decodeHello, encodeHello } from '../../src/wire/hello.js'
import { PlaneRig, RIG_OPTIONS } from './plane-rig.js'

const KERNEL_BYTES = 1024 * 1024

interface Node {
  readonly uid: Uid
  readonly address: Address
  readonly transport: Transport
  readonly events: TransportEvent[]
}

/** One end of a lane: what it was told, and bytes that count up from where it left off. */
class End implements LaneSocketHandler {
  readonly told: string[] = []
  readonly ends: LaneEnd[] = []
  received = 0
  sent = 0
  /** How much of what is shown it takes. */
  take = (count: number): number => count
  onBytes = (): void => {}
  kept: Uint8Array | undefined

  constructor(readonly socket: LaneSocket) {}

  attach(): this {
    this.socket.attach(this)
    return this
  }

  /** As much as the socket takes, up to `count`. */
  send(count: number): number {
    const bytes = Uint8Array.from({ length: count + 2 }, (_, index) => this.sent + index - 1)
    const taken = this.socket.write(bytes, 1, count + 1)
    // What was taken is the kernel's: what becomes of the memory is no matter of the simulation's.
    bytes.fill(0)
    this.sent += taken
    return taken
  }

  onData(bytes: Uint8Array, from: number, to: number): number {
    const taken = this.take(to - from)
    for (let index = 0; index < to - from; index += 1) {
      if (bytes[from + index] !== ((this.received + index) & 0xff)) throw new Error('out of order')
    }
    this.received += taken
    this.kept = bytes.subarray(from, to)
    this.told.push('data')
    this.onBytes()
    return taken
  }

  onWritable(): void {
    this.told.push('writable')
  }

  onEnd(how: LaneEnd): void {
    this.told.push('end')
    this.ends.push(how)
  }
}

function setUp(seed = 1, secrets: readonly Uint8Array[] | undefined = undefined) {
  const clock = new VirtualClock(1000)
  const network = new MemoryNetwork({ clock, seed })
  const [a, b] = [1, 2].map((index): Node => {
    const uid = makeUid(1_700_000_000_000 + index, index)
    const address = { host: `10.0.0.${index}`, port: 7000 }
    const identity = { cluster: 'test', nodeId: `node-${index}`, uid }
    const given = secrets === undefined ? {} : { secrets }
    const transport = network.createTransport({ ...RIG_OPTIONS, identity, listen: address, ...given })
    const events: TransportEvent[] = []
    void transport.start((batch) => void events.push(...batch))
    return { uid, address, transport, events }
  }) as [Node, Node]
  a.transport.watch(b.uid, b.address)
  b.transport.watch(a.uid, a.address)
  clock.runFor(5000)
  return { clock, network, a, b }
}

const lanesOf = (node: Node) => node.events.filter((event) => event.type === 'laneOpened')
const typesOf = (node: Node) => node.events.map((event) => event.type)

/** A lane from `a` to `b`, and its two ends. */
function laneBetween(seed?: number, isAttached = true) {
  const world = setUp(seed)
  const { a, b, clock } = world
  a.transport.openLane(b.uid, 'ordinary', 1)
  clock.runFor(10)
  const [here, there] = [a, b].map((node) => new End(lanesOf(node)[0]!.socket)) as [End, End]
  if (isAttached) for (const end of [here, there]) end.attach()
  clock.runFor(10)
  return { ...world, here, there }
}

describe('a lane in memory', () => {
  it('is told of at both ends, by number and dialler', () => {
    const { a, b } = laneBetween()
    for (const [node, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const peer = { uid: other.uid, address: other.address }
      expect(lanesOf(node)).toMatchObject([{ lane: 'ordinary', dial: 1, dialler: a.uid, peer }])
    }
  })

  it('carries bytes both ways in order, and only once', () => {
    const { clock, here, there } = laneBetween()
    for (let round = 0; round < 200; round += 1) {
      here.send(1 + ((round * 37) % 900))
      there.send(1 + ((round * 53) % 900))
      if (round % 3 === 0) clock.runFor(0.2)
    }
    clock.runFor(100)
    expect(there.received).toBe(here.sent)
    expect(here.received).toBe(there.sent)
  })

  it('shows what was not taken again, in front of what comes next', () => {
    const { clock, here, there } = laneBetween()
    const random = createRandom(5)
    there.take = (count) => Math.floor(random() * (count + 1))
    for (let round = 0; round < 100; round += 1) {
      here.send(50)
      clock.runFor(1)
    }
    expect(there.received).toBeLessThan(here.sent)
    there.take = (count) => count
    const before = there.told.length
    clock.runFor(100)
    expect(there.told).toHaveLength(before)
    here.send(1)
    clock.runFor(1)
    expect(there.received).toBe(here.sent)
  })

  it('writes its receive buffer over after each call', () => {
    const { clock, here, there } = laneBetween()
    here.send(10)
    clock.runFor(1)
    expect(there.kept).toEqual(new Uint8Array(10).fill(0xdb))
  })

  it('keeps what arrives before attach, and delivers it in a turn of its own', () => {
    const { clock, here, there } = laneBetween(1, false)
    here.send(500)
    clock.runFor(100)
    there.attach()
    expect(there.told).toEqual([])
    clock.runFor(0)
    expect(there.received).toBe(500)
  })
})

describe('the bounds of a lane in memory', () => {
  it('are those of the kernel: more is not taken, to the byte, and onWritable follows once there is room', () => {
    const { clock, here, there } = laneBetween()
    there.socket.setReading(false)
    expect(here.send(KERNEL_BYTES - 1)).toBe(KERNEL_BYTES - 1)
    expect(here.send(1000)).toBe(1)
    expect(here.send(1)).toBe(0)
    clock.runFor(1000)
    expect([here.told, there.received]).toEqual([[], 0])
    there.socket.setReading(true)
    clock.runFor(1000)
    expect(there.received).toBe(KERNEL_BYTES)
    expect(here.told).toEqual(['writable'])
    expect(here.send(1000)).toBe(1000)
    clock.runFor(10)
    expect(here.told).toEqual(['writable'])
  })

  it('hold in each direction by itself', () => {
    const { clock, here, there } = laneBetween()
    there.socket.setReading(false)
    here.send(2 * KERNEL_BYTES)
    there.send(100)
    clock.runFor(10)
    expect(here.received).toBe(100)
    expect(there.received).toBe(0)
  })

  it('let reading stop in the middle of what waits', () => {
    const { clock, here, there } = laneBetween()
    there.socket.setReading(false)
    for (let chunk = 0; chunk < 10; chunk += 1) here.send(100)
    here.socket.shutdown()
    clock.runFor(10)
    there.onBytes = () => there.socket.setReading(false)
    for (let chunk = 1; chunk <= 10; chunk += 1) {
      there.socket.setReading(true)
      expect(there.received).toBe(100 * (chunk - 1))
      clock.runFor(10)
      expect([there.received, there.ends]).toEqual([100 * chunk, []])
    }
    there.socket.setReading(true)
    clock.runFor(10)
    expect(there.ends).toEqual(['ended'])
  })
})

describe('faults and a lane in memory', () => {
  it('a cut holds its bytes back, and healing delivers them in order', () => {
    const { clock, network, a, b, here, there } = laneBetween()
    network.cut(a.address, b.address)
    for (let chunk = 0; chunk < 10; chunk += 1) {
      here.send(1000)
      clock.runFor(100)
    }
    expect(there.received).toBe(0)
    network.heal(a.address, b.address)
    clock.runFor(10)
    expect(there.received).toBe(10_000)
    expect([here.ends, there.ends]).toEqual([[], []])
  })

  it('a one-way cut holds one direction back', () => {
    const { clock, network, a, b, here, there } = laneBetween()
    network.cut(a.address, b.address, { oneWay: true })
    here.send(10)
    there.send(20)
    clock.runFor(1000)
    expect([here.received, there.received]).toEqual([20, 0])
  })

  it('a stopped process takes nothing, its kernel takes what it can, and all comes when it runs again', () => {
    const { clock, network, b, here, there } = laneBetween()
    network.pause(b.address)
    expect(here.send(2 * KERNEL_BYTES)).toBe(KERNEL_BYTES)
    clock.runFor(5000)
    expect(there.told).toEqual([])
    network.resume(b.address)
    clock.runFor(100)
    expect(there.received).toBe(KERNEL_BYTES)
    expect(here.told).toEqual(['writable'])
  })

  it('a stopped process is not told that it may write', () => {
    const { clock, network, a, here, there } = laneBetween()
    there.socket.setReading(false)
    here.send(2 * KERNEL_BYTES)
    network.pause(a.address)
    there.socket.setReading(true)
    clock.runFor(1000)
    expect(here.told).toEqual([])
    network.resume(a.address)
    clock.runFor(10)
    expect(here.told).toEqual(['writable'])
  })

  it('a crash ends it for the other side; one with bytes unread resets it', () => {
    for (const unread of [false, true]) {
      const { clock, network, b, here, there } = laneBetween()
      if (unread) there.socket.setReading(false)
      here.send(100)
      clock.runFor(10)
      network.crash(b.address)
      clock.runFor(10)
      expect(here.ends).toEqual([unread ? 'reset' : 'ended'])
      expect(here.send(1)).toBe(0)
      expect(there.ends).toEqual([])
    }
  })

  it('destroy with bytes unread resets it, and what is written to it later as well', () => {
    const first = laneBetween()
    first.there.socket.setReading(false)
    first.here.send(100)
    first.clock.runFor(10)
    first.there.socket.destroy()
    first.clock.runFor(10)
    expect(first.here.ends).toEqual(['reset'])

    const second = laneBetween()
    second.here.socket.setReading(false)
    second.there.socket.destroy()
    second.clock.runFor(10)
    expect(second.here.send(10)).toBe(10)
    second.clock.runFor(10)
    second.here.socket.setReading(true)
    second.clock.runFor(10)
    // In the order in which they came: the reset finds nobody any more.
    expect(second.here.ends).toEqual(['ended'])
  })
})

describe('a blocked loop and a lane in memory', () => {
  it('delivers nothing on it, while beats go on; its kernel takes what it can, and all comes afterwards', () => {
    const { clock, network, a, b, here, there } = laneBetween()
    network.blockLoop(b.address)
    expect(here.send(2 * KERNEL_BYTES)).toBe(KERNEL_BYTES)
    here.socket.shutdown()
    clock.runFor(10_000)
    expect(there.told).toEqual([])
    expect(typesOf(a).filter((type) => type === 'suspicion')).toEqual([])
    expect(a.events.at(-1)).toMatchObject({ type: 'stalled', stalled: true })
    network.unblockLoop(b.address)
    expect(there.told).toEqual([])
    clock.runFor(10)
    expect(there.received).toBe(KERNEL_BYTES)
    expect(there.ends).toEqual(['ended'])
  })

  it('is told afterwards that it may write', () => {
    const { clock, network, a, here, there } = laneBetween()
    there.socket.setReading(false)
    here.send(2 * KERNEL_BYTES)
    network.blockLoop(a.address)
    there.socket.setReading(true)
    clock.runFor(1000)
    expect(here.told).toEqual([])
    network.unblockLoop(a.address)
    clock.runFor(10)
    expect(here.told).toEqual(['writable'])
  })

  it('hears of a lane afterwards, and of what was sent on it meanwhile', () => {
    const { clock, network, a, b } = setUp()
    network.blockLoop(b.address)
    a.transport.openLane(b.uid, 'large', 4)
    clock.runFor(10)
    const here = new End(lanesOf(a)[0]!.socket).attach()
    here.send(70_000)
    clock.runFor(3000)
    expect(lanesOf(b)).toEqual([])
    network.unblockLoop(b.address)
    clock.runFor(10)
    expect(lanesOf(b)).toHaveLength(1)
    const there = new End(lanesOf(b)[0]!.socket).attach()
    clock.runFor(10)
    expect(there.received).toBe(70_000)
  })

  it('does not read a lane that is attached while it is blocked', () => {
    const { clock, network, b, here, there } = laneBetween(1, false)
    here.send(100)
    network.blockLoop(b.address)
    there.attach()
    there.socket.setReading(false)
    there.socket.setReading(true)
    clock.runFor(100)
    expect(there.told).toEqual([])
    network.unblockLoop(b.address)
    clock.runFor(10)
    expect(there.received).toBe(100)
  })
})

describe('runs with lanes in memory', () => {
  it('draw the nonces of admission from the seed', () => {
    const ackOf = (seed: number) => {
      const { clock, network, a } = setUp(seed, [new Uint8Array(16).fill(7)])
      const chunks: Uint8Array[] = []
      const nothing = () => {}
      const stream = network.connect(network.addHost({ host: '10.0.0.3', port: 1 }), a.address, {
        onOpened: nothing,
        onRefused: nothing,
        onData: (bytes) => chunks.push(bytes),
        onEnded: nothing,
        onClosed: nothing,
        onWritten: nothing,
      })
      clock.runFor(10)
      const hello = { ...new PlaneRig().hello(), nonce: new Uint8Array(32) }
      stream.write(encodeHello(FrameKind.hello, hello))
      clock.runFor(10)
      expect(chunks).toHaveLength(1)
      return decodeHello(decodeFrame(chunks[0]!.subarray(FRAME_LENGTH_BYTES)).body)!.nonce
    }
    expect(ackOf(3)).toEqual(ackOf(3))
    expect(ackOf(3)).not.toEqual(ackOf(4))
  })

  it('repeat for one seed, and differ for another', () => {
    const run = (seed: number) => {
      const { clock, network, a, b } = setUp(seed, [new Uint8Array(16).fill(7)])
      const log: [number, string][] = []
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        from.transport.openLane(to.uid, 'large', 1)
      }
      clock.runFor(10)
      const ends = [a, b].flatMap((node) => lanesOf(node).map((event) => new End(event.socket).attach()))
      expect(ends).toHaveLength(4)
      for (const end of ends) end.onBytes = () => log.push([clock.nowMs(), `${end.received}`])
      for (let round = 0; round < 20; round += 1) {
        for (const end of ends) end.send(1000 + round)
        if (round === 7) network.cut(a.address, b.address)
        if (round === 11) network.healAll()
        clock.runFor(3)
      }
      clock.runFor(100)
      return JSON.stringify([log, a.transport.counters(), b.transport.counters(), clock.eventCount])
    }
    expect(run(3)).toBe(run(3))
    expect(run(3)).not.toBe(run(4))
  })
})
