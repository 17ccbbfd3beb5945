/** The bytes of a data lane, from its hand-over to its end; between any two adapters that speak to each other. */
import { describe, expect, it } from 'vitest'
import { linkedPair } from './harness.js'
import { isSame, type LaneProbe, openLane, pattern } from './lane-probe.js'
import type { ContractContext } from './transport-contract.js'

const KIB = 1024
const MIB = 1024 * KIB
/** More than the buffers of two kernels hold for one loopback connection. */
const STALL_BYTES_MAX = 64 * MIB

/** Sizes of writes, from nothing to a megabyte, in no order. */
const SIZES = [1, 0, 7, 65_536, 65_535, 3, MIB, 20, 100_001, ...Array.from({ length: 100 }, (_, i) => i * 37)]

async function attachedPair(context: ContractContext): Promise<[LaneProbe, LaneProbe]> {
  const { harness, open } = context
  const [a, b] = await linkedPair(harness, open)
  const [here, there] = await openLane(harness, a, b)
  return [here.attach(), there.attach()]
}

/** Writes until the socket takes no more; how many bytes it took. The reader must not read. */
async function fill(context: ContractContext, probe: LaneProbe, seed: number): Promise<number> {
  let given = 0
  while (probe.unsentBytes === 0 && given < STALL_BYTES_MAX) {
    probe.send(pattern(256 * KIB, seed + given))
    given += 256 * KIB
    // What a first buffer takes at once may still move on into the next one.
    if (probe.unsentBytes > 0) await context.harness.advance(50)
  }
  return given
}

function filled(bytes: number, seed: number): Uint8Array {
  const whole = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += 256 * KIB) whole.set(pattern(256 * KIB, seed + at), at)
  return whole
}

