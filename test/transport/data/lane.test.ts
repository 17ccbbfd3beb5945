/** What a lane takes of what comes in, and how it goes on when it cannot. */
import { describe, expect, it } from 'vitest'
import { DATA_LIMITS } from '../../../src/transport/limits.js'
import {
  BODY_AT,
  CORRELATION_AT,
  DATA_HEADER_BYTES,
  DATA_OVERHEAD_BYTES,
  DataKind,
  encodeAck,
  encodeResume,
  KIND_AT,
  LANE_AT,
  Lane,
  SEQUENCE_AT,
  TOPIC_AT,
} from '../../../src/wire/data-frame.js'
import { type FakeSocket, LaneWorld } from './lane-world.js'
import { addPlane, type PlaneNode, socketOf } from './plane-world.js'

const { frameBodyBytesMax, topicsMax, topicBytesMax } = DATA_LIMITS
const NO_BYTES = new Uint8Array(0)

interface RawFrame {
  readonly kind?: number
  readonly lane?: number
  readonly topic?: number
  readonly correlation?: number
  readonly sequence?: number
  readonly body?: Uint8Array
  /** Of the length field; default: what is true. */
  readonly length?: number
}

function frame(given: RawFrame): Uint8Array {
  const body = given.body ?? NO_BYTES
  const bytes = new Uint8Array(DATA_OVERHEAD_BYTES + body.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, given.length ?? DATA_HEADER_BYTES + body.length, true)
  view.setUint32(TOPIC_AT, given.topic ?? 0, true)
  bytes[KIND_AT] = given.kind ?? DataKind.message
  bytes[LANE_AT] = given.lane ?? Lane.ordinary
  view.setUint32(CORRELATION_AT, given.correlation ?? 0, true)
  view.setUint32(SEQUENCE_AT, given.sequence ?? 0, true)
  bytes.set(body, BODY_AT)
  return bytes
}

const topic = (name: string | Uint8Array, number: number, sequence: number) =>
  frame({
    kind: DataKind.topic,
    topic: number,
    sequence,
    body: typeof name === 'string' ? new TextEncoder().encode(name) : name,
  })

const resume = (epoch: number, seenEpoch = 0, received = 0, frames = 0) =>
  encodeResume(Lane.ordinary, { epoch, seenEpoch, received, frames })

/** A plane whose peer is the test: what it is sent, and what it sends. */
class Rig {
  readonly world = new LaneWorld()
  readonly node = addPlane(this.world, 0)
  private readonly other = this.world.addNode(1)
  private dials = 0
  socket!: FakeSocket

  constructor() {
    this.world.link(this.node.node, this.other)
    this.other.onEvent = (event) => {
      if (event.type !== 'laneOpened') return
      // The test’s own end takes everything and looks at nothing.
      event.socket.attach({ onData: (_, from, to) => to - from, onWritable: () => {}, onEnd: () => {} })
    }
    this.reopen()
  }

  /** Dials a new lane socket to the node. */
  reopen(): void {
    this.dials += 1
    const { sockets } = this.world.join(this.other, this.node.node, 'ordinary', this.dials)
    this.socket = sockets[0]
  }

  async say(...frames: Uint8Array[]): Promise<void> {
    for (const bytes of frames) this.socket.inject(bytes)
    await this.world.pass(1)
  }

  get lane() {
    return this.node.plane.get(this.other.uid)!.ordinary!
  }

  get isClosed(): boolean {
    return this.socket.peer.destroyed
  }
}

