import { describe, expect, it } from 'vitest'
import { type Address, makeUid, type Uid } from '../../src/core/address.js'
import { VirtualClock } from '../../src/sim/clock.js'
import { MemoryNetwork } from '../../src/transport/memory/memory-network.js'
import type { MemoryStream } from '../../src/transport/memory/memory-stream.js'
import type { Transport, TransportEvent } from '../../src/transport/transport.js'

interface Node {
  readonly uid: Uid
  readonly address: Address
  readonly transport: Transport
  readonly events: TransportEvent[]
}

const text = (value: string) => new TextEncoder().encode(value)
const read = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

function setUp(count: number, seed = 1) {
  const clock = new VirtualClock(1000)
  const network = new MemoryNetwork({ clock, seed })
  const addNode = (index: number, generation = 0): Node => {
    const uid = makeUid(1_700_000_000_000 + 1000 * generation + index, index)
    const address = { host: `10.0.0.${index + 1}`, port: 7000 }
    const transport = network.createTransport({
      identity: { cluster: 'test', nodeId: `node-${index}`, uid },
      listen: address,
      heartbeat: {
        intervalMs: 1000,
        echoEvery: 2,
        phiThreshold: 8,
        acceptablePauseMs: 2000,
        minStdDeviationMs: 100,
        windowSize: 200,
        stalledAfterMs: 2000,
      },
      dial: {
        connectTimeoutMs: 1000,
        backoffMinMs: 100,
        backoffMaxMs: 10_000,
        backoffWatchedMaxMs: 1000,
        confirmGoneMs: 50,
      },
    })
    const events: TransportEvent[] = []
    void transport.start((batch) => {
      events.push(...batch)
    })
    return { uid, address, transport, events }
  }
  const nodes = Array.from({ length: count }, (_, index) => addNode(index))
  return { clock, network, nodes, addNode }
}

/** Two nodes that watch each other, linked and beating. */
function watchingPair(seed?: number) {
  const world = setUp(2, seed)
  const [a, b] = world.nodes as [Node, Node]
  a.transport.watch(b.uid, b.address)
  b.transport.watch(a.uid, a.address)
  world.clock.runFor(5000)
  return { ...world, a, b }
}

function eventsOf<T extends TransportEvent['type']>(
  node: Node,
  type: T,
): Extract<TransportEvent, { type: T }>[] {
  return node.events.filter((event): event is Extract<TransportEvent, { type: T }> => event.type === type)
}

const suspicions = (node: Node) =>
  eventsOf(node, 'suspicion').map((event) => (event.suspected ? event.cause : 'trusted'))
const isLinked = (node: Node, other: Node) =>
  node.transport.peers().some((p) => p.uid === other.uid && p.linked)