export function laneStreamContract(context: ContractContext): void {
  describe('bytes of a data lane', () => {
    it('arrive whole and in order, both ways and on both lanes at once', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const probes = [
        ...(await openLane(harness, a, b, 'ordinary')),
        ...(await openLane(harness, b, a, 'large')),
      ]
      for (const probe of probes) probe.attach()
      const sent = probes.map((_, side) => SIZES.map((size, index) => pattern(size, side * 1000 + index)))
      for (let index = 0; index < SIZES.length; index += 1)
        probes.forEach((probe, side) => {
          probe.send(sent[side]![index]!)
        })
      const total = SIZES.reduce((sum, size) => sum + size, 0)
      await harness.waitFor(() => probes.every((probe) => probe.receivedBytes === total), 'all bytes')
      const other = [1, 0, 3, 2]
      const wrong = probes.filter(
        (probe, side) => !isSame(probe.received, Buffer.concat(sent[other[side]!]!)),
      )
      expect(wrong).toEqual([])
      expect(probes.map((probe) => [...probe.arrayTypes])).toEqual(probes.map(() => [Uint8Array]))
    })

    it('of a part of an array are those of that part', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      const whole = pattern(1000)
      expect(here.socket.write(whole.subarray(100), 200, 500)).toBe(300)
      expect(here.socket.write(whole, 10, 10)).toBe(0)
      await harness.waitFor(() => there.receivedBytes === 300, 'the part')
      await harness.advance(50)
      expect(there.receivedBytes).toBe(300)
      expect(isSame(there.received, whole.subarray(300, 600))).toBe(true)
    })

    it('written before the other end is attached to wait, and so does its end', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const [here, there] = await openLane(harness, a, b)
      here.attach().send(pattern(50_000, 3))
      here.socket.shutdown()
      await harness.advance(100)
      expect(there.receivedBytes).toBe(0)
      there.attach()
      // Whatever waits comes in a turn of its own: whoever attaches is not yet ready for it.
      expect(there.dataCalls + there.ends.length).toBe(0)
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      expect(isSame(there.received, pattern(50_000, 3))).toBe(true)
      expect(there.ends).toEqual(['ended'])
    })

    it('written before this end is attached to are taken', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const [here, there] = await openLane(harness, a, b)
      there.attach()
      here.send(pattern(1000, 9))
      await harness.waitFor(() => there.receivedBytes === 1000, 'the bytes')
      expect(isSame(there.received, pattern(1000, 9))).toBe(true)
    })

    it('that are not taken come again, in front of what arrives next', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      const frame = 999
      const seen: number[] = []
      there.take = (count) => {
        seen.push(count)
        return count - (count % frame)
      }
      const sent = pattern(200 * frame, 5)
      for (let at = 0; at < sent.length; at += 4321) {
        here.send(sent.slice(at, at + 4321))
        if (at % 5 === 0) await harness.advance(2)
      }
      await harness.waitFor(() => there.receivedBytes === sent.length, 'all frames')
      expect(isSame(there.received, sent)).toBe(true)
      expect(seen.some((count) => count % frame !== 0)).toBe(true)
    })

    it('may be of a frame of 64 KiB that nothing of is taken before it is whole', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      const frame = 64 * KIB + 20
      there.take = (count) => (count < frame ? 0 : frame)
      const sent = pattern(frame, 8)
      for (let at = 0; at < frame; at += 6000) {
        here.send(sent.slice(at, at + 6000))
        await harness.advance(1)
      }
      await harness.waitFor(() => there.receivedBytes === frame, 'the frame')
      expect(isSame(there.received, sent)).toBe(true)
    })

    it('that are not taken because reading was turned off come again when it is on, before the end', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      there.take = () => {
        there.socket.setReading(false)
        return 0
      }
      here.send(pattern(1000, 6))
      await harness.waitFor(() => there.dataCalls === 1, 'the bytes')
      there.take = (count) => count
      there.socket.setReading(true)
      await harness.waitFor(() => there.receivedBytes === 1000, 'the same bytes')
      there.take = () => {
        there.socket.setReading(false)
        return 0
      }
      here.send(pattern(500, 7))
      await harness.waitFor(() => there.dataCalls === 3, 'more bytes')
      here.socket.shutdown()
      await harness.advance(100)
      there.take = (count) => count
      there.socket.setReading(true)
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      expect(isSame(there.received.subarray(1000), pattern(500, 7))).toBe(true)
      expect(there.ends).toEqual(['ended'])
    })

    it('that the socket does not take at once are announced when it takes more', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      there.socket.setReading(false)
      const bytes = await fill(context, here, 1)
      expect(here.unsentBytes).toBeGreaterThan(0)
      const [announced, arrived] = [here.writables, there.receivedBytes]
      await harness.advance(50)
      expect([here.writables, there.receivedBytes]).toEqual([announced, arrived])
      there.socket.setReading(true)
      await harness.waitFor(() => there.receivedBytes === bytes, 'all bytes')
      expect(here.writables).toBeGreaterThan(announced)
      expect(here.unsentBytes).toBe(0)
      expect(isSame(there.received, filled(bytes, 1))).toBe(true)
    })

    it('stop while reading is off, and so does the news of the end', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      here.send(pattern(100))
      await harness.waitFor(() => there.receivedBytes === 100, 'the first bytes')
      there.socket.setReading(false)
      there.socket.setReading(false)
      here.send(pattern(500, 1))
      here.socket.shutdown()
      await harness.advance(100)
      expect([there.receivedBytes, there.ends]).toEqual([100, []])
      there.socket.setReading(true)
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      expect(there.receivedBytes).toBe(600)
      expect(there.ends).toEqual(['ended'])
    })

    it('stop at once when reading is turned off while they are handed over', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      there.afterData = () => there.socket.setReading(false)
      here.send(pattern(4 * MIB, 2))
      let rounds = 0
      while (there.receivedBytes < 4 * MIB && rounds < 4000) {
        const calls = there.dataCalls
        there.socket.setReading(true)
        await harness.waitFor(() => there.dataCalls > calls, 'more')
        await harness.advance(1)
        expect(there.dataCalls).toBe(calls + 1)
        rounds += 1
      }
      expect(isSame(there.received, pattern(4 * MIB, 2))).toBe(true)
    })
  })

  laneEndContract(context)
}