describe('the frames of a lane', () => {
  it('are taken with any cut between reads', async () => {
    const rig = new Rig()
    const bytes = Buffer.concat([
      resume(5),
      topic('t', 1, 1),
      frame({ topic: 1, correlation: 8, sequence: 2, body: Uint8Array.of(1, 2, 3) }),
      frame({ topic: 1, correlation: 9, sequence: 3 }),
    ])
    for (const byte of bytes) await rig.say(Uint8Array.of(byte))
    expect(rig.node.received).toMatchObject([
      { topic: 't', correlation: 8, body: Uint8Array.of(1, 2, 3) },
      { topic: 't', correlation: 9, body: NO_BYTES },
    ])
    expect(rig.node.faults).toEqual([])
  })

  it('may be as long as the bound', async () => {
    const rig = new Rig()
    const body = new Uint8Array(frameBodyBytesMax).fill(7)
    await rig.say(resume(5), topic('t', 1, 1), frame({ topic: 1, sequence: 2, body }))
    expect(rig.node.received.map((frame) => frame.body.length)).toEqual([frameBodyBytesMax])
  })

  it('may be of kinds that only the layer above knows, with or without a topic', async () => {
    const rig = new Rig()
    await rig.say(resume(5), frame({ kind: 250, sequence: 1, correlation: 3 }))
    expect(rig.node.received).toMatchObject([{ kind: 250, topic: undefined, correlation: 3 }])
  })

  const GREETED = [resume(5), topic('t', 1, 1)]
  const faulty: [string, string, Uint8Array[]][] = [
    [
      'longer than the bound',
      'frameTooLarge',
      [...GREETED, frame({ length: DATA_HEADER_BYTES + frameBodyBytesMax + 1 })],
    ],
    ['longer than any number of ours', 'frameTooLarge', [...GREETED, frame({ length: 0xffff_ffff })]],
    ['shorter than a header', 'frameTooShort', [...GREETED, frame({ length: DATA_HEADER_BYTES - 1 })]],
    ['of another lane', 'unexpectedFrame', [...GREETED, frame({ lane: Lane.large, topic: 1, sequence: 2 })]],
    ['of no kind', 'unexpectedFrame', [...GREETED, frame({ kind: DataKind.none, sequence: 2 })]],
    ['before the resume', 'unexpectedFrame', [frame({ topic: 1, sequence: 1 })]],
    ['acks before the resume', 'unexpectedFrame', [encodeAck(Lane.ordinary, { received: 0, frames: 0 })]],
    ['topics before the resume', 'unexpectedFrame', [topic('t', 1, 1)]],
    ['a second resume', 'unexpectedFrame', [...GREETED, resume(5)]],
    [
      'a resume that is too short',
      'frameTooShort',
      [frame({ kind: DataKind.resume, body: new Uint8Array(23) })],
    ],
    [
      'an ack that is too short',
      'frameTooShort',
      [...GREETED, frame({ kind: DataKind.ack, body: new Uint8Array(15) })],
    ],
    ['a resume without an epoch', 'badPosition', [resume(0)]],
    [
      'an ack of what was never sent',
      'badPosition',
      [...GREETED, encodeAck(Lane.ordinary, { received: 1, frames: 0 })],
    ],
    ['out of sequence', 'sequenceGap', [...GREETED, frame({ topic: 1, sequence: 3 })]],
    ['doubled', 'sequenceGap', [...GREETED, topic('t', 1, 1)]],
    ['of a topic without a name', 'badTopic', [...GREETED, frame({ topic: 2, sequence: 2 })]],
    ['a topic out of turn', 'badTopic', [...GREETED, topic('u', 3, 2)]],
    ['a topic named again', 'badTopic', [...GREETED, topic('u', 1, 2)]],
    ['a topic of number 0', 'badTopic', [...GREETED, topic('u', 0, 2)]],
    ['an empty topic', 'badTopic', [...GREETED, topic('', 2, 2)]],
    ['a topic that is too long', 'badTopic', [...GREETED, topic('x'.repeat(topicBytesMax + 1), 2, 2)]],
    ['a topic that is no UTF-8', 'badTopic', [...GREETED, topic(Uint8Array.of(0x61, 0xff), 2, 2)]],
  ]

  it.each(faulty)('%s close the socket: %s', async (_, fault, frames) => {
    const rig = new Rig()
    await rig.say(...frames, frame({ topic: 1, sequence: 2, correlation: 77 }))
    expect(rig.node.faults).toEqual([fault])
    expect(rig.node.plane.counters.laneFaults).toBe(1)
    expect(rig.isClosed).toBe(true)
    expect(rig.node.received).toEqual([])
  })

  it('name topics of up to the bound, in any letters', async () => {
    const rig = new Rig()
    const names = ['x'.repeat(topicBytesMax), 'naïve 日本 🧶', '\ufeffmark', '\0']
    await rig.say(
      resume(5),
      ...names.map((name, index) => topic(name, index + 1, index + 1)),
      ...names.map((_, index) => frame({ topic: index + 1, sequence: names.length + index + 1 })),
    )
    expect(rig.node.received.map((frame) => frame.topic)).toEqual(names)
  })

  it('name as many topics as the bound, and not one more', async () => {
    const rig = new Rig()
    const frames = [resume(5)]
    for (let number = 1; number <= topicsMax; number += 1) frames.push(topic(`t${number}`, number, number))
    await rig.say(Buffer.concat(frames))
    expect(rig.node.faults).toEqual([])
    await rig.say(topic('more', topicsMax + 1, topicsMax + 1))
    expect(rig.node.faults).toEqual(['badTopic'])
  })

  it('that were good before a bad one are taken, acknowledged and not asked for again', async () => {
    const rig = new Rig()
    await rig.say(
      Buffer.concat([
        resume(5),
        topic('t', 1, 1),
        frame({ topic: 1, sequence: 2, correlation: 1 }),
        frame({ length: 3 }),
        frame({ topic: 1, sequence: 3, correlation: 2 }),
      ]),
    )
    expect(rig.node.correlations).toEqual([1])
    rig.reopen()
    await rig.say(resume(5), frame({ topic: 1, sequence: 3, correlation: 2 }))
    expect(rig.node.correlations).toEqual([1, 2])
    expect(rig.node.told).toEqual([])
  })
})

