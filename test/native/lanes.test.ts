import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRandom } from '../../src/sim/random.js'
import type { LaneSocketHandler } from '../../src/transport/lane-socket.js'
import { NATIVE_LIMITS } from '../../src/transport/limits.js'
import { loadAddon } from '../../src/transport/native/load.js'
import { Lane } from '../../src/wire/frame.js'
import { NATIVE_MISSING } from '../cluster/support.js'
import { FakePeer } from '../contract/fake-peer.js'
import {
  closeNodes,
  counter,
  eventsOf,
  freshUid,
  isLinked,
  linkedPair,
  type Node,
  startNode,
} from '../contract/harness.js'
import { isSame, LaneProbe, lanesAt, openLane, pattern } from '../contract/lane-probe.js'
import { type Bench, BINARY, fixture, jsonLines, makeBench, runNode, waitFor } from './support.js'

const KIB = 1024
const MIB = 1024 * KIB

/** The contract suite holds the native lanes to `LaneSocket`; here is what only they have. */
describe.skipIf(NATIVE_MISSING)('native lanes', () => {
  let bench: Bench
  let child: ChildProcess | undefined

  beforeEach(() => {
    bench = makeBench()
  })
  afterEach(async () => {
    child?.kill('SIGKILL')
    child = undefined
    await closeNodes(bench.harness, bench.open)
    await bench.dispose()
  })

  async function attachedPair(): Promise<[LaneProbe, LaneProbe]> {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    const [here, there] = await openLane(bench.harness, a, b)
    return [here.attach(), there.attach()]
  }

  /** A node here, linked to one in a process of its own whose lanes send back what they receive. */
  async function linkedToProcess(): Promise<{ node: Node; uid: string; lines: Record<string, unknown>[] }> {
    const node = await startNode(bench.harness, bench.open, { cluster: 'raw' })
    const uid = freshUid()
    child = spawn(process.execPath, [fixture('lane-peer.mjs'), BINARY, uid], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = jsonLines(child)
    await waitFor(() => lines.length > 0, 'the process to start')
    node.transport.connect({ host: '127.0.0.1', port: Number(lines[0]!['port']) }, uid)
    await waitFor(() => isLinked(node, uid), 'the link')
    return { node, uid, lines }
  }

  async function laneTo(node: Node, uid: string, dial: number): Promise<LaneProbe> {
    node.transport.openLane(uid, 'ordinary', dial)
    await waitFor(() => lanesAt(node, 'ordinary').some((lane) => lane.dial === dial), `lane ${dial}`)
    return new LaneProbe(lanesAt(node, 'ordinary').find((lane) => lane.dial === dial)!.socket)
  }

  it('carry 64 MiB through pauses and partial frames without loss', async () => {
    const [here, there] = await attachedPair()
    const [sent, received] = [createHash('sha256'), createHash('sha256')]
    const random = createRandom(7)
    let taken = 0
    let pauses = 0
    const reader: LaneSocketHandler = {
      onData: (bytes, from, to) => {
        // Now and then only a part, as a frame's end would have it.
        const count = random() < 0.5 ? to - from : Math.ceil((to - from) * random())
        received.update(bytes.subarray(from, from + count))
        taken += count
        if (random() < 0.1) {
          pauses += 1
          there.socket.setReading(false)
          setTimeout(() => there.socket.setReading(true), 1)
        }
        return count
      },
      onWritable: () => {},
      onEnd: () => {},
    }
    there.onData = reader.onData
    for (let at = 0; at < 64; at += 1) {
      const bytes = pattern(MIB, at)
      sent.update(bytes)
      here.send(bytes)
    }
    // What is left of the last batch is offered again only when reading is resumed.
    await waitFor(
      () => {
        there.socket.setReading(false)
        there.socket.setReading(true)
        return taken === 64 * MIB
      },
      'all bytes',
      60_000,
    )
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(pauses).toBeGreaterThan(0)
    expect(here.writables).toBeGreaterThan(0)
  }, 70_000)

  it('keep what is not taken up to the receive buffer, and end there', async () => {
    const [here, there] = await attachedPair()
    let offered = 0
    there.take = (count) => {
      offered = count
      return 0
    }
    const { laneReceiveBytes } = NATIVE_LIMITS
    const sent = pattern(laneReceiveBytes, 3)
    here.send(sent.slice(0, -1))
    await waitFor(() => offered === laneReceiveBytes - 1, 'all but one byte')
    await bench.harness.advance(50)
    expect(there.ends).toEqual([])
    there.take = (count) => count
    here.send(sent.slice(-1))
    await waitFor(() => there.receivedBytes === laneReceiveBytes, 'the whole')
    expect(isSame(there.received, sent)).toBe(true)
    there.take = () => 0
    here.send(sent.slice())
    await waitFor(() => there.ends.length === 1, 'the end')
    expect(there.ends).toEqual(['error'])
  })

  it('offer what was kept again when reading is resumed', async () => {
    const [here, there] = await attachedPair()
    there.take = (count) => {
      there.socket.setReading(false)
      return Math.min(count, 10)
    }
    here.send(pattern(100))
    await waitFor(() => there.receivedBytes === 10, 'the first ten')
    for (let rounds = 2; rounds <= 10; rounds += 1) {
      there.socket.setReading(true)
      expect(there.receivedBytes).toBe((rounds - 1) * 10)
      await waitFor(() => there.receivedBytes === rounds * 10, 'ten more')
    }
    expect(isSame(there.received, pattern(100))).toBe(true)
  })

  it('take nothing of what is no range of bytes', async () => {
    const [here, there] = await attachedPair()
    const { socket } = here
    const bytes = pattern(100)
    expect(socket.write(bytes, 50, 40)).toBe(0)
    expect(socket.write(bytes, 100, 200)).toBe(0)
    expect(socket.write(bytes, -1, 10)).toBe(0)
    expect(socket.write([1, 2, 3] as never, 0, 3)).toBe(0)
    expect(socket.write(new Float64Array(10) as never, 0, 10)).toBe(0)
    const detached = new Uint8Array(10)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    expect(socket.write(detached, 0, 10)).toBe(0)
    expect(socket.write(bytes, 90, 200)).toBe(10)
    await waitFor(() => there.receivedBytes === 10, 'the ten that there are')
    expect(isSame(there.received, bytes.subarray(90))).toBe(true)
  })

  it('an index that was destroyed names no lane, also when its slot is used again', async () => {
    const { lanes } = loadAddon()
    const [a, b] = await linkedPair(bench.harness, bench.open)
    const [first] = await openLane(bench.harness, a, b, 'ordinary', 1)
    const stale = (first.socket as unknown as { index: number }).index
    first.destroy()
    const [second, there] = await openLane(bench.harness, a, b, 'ordinary', 2)
    there.attach()
    second.attach()
    lanes.destroy(stale)
    lanes.shutdown(stale)
    lanes.setReading(stale, false)
    expect(lanes.write(stale, pattern(10), 0, 10)).toBe(0)
    for (const nonsense of [-1, 2 ** 31, Number.NaN, 'x' as never, undefined as never]) {
      lanes.destroy(nonsense)
      expect(lanes.write(nonsense, pattern(10), 0, 10)).toBe(0)
    }
    second.send(pattern(20))
    there.send(pattern(30))
    await waitFor(() => there.receivedBytes === 20 && second.receivedBytes === 30, 'the bytes')
    expect(() => lanes.start(new ArrayBuffer(NATIVE_LIMITS.laneReceiveBytes), () => 0)).toThrow(TypeError)
  })

  it('outlive the transport that they came from', async () => {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    const [here, there] = await openLane(bench.harness, a, b)
    let closed: Promise<void> | undefined
    here.attach().afterData = () => {
      closed ??= a.transport.close()
    }
    there.attach().send(pattern(10))
    await waitFor(() => closed !== undefined, 'the first bytes')
    await closed
    here.send(pattern(1000))
    there.send(pattern(1000))
    await waitFor(() => here.receivedBytes === 1010 && there.receivedBytes === 1000, 'the bytes')
  })

  it('of a peer that was quarantined while they lay in the ring are closed', async () => {
    const [a, b] = await linkedPair(bench.harness, bench.open)
    a.transport.openLane(b.uid, 'ordinary', 1)
    b.transport.openLane(a.uid, 'large', 1)
    // This loop does not turn meanwhile.
    for (let tries = 0; counter(a, 'lanesOpened') < 2 && tries < 10_000_000; tries += 1);
    a.transport.quarantine(b.uid, 'operator')
    await waitFor(() => eventsOf(a, 'laneFailed').length === 1, 'the failure')
    expect(eventsOf(a, 'laneFailed')).toMatchObject([{ uid: b.uid, lane: 'ordinary', reason: 'handshake' }])
    expect(eventsOf(a, 'laneOpened')).toEqual([])
    await waitFor(() => eventsOf(b, 'laneOpened').length > 0, 'the lane on the other side')
    const probe = new LaneProbe(eventsOf(b, 'laneOpened')[0]!.socket).attach()
    await waitFor(() => probe.ends.length === 1, 'its end')
  })

  it('that nobody has taken over are closed with the transport', async () => {
    const { node, uid } = await linkedToProcess()
    const probe = (await laneTo(node, uid, 1)).attach()
    probe.send(pattern(10))
    await waitFor(() => probe.receivedBytes === 10, 'the echo')
    const before = bench.harness.openDescriptors()!
    for (let dial = 2; dial <= 20; dial += 1) node.transport.openLane(uid, 'ordinary', dial)
    for (let tries = 0; counter(node, 'lanesOpened') < 20 && tries < 10_000_000; tries += 1);
    // From here on nobody is told: what lies in the ring has no owner.
    await node.transport.close()
    expect(eventsOf(node, 'laneOpened')).toHaveLength(1)
    expect(bench.harness.openDescriptors()!).toBeLessThan(before)
    probe.send(pattern(10))
    await waitFor(() => probe.receivedBytes === 20, 'the echo of the one that was taken over')
  })

  it('wait for a loop that does not turn, up to a bound', async () => {
    const { node, uid, lines } = await linkedToProcess()
    const { handOversMax } = NATIVE_LIMITS
    const directory = mkdtempSync(join(tmpdir(), 'skein-lanes-'))
    const release = join(directory, 'release')
    child!.stdin!.write(release)
    await waitFor(() => lines.some((line) => line['type'] === 'blocked'), 'the loop to be blocked')
    const opened = () => lanesAt(node, 'ordinary').length
    for (let dial = 1; dial <= handOversMax + 3; dial += 1) {
      node.transport.openLane(uid, 'ordinary', dial)
      // Fewer than an acceptor allows to be under way at once.
      if (dial % 100 === 0) await waitFor(() => opened() === dial, 'a hundred lanes')
    }
    await waitFor(() => opened() === handOversMax + 3, 'all lanes')
    const probes = lanesAt(node, 'ordinary').map(({ socket }) => new LaneProbe(socket).attach())
    for (const probe of probes) probe.send(pattern(50))
    await waitFor(() => probes.filter((probe) => probe.ends.length === 1).length === 3, 'three ends')
    expect(lines.filter((line) => line['type'] === 'turned')).toEqual([])
    writeFileSync(release, '')
    await waitFor(
      () => probes.filter((probe) => probe.receivedBytes === 50).length === handOversMax,
      'echoes',
    )
    await waitFor(() => lines.some((line) => line['type'] === 'turned'), 'the loop to turn')
    rmSync(directory, { recursive: true })
    expect(lines.find((line) => line['type'] === 'turned')).toMatchObject({ acceptsFailed: 3 })
  }, 30_000)

  it('to a process that is killed end, in the middle of whatever was under way', async () => {
    const { node, uid, lines } = await linkedToProcess()
    const probes = await Promise.all([1, 2, 3, 4].map((dial) => laneTo(node, uid, dial)))
    for (const probe of probes.slice(1)) probe.attach()
    for (const probe of probes) probe.send(pattern(8 * MIB))
    await waitFor(() => lines.some((line) => line['type'] === 'echoing'), 'bytes to flow')
    child!.kill('SIGKILL')
    probes[0]!.attach()
    await waitFor(() => probes.every((probe) => probe.ends.length === 1), 'all ends')
    for (const probe of probes) expect(['reset', 'ended']).toContain(probe.ends[0])
  })

  it('end with a worker that is terminated under load', async () => {
    const node = await startNode(bench.harness, bench.open, { cluster: 'raw' })
    const before = bench.harness.openDescriptors()!
    for (let round = 0; round < 5; round += 1) {
      const uid = freshUid()
      const worker = new Worker(fixture('lane-peer.mjs'), { workerData: [BINARY, uid] })
      const lines: Record<string, unknown>[] = []
      worker.on('message', (line) => lines.push(line))
      await waitFor(() => lines.length > 0, 'the worker to start')
      node.transport.connect({ host: '127.0.0.1', port: Number(lines[0]!['port']) }, uid)
      await waitFor(() => isLinked(node, uid), 'the link')
      const probes = await Promise.all([1, 2, 3].map((dial) => laneTo(node, uid, round * 10 + dial)))
      for (const probe of probes) {
        probe.attach().afterData = () => probe.unsentBytes < MIB && probe.send(pattern(MIB))
        probe.send(pattern(MIB))
      }
      await waitFor(() => lines.some((line) => line['type'] === 'echoing'), 'bytes to flow')
      await worker.terminate()
      await waitFor(() => probes.every((probe) => probe.ends.length === 1), 'all ends')
      for (const probe of probes) probe.destroy()
      node.transport.disconnect({ host: '127.0.0.1', port: Number(lines[0]!['port']) })
    }
    await waitFor(() => bench.harness.openDescriptors()! <= before, 'no descriptor to be left')
  }, 60_000)

  it.each([
    ['handler', 'uncaught thrown by the handler\ntaken 1,2,3,4,5\n'],
    ['tick', 'taken 1,2,3\nuncaught thrown in a tick\ntaken 4,5\n'],
    ['both', 'uncaught thrown by the handler\nuncaught thrown in a tick\ntaken 1,2,3,4,5\n'],
  ])(
    'what is thrown (%s) is an uncaught exception, and only what was not taken comes again',
    async (who, stdout) => {
      const finished = await runNode([fixture('lane-throw.mjs'), BINARY, who], 20_000)
      expect(finished).toEqual({ code: 0, signal: null, stdout, stderr: '' })
    },
  )

  it('offer what was left again when reading went off and on within the delivery', async () => {
    const [here, there] = await attachedPair()
    there.take = (count) => {
      there.socket.setReading(false)
      there.socket.setReading(true)
      return Math.min(count, 10)
    }
    here.send(pattern(100))
    await waitFor(() => there.receivedBytes === 100, 'all bytes')
    expect(isSame(there.received, pattern(100))).toBe(true)
  })

  it('tell of the end behind the bytes that came with the hand-over, whoever attaches when', async () => {
    const node = await startNode(bench.harness, bench.open)
    const probes: LaneProbe[] = []
    for (let dial = 1; dial <= 2; dial += 1) {
      const peer = await FakePeer.halfDial(bench.harness, node.address, { lane: Lane.ordinary, dial })
      // One segment: what is behind the frame travels with the socket.
      peer.send(Buffer.concat([peer.ready(), pattern(10, dial)]))
      peer.stream.end()
      await waitFor(() => lanesAt(node, 'ordinary').length === dial, 'the lane')
      probes.push(new LaneProbe(lanesAt(node, 'ordinary')[dial - 1]!.socket))
    }
    const [first, second] = probes as [LaneProbe, LaneProbe]
    // So that this end is found before the turn that the bytes wait for.
    await bench.harness.advance(50)
    first.afterData = () => second.attach()
    first.attach()
    await waitFor(() => second.ends.length === 1, 'the end')
    expect([second.receivedBytes, second.ends]).toEqual([10, ['ended']])
  })
})