function laneEndContract(context: ContractContext): void {
  describe('the end of a data lane', () => {
    it('by shutdown comes after all data, and the other direction goes on', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      there.socket.setReading(false)
      const sent = await fill(context, here, 4)
      there.socket.setReading(true)
      await harness.waitFor(() => here.unsentBytes === 0, 'all bytes to be taken')
      here.socket.shutdown()
      expect(here.socket.write(pattern(10), 0, 10)).toBe(0)
      there.send(pattern(70_000, 6))
      await harness.waitFor(() => there.ends.length === 1 && here.receivedBytes === 70_000, 'all bytes')
      expect(there.ends).toEqual(['ended'])
      expect(there.socket.write(pattern(10), 0, 10)).toBe(0)
      expect(isSame(there.received, filled(sent, 4))).toBe(true)
      expect(isSame(here.received, pattern(70_000, 6))).toBe(true)
      there.destroy()
      await harness.waitFor(() => here.ends.length === 1, 'the end of the other direction')
    })

    it('by destroy is heard at the other end, and calls nothing at this one', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      here.destroy()
      here.destroy()
      there.send(pattern(100_000))
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      await harness.advance(50)
      expect(there.ends).toHaveLength(1)
      expect(['ended', 'reset']).toContain(there.ends[0])
      expect([here.dataCalls, here.lateCalls, here.ends.length, there.lateCalls]).toEqual([0, 0, 0, 0])
      expect(here.socket.write(pattern(10), 0, 10)).toBe(0)
      here.socket.setReading(false)
      here.socket.setReading(true)
      here.socket.shutdown()
    })

    it('by destroy before attach is heard at the other end', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const [here, there] = await openLane(harness, a, b)
      there.attach()
      here.destroy()
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      expect(['ended', 'reset']).toContain(there.ends[0])
    })

    it('by a reset is not told while reading is off, whatever is written meanwhile', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      for (const probe of [here, there]) probe.socket.setReading(false)
      there.send(pattern(100_000))
      await harness.advance(50)
      // With bytes unread: the kernel answers with a reset.
      here.destroy()
      for (let index = 0; index < 3; index += 1) {
        await harness.advance(30)
        there.send(pattern(10))
      }
      expect(there.ends).toEqual([])
      there.socket.setReading(true)
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      expect(there.lateCalls).toBe(0)
    })

    it('by destroy with bytes unread and unsent on both sides', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      for (const probe of [here, there]) probe.socket.setReading(false)
      await fill(context, here, 1)
      await fill(context, there, 2)
      here.destroy()
      there.socket.setReading(true)
      await harness.waitFor(() => there.ends.length === 1, 'the end')
      expect(there.socket.write(pattern(10), 0, 10)).toBe(0)
      expect([here.lateCalls, there.lateCalls]).toEqual([0, 0])
    })

    it('may be made inside any call of the handler', async () => {
      const { harness, open } = context
      const [a, b] = await linkedPair(harness, open)
      const inData = await openLane(harness, a, b, 'ordinary', 1)
      const inWritable = await openLane(harness, a, b, 'ordinary', 2)
      const bystander = await openLane(harness, a, b, 'ordinary', 3)
      for (const probe of [...inData, ...inWritable, ...bystander]) probe.attach()
      inData[1].afterData = () => {
        inData[1].destroy()
        // Any other lane, too.
        bystander[1].destroy()
      }
      bystander[0].send(pattern(100))
      inData[0].send(pattern(300_000))
      await harness.waitFor(() => inData[0].ends.length + bystander[0].ends.length === 2, 'both ends')
      inWritable[1].socket.setReading(false)
      await fill(context, inWritable[0], 3)
      inWritable[0].onWritable = () => inWritable[0].destroy()
      inWritable[1].socket.setReading(true)
      await harness.waitFor(() => inWritable[1].ends.length === 1, 'the third end')
      await harness.advance(20)
      for (const probe of [...inData, ...inWritable, ...bystander]) expect(probe.lateCalls).toBe(0)
    })

    it('may be made where a frame that was cut is offered again, with more behind it', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      const frames = Uint8Array.from([16, 0, 0, 0, ...pattern(16), ...pattern(500)])
      there.take = () => 0
      here.send(frames.slice(0, 10))
      await harness.waitFor(() => there.dataCalls === 1, 'the first half')
      there.afterData = () => there.destroy()
      here.send(frames.slice(10))
      await harness.waitFor(() => here.ends.length === 1, 'the end')
      await harness.advance(20)
      expect([there.dataCalls, there.lateCalls]).toEqual([2, 0])
    })

    it('by both sides at once is told to each of them once', async () => {
      const { harness } = context
      const [here, there] = await attachedPair(context)
      here.send(pattern(1000))
      there.send(pattern(1000))
      here.socket.shutdown()
      there.socket.shutdown()
      await harness.waitFor(() => here.ends.length + there.ends.length === 2, 'both ends')
      expect([here.ends, there.ends]).toEqual([['ended'], ['ended']])
      expect([here.receivedBytes, there.receivedBytes]).toEqual([1000, 1000])
      here.destroy()
      there.destroy()
      await harness.advance(20)
      expect([here.lateCalls, there.lateCalls]).toEqual([0, 0])
    })
  })
}