describe('the topics that are sent', () => {
  it('are named once, and again for a new stream', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, NO_BYTES, 'ordinary', 'x')
    a.send(b, 2, NO_BYTES, 'ordinary', 'y')
    a.send(b, 3, NO_BYTES, 'ordinary', 'x')
    await world.pass(100)
    const lane = a.laneTo(b)
    expect([lane.topicNumber('x'), lane.topicNumber('y'), lane.knownTopic('z')]).toEqual([1, 2, undefined])
    expect([lane.topicNameOf(1), lane.topicNameOf(2), lane.topicNameOf(3)]).toEqual(['x', 'y', ''])
    expect(b.received.map((frame) => frame.topic)).toEqual(['x', 'y', 'x'])
    expect(lane.outbox.frames).toBe(5)
    a.plane.end(a.to(b), 'left')
    a.send(b, 4, NO_BYTES, 'ordinary', 'y')
    await world.pass(1000)
    expect(b.received.at(-1)).toMatchObject({ topic: 'y', correlation: 4 })
  })

  it('are bounded, and no name is known before it was used, the empty one neither', () => {
    const { a, b } = pair()
    const lane = a.laneTo(b)
    expect(lane.knownTopic('')).toBeUndefined()
    for (let number = 1; number <= topicsMax; number += 1) expect(lane.topicNumber(`t${number}`)).toBe(number)
    expect(lane.topicNumber('more')).toBeUndefined()
    expect(lane.topicNumber('t7')).toBe(7)
  })
})

function pair() {
  const world = new LaneWorld()
  return { world, a: addPlane(world, 0), b: addPlane(world, 1) }
}

/** Sends and waits for the acknowledgement. */
async function exchange(world: LaneWorld, from: PlaneNode, to: PlaneNode, correlation: number) {
  from.send(to, correlation, Uint8Array.of(correlation))
  await world.pass(200)
}