describe('memory network', () => {
  it('repeats a run, event by event, for one seed, and differs for another', () => {
    const run = (seed: number) => {
      const { clock, network, a, b } = watchingPair(seed)
      network.cut(a.address, b.address)
      clock.runFor(20_000)
      network.healAll()
      clock.runFor(5000)
      network.crash(b.address)
      clock.runFor(5000)
      return JSON.stringify([
        a.events,
        b.events,
        a.transport.counters(),
        b.transport.counters(),
        clock.eventCount,
      ])
    }
    expect(run(7)).toBe(run(7))
    expect(run(7)).not.toBe(run(8))
  })

  it('steady, suspects nobody for an hour', () => {
    const { clock, a, b } = watchingPair()
    clock.runFor(3_600_000)
    expect(suspicions(a)).toEqual([])
    expect(suspicions(b)).toEqual([])
    expect(a.transport.counters()['beatsIn']).toBeGreaterThan(3600)
    expect(a.transport.counters()['selfPauses']).toBe(0)
  })

  it('a cut holds bytes back; healing delivers them in order, and trust returns', () => {
    const { clock, network, a, b } = watchingPair()
    network.cut(a.address, b.address)
    for (const word of ['one', 'two', 'three']) a.transport.send(b.uid, text(word))
    clock.runFor(10_000)
    expect(eventsOf(b, 'message')).toEqual([])
    expect(suspicions(a)).toEqual(['silence'])
    expect(eventsOf(a, 'gated').every((event) => event.reason === 'timeout')).toBe(true)
    expect(eventsOf(a, 'linkDown')).toEqual([])
    network.heal(a.address, b.address)
    clock.runFor(2000)
    expect(eventsOf(b, 'message').map((event) => read(event.bytes))).toEqual(['one', 'two', 'three'])
    expect(suspicions(a)).toEqual(['silence', 'trusted'])
    expect(suspicions(b)).toEqual(['silence', 'trusted'])
  })

  it('a one-way cut silences one direction only', () => {
    const { clock, network, a, b } = watchingPair()
    network.cut(a.address, b.address, { oneWay: true })
    clock.runFor(10_000)
    expect(suspicions(a)).toEqual([])
    expect(suspicions(b)).toEqual(['silence'])
    b.transport.send(a.uid, text('still heard'))
    clock.runFor(100)
    expect(eventsOf(a, 'message').map((event) => read(event.bytes))).toEqual(['still heard'])
  })

  it('a partition cuts every way between two groups, and none inside them', () => {
    const { clock, network, nodes } = setUp(4)
    for (const node of nodes) {
      for (const other of nodes) if (other !== node) node.transport.watch(other.uid, other.address)
    }
    clock.runFor(5000)
    const [a, b, c, d] = nodes as [Node, Node, Node, Node]
    network.partition([a.address, b.address], [c.address, d.address])
    clock.runFor(10_000)
    const suspectedBy = (node: Node) => eventsOf(node, 'suspicion').map((event) => event.uid)
    expect(suspectedBy(a).sort()).toEqual([c.uid, d.uid].sort())
    expect(suspectedBy(d).sort()).toEqual([a.uid, b.uid].sort())
    network.healAll()
    clock.runFor(5000)
    for (const node of nodes) expect(suspicions(node)).toEqual(['silence', 'silence', 'trusted', 'trusted'])
  })

  it('a stopped process is suspected by silence, and charges nobody for its own pause', () => {
    const { clock, network, a, b } = watchingPair()
    network.pause(b.address)
    expect(network.isPaused(b.address)).toBe(true)
    a.transport.send(b.uid, text('while stopped'))
    clock.runFor(20_000)
    expect(suspicions(a)).toEqual(['silence'])
    expect(isLinked(a, b)).toBe(true)
    expect(eventsOf(b, 'message')).toEqual([])
    network.resume(b.address)
    clock.runFor(3000)
    expect(suspicions(a)).toEqual(['silence', 'trusted'])
    expect(suspicions(b)).toEqual([])
    const paused = eventsOf(b, 'paused')
    expect(paused).toHaveLength(1)
    expect(paused[0]!.gapMs).toBeGreaterThan(19_000)
    expect(eventsOf(b, 'message').map((event) => read(event.bytes))).toEqual(['while stopped'])
    expect(eventsOf(a, 'linkDown')).toEqual([])
  })

  it('connects that a stopped process accepted and its diallers gave up never replace the living link', () => {
    const { clock, network, a, b } = watchingPair()
    network.pause(b.address)
    clock.runFor(20_000)
    const dialled = a.transport.counters()['dials']!
    expect(dialled).toBeGreaterThan(5)
    const sessionsBefore = eventsOf(b, 'linkUp').length
    network.resume(b.address)
    clock.runFor(3000)
    expect(eventsOf(b, 'linkUp').length - sessionsBefore).toBeLessThanOrEqual(1)
    a.transport.send(b.uid, text('after'))
    clock.runFor(100)
    expect(read(eventsOf(b, 'message').at(-1)!.bytes)).toBe('after')
  })

  it('a crash closes its sockets and refuses connects: gone within the confirmation pause', () => {
    const { clock, network, a, b } = watchingPair()
    const crashedMs = clock.nowMs()
    network.crash(b.address)
    clock.runUntil(() => suspicions(a).includes('gone'), 5000)
    expect(clock.nowMs() - crashedMs).toBeLessThan(60)
    expect(eventsOf(a, 'linkDown').map((event) => event.reason)).toEqual(['closedByPeer'])
    const heard = b.events.length
    clock.runFor(10_000)
    expect(b.events.length).toBe(heard)
    expect(b.transport.send(a.uid, text('x'))).toBe('noLink')
  })

  it('a crash while cut off is silence; after healing, its kernel says gone', () => {
    const { clock, network, a, b } = watchingPair()
    network.cut(a.address, b.address)
    network.crash(b.address)
    clock.runFor(10_000)
    expect(suspicions(a)).toEqual(['silence'])
    network.healAll()
    clock.runFor(3000)
    expect(suspicions(a)).toEqual(['silence', 'gone'])
  })

  it('a restart at the same address is another incarnation', () => {
    const { clock, network, a, b, addNode } = watchingPair()
    network.crash(b.address)
    const reborn = addNode(1, 1)
    clock.runFor(2000)
    expect(eventsOf(a, 'identityChanged')[0]).toMatchObject({ expected: b.uid, actual: { uid: reborn.uid } })
    expect(suspicions(a)).toEqual(['gone'])
    a.transport.unwatch(b.uid)
    a.transport.watch(reborn.uid, reborn.address)
    clock.runFor(2000)
    expect(isLinked(a, reborn)).toBe(true)
  })

  it('a blocked loop is stalled, not silent; events wait for it and none is lost', () => {
    const { clock, network, a, b } = watchingPair()
    network.blockLoop(b.address)
    a.transport.send(b.uid, text('for later'))
    clock.runFor(10_000)
    expect(suspicions(a)).toEqual([])
    expect(eventsOf(a, 'stalled').map((event) => event.stalled)).toEqual([true])
    expect(eventsOf(a, 'stalled')[0]!.loopAgeMs).toBeGreaterThanOrEqual(2000)
    expect(a.transport.peers()[0]!.loopAgeMs).toBeGreaterThan(8000)
    expect(eventsOf(b, 'message')).toEqual([])
    network.unblockLoop(b.address)
    clock.runFor(3000)
    expect(eventsOf(a, 'stalled').map((event) => event.stalled)).toEqual([true, false])
    expect(eventsOf(b, 'message').map((event) => read(event.bytes))).toEqual(['for later'])
    expect(eventsOf(b, 'paused')).toEqual([])
  })

  it('a loop blocked for too long gives up the link it cannot take from, and counts it', () => {
    const { clock, network, a, b } = watchingPair()
    network.blockLoop(b.address)
    const chunk = new Uint8Array(4 * 1024 * 1024 - 16)
    for (let round = 0; round < 40; round += 1) {
      a.transport.send(b.uid, chunk)
      clock.runFor(50)
    }
    expect(b.transport.counters()['inboxFull']).toBeGreaterThanOrEqual(1)
    expect(eventsOf(a, 'linkDown').length).toBeGreaterThanOrEqual(1)
  })

  it('latency of one link may differ from the rest', () => {
    const { clock, network, nodes } = setUp(3)
    const [a, b, c] = nodes as [Node, Node, Node]
    network.setLatency(a.address, b.address, { minMs: 80, maxMs: 80 })
    a.transport.watch(b.uid, b.address)
    a.transport.watch(c.uid, c.address)
    clock.runFor(10_000)
    const rttAt = (node: Node) => node.transport.peers().find((peer) => peer.uid === a.uid)!.rttMs
    expect(rttAt(b)).toBeCloseTo(160, 0)
    expect(rttAt(c)).toBeLessThan(2)
  })

  it('a stopped receiver fills the buffers, the outbox reports it, and everything arrives later', () => {
    const { clock, network, a, b } = watchingPair()
    network.pause(b.address)
    const chunk = new Uint8Array(1024 * 1024)
    let taken = 0
    while (a.transport.send(b.uid, chunk) === 'sent') taken += 1
    expect(taken).toBeGreaterThan(14)
    expect(taken).toBeLessThan(20)
    clock.runFor(1000)
    expect(a.transport.peers()[0]!.outboxBytes).toBeGreaterThan(10 * 1024 * 1024)
    network.resume(b.address)
    clock.runFor(1000)
    expect(eventsOf(b, 'message')).toHaveLength(taken)
    expect(a.transport.peers()[0]!.outboxBytes).toBe(0)
  })

  it('holds no beat behind an unsent one', () => {
    const { clock, network, a, b } = watchingPair()
    network.pause(a.address)
    const chunk = new Uint8Array(1024 * 1024)
    for (let index = 0; index < 4; index += 1) b.transport.send(a.uid, chunk)
    clock.runFor(10_000)
    expect(b.transport.counters()['beatsSkipped']).toBeGreaterThanOrEqual(8)
  })

  it('answers data to an end that is gone with a reset', () => {
    const { clock, network } = setUp(0)
    const accepted: MemoryStream[] = []
    const server = network.addHost({ host: '10.0.0.1', port: 1 }, (stream) => accepted.push(stream))
    const client = network.addHost({ host: '10.0.0.2', port: 1 })
    const heard: string[] = []
    const stream = network.connect(client, server.address, {
      onOpened: () => heard.push('opened'),
      onRefused: () => heard.push('refused'),
      onData: () => heard.push('data'),
      onEnded: () => heard.push('ended'),
      onClosed: (how) => heard.push(how),
      onWritten: () => heard.push('written'),
    })
    clock.runFor(10)
    accepted[0]!.destroy()
    clock.runFor(10)
    expect(heard).toEqual(['opened', 'ended'])
    stream.write(Uint8Array.of(1))
    clock.runFor(10)
    expect(heard).toEqual(['opened', 'ended', 'reset'])
  })

  it('two listeners do not share an address', async () => {
    const { network, nodes } = setUp(1)
    expect(() => network.addHost(nodes[0]!.address)).toThrow(
      expect.objectContaining({ code: 'ERR_SKEIN_BIND' }),
    )
  })
})