describe('acknowledgements', () => {
  it('come within their delay, or at once when much has come', async () => {
    const { world, a, b } = pair()
    await exchange(world, a, b, 1)
    a.send(b, 2, NO_BYTES)
    await world.pass(DATA_LIMITS.ackDelayMs - 5)
    expect(a.laneTo(b).outbox.unackedBytes).toBeGreaterThan(0)
    await world.pass(10)
    expect(a.laneTo(b).outbox.unackedBytes).toBe(0)
    for (let index = 0; index < DATA_LIMITS.ackEveryBytes / frameBodyBytesMax + 1; index += 1)
      a.send(b, 3, new Uint8Array(frameBodyBytesMax))
    await world.pass(5)
    expect(a.laneTo(b).outbox.unackedBytes).toBeLessThan(2 * DATA_OVERHEAD_BYTES + 2 * frameBodyBytesMax)
  })
})

describe('a socket that dies', () => {
  it('costs nothing: what was not taken comes on the next one', async () => {
    const { world, a, b } = pair()
    await exchange(world, a, b, 1)
    a.send(b, 2, NO_BYTES)
    b.send(a, 3, NO_BYTES)
    await world.pass(0)
    world.killLanes()
    await world.pass(200)
    expect([b.correlations, a.correlations]).toEqual([[1, 2], [3]])
    expect([a.letters, b.letters, a.told, b.told]).toEqual([[], [], [], []])
  })

  it('is not missed while nothing waits', async () => {
    const { world, a, b } = pair()
    await exchange(world, a, b, 1)
    world.killLanes()
    await world.pass(5000)
    expect(world.lanes.length).toBe(1)
    await exchange(world, b, a, 2)
    expect(a.correlations).toEqual([2])
    expect(world.lanes.length).toBe(2)
  })

  it('is replaced with a back-off while dials fail, and quickly once they do not', async () => {
    const { world, a, b } = pair()
    await exchange(world, a, b, 1)
    world.refuseLanes = true
    world.killLanes()
    a.send(b, 2, NO_BYTES)
    await world.pass(5000)
    const { lanesReopened } = a.plane.counters
    expect(lanesReopened).toBeGreaterThan(5)
    expect(lanesReopened).toBeLessThan(40)
    world.refuseLanes = false
    await world.pass(DATA_LIMITS.reopenMaxMs + 100)
    expect(b.correlations).toEqual([1, 2])
  })
})

describe('both ends dial at once', () => {
  it.each([
    [3, 3],
    [3, 4],
    [4, 3],
  ])('and keep the socket that ranks higher: dials %i and %i', async (dialA, dialB) => {
    const { world, a, b } = pair()
    world.link(a.node, b.node)
    const ofA = world.join(a.node, b.node, 'ordinary', dialA)
    const ofB = world.join(b.node, a.node, 'ordinary', dialB)
    a.send(b, 1, NO_BYTES)
    b.send(a, 2, NO_BYTES)
    await world.pass(100)
    // B's uid is the higher one.
    const kept = dialA > dialB ? ofA : ofB
    expect(world.openLanes).toEqual([kept])
    expect([b.correlations, a.correlations]).toEqual([[1], [2]])
    await exchange(world, a, b, 3)
    expect(b.correlations).toEqual([1, 3])
    expect(world.lanes.length).toBe(2)
  })

  it('and a lower one that comes late is refused', async () => {
    const { world, a, b } = pair()
    world.link(a.node, b.node)
    const high = world.join(a.node, b.node, 'ordinary', 9)
    await world.pass(1)
    const low = world.join(b.node, a.node, 'ordinary', 8)
    await world.pass(1)
    expect(world.openLanes).toEqual([high])
    expect(low.sockets.map(({ destroyed }) => destroyed)).toEqual([true, true])
  })

  it('and dial above all they have heard of', async () => {
    const { world, a, b } = pair()
    world.link(a.node, b.node)
    world.join(b.node, a.node, 'ordinary', 40)
    await world.pass(1)
    world.killLanes()
    await world.pass(1)
    a.send(b, 1, NO_BYTES)
    await world.pass(100)
    expect(world.lanes.at(-1)).toMatchObject({ dial: 41, dialler: a.node })
  })

  it('and one who has forgotten dials above the sockets that the other still has', async () => {
    const { world, a, b } = pair()
    // The link stays when this end gives it up, and so does what the other end makes of its sockets.
    b.node.wanted.add('10.0.0.1:7000')
    for (let index = 0; index < 5; index += 1) {
      await exchange(world, a, b, index)
      world.killLanes()
      await world.pass(1)
    }
    await exchange(world, a, b, 5)
    // The end of the last one is not heard of.
    const stale = world.openLanes[0]!.sockets[1]
    a.plane.end(a.to(b), 'left')
    stale.setReading(false)
    a.send(b, 6, NO_BYTES)
    await world.pass(5)
    expect(b.correlations.at(-1)).toBe(6)
    expect(stale.destroyed).toBe(true)
  })
})

describe('a peer that has forgotten', () => {
  it('gets nothing of the old stream, and is sent the new one from its beginning', async () => {
    const { world, a, b } = pair()
    await exchange(world, a, b, 1)
    await exchange(world, b, a, 2)
    a.send(b, 3, NO_BYTES)
    await world.pass(0)
    b.plane.end(b.to(a), 'left')
    await world.pass(500)
    // It was acknowledged in part: what it was not told of is told here.
    expect(a.letters).toMatchObject([{ correlation: 3, sent: true, reason: 'peerReset' }])
    expect(a.told).toContain('peerReset ordinary')
    await exchange(world, a, b, 4)
    await exchange(world, b, a, 5)
    expect([b.correlations, a.correlations]).toEqual([
      [1, 4],
      [2, 5],
    ])
  })

  it('gets what it was never sent', async () => {
    const { world, a, b } = pair()
    world.refuseLanes = true
    a.send(b, 1, NO_BYTES)
    await world.pass(50)
    b.plane.end(b.to(a), 'left')
    world.refuseLanes = false
    await world.pass(2000)
    expect(b.correlations).toEqual([1])
    expect(a.letters).toEqual([])
  })

  it('gets nothing twice, though it never acknowledged', async () => {
    const { world, a, b } = pair()
    a.send(b, 1, NO_BYTES)
    await world.until(() => b.correlations.length === 1, 'the message')
    world.killLanes()
    b.plane.end(b.to(a), 'left')
    await world.pass(2000)
    await exchange(world, a, b, 2)
    expect(b.correlations).toEqual([1, 2])
    expect(a.letters).toMatchObject([{ correlation: 1, sent: true, reason: 'peerReset' }])
  })

  it('and says a position that cannot be is started over with', async () => {
    const rig = new Rig()
    await rig.say(resume(5))
    const { lane } = rig
    lane.topicNumber('t')
    lane.flush()
    await rig.world.pass(1)
    rig.reopen()
    await rig.say(resume(5, lane.outbox.epoch, 1000, 3))
    expect(rig.node.faults).toEqual(['badPosition'])
    expect(rig.node.told).toEqual(['abandoned ordinary peerReset'])
    expect(lane.outbox.isFresh).toBe(true)
  })
})

describe('a handler that ends its own association', () => {
  it('hears nothing of what lay behind in the same batch', async () => {
    const { world, a, b } = pair()
    await exchange(world, a, b, 1)
    b.onReceived = (_, association) => b.plane.end(association, 'quarantined')
    for (let index = 2; index < 6; index += 1) a.send(b, index, NO_BYTES)
    await world.pass(2)
    expect(b.correlations).toEqual([1, 2])
    expect(() => socketOf(world, b)).toThrow()
  })
})
