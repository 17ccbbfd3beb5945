import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { LaneSocketHandler } from '../../src/transport/lane-socket.js'
import { NET_LIMITS } from '../../src/transport/limits.js'
import { NetLaneSocket } from '../../src/transport/net/net-lane-socket.js'
import { isSame, LaneProbe, pattern } from '../contract/lane-probe.js'

/** A socket whose kernel is the test: `writes` holds what each system call was given. */
class FakeSocket extends Duplex {
  readonly writes: Uint8Array[][] = []
  keepAliveMs: number | undefined
  /** False: the kernel takes nothing until `accept`. */
  taking = true
  private waiting: (() => void) | undefined

  constructor() {
    super({ allowHalfOpen: true })
    this.on('error', () => {})
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _: BufferEncoding, done: () => void): void {
    this.onWrite([chunk], done)
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: () => void): void {
    this.onWrite(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  setKeepAlive(_: boolean, delayMs: number): void {
    this.keepAliveMs = delayMs
  }

  accept(): void {
    const done = this.waiting
    this.waiting = undefined
    done?.()
  }

  private onWrite(chunks: Uint8Array[], done: () => void): void {
    this.writes.push(chunks)
    if (this.taking) done()
    else this.waiting = done
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const turns = async (count: number) => {
  for (let index = 0; index < count; index += 1) await turn()
}
const open: FakeSocket[] = []

afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

function laneOn(unread: Uint8Array = new Uint8Array(0)): {
  socket: FakeSocket
  lane: NetLaneSocket
  probe: LaneProbe
} {
  const socket = new FakeSocket()
  open.push(socket)
  const lane = new NetLaneSocket(socket as unknown as Socket, unread)
  return { socket, lane, probe: new LaneProbe(lane) }
}

/** Frames of these body lengths, one after the other. */
function frames(lengths: readonly number[]): Buffer {
  return Buffer.concat(
    lengths.map((length, index) => {
      const frame = Buffer.from(pattern(4 + length, index))
      frame.writeUInt32LE(length)
      return frame
    }),
  )
}

/** Takes whole frames; keeps where each call's bytes lay. */
class FrameTaker implements LaneSocketHandler {
  readonly calls: { buffer: ArrayBufferLike; offered: number }[] = []
  readonly received: Buffer[] = []

  onData(bytes: Uint8Array, from: number, to: number): number {
    this.calls.push({ buffer: bytes.buffer, offered: to - from })
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    let at = from
    while (to - at >= 4 && to - at >= 4 + view.getUint32(at, true)) at += 4 + view.getUint32(at, true)
    this.received.push(Buffer.from(bytes.slice(from, at)))
    return at - from
  }

  onWritable(): void {}

  onEnd(): void {}
}

describe('writing to a lane socket', () => {
  it('of one turn is one system call, out of the memory of the caller', async () => {
    const { socket, lane } = laneOn()
    const bytes = pattern(3000)
    for (const [from, to] of [
      [0, 1000],
      [1000, 1500],
      [2000, 3000],
    ] as const)
      expect(lane.write(bytes, from, to)).toBe(to - from)
    expect(socket.writes).toEqual([])
    await Promise.resolve()
    expect(socket.writes).toHaveLength(1)
    expect(socket.writes[0]!.map((chunk) => chunk.length)).toEqual([1000, 500, 1000])
    expect(socket.writes[0]!.every((chunk) => chunk.buffer === bytes.buffer)).toBe(true)
    expect(lane.write(bytes, 0, 10)).toBe(10)
    await Promise.resolve()
    expect(socket.writes).toHaveLength(2)
  })

  it('takes as much as its bound, and announces room when all of it has left', async () => {
    const { socket, lane, probe } = laneOn()
    probe.attach()
    await turn()
    socket.taking = false
    const { laneUnsentBytesMax } = NET_LIMITS
    const bytes = new Uint8Array(laneUnsentBytesMax)
    expect(lane.write(bytes, 0, laneUnsentBytesMax)).toBe(laneUnsentBytesMax)
    expect(probe.writables).toBe(0)
    expect(lane.write(bytes, 0, 1)).toBe(0)
    await turns(3)
    expect(probe.writables).toBe(0)
    socket.accept()
    await turns(3)
    expect(probe.writables).toBe(1)
    // Only what is left of the bound.
    expect(lane.write(bytes, 0, laneUnsentBytesMax - 10)).toBe(laneUnsentBytesMax - 10)
    expect(lane.write(bytes, 0, 20)).toBe(10)
    await turn()
    socket.accept()
    await turns(3)
    expect(probe.writables).toBe(2)
  })

  it('that took everything announces no room', async () => {
    const { socket, lane, probe } = laneOn()
    probe.attach()
    await turn()
    expect(lane.write(new Uint8Array(100_000), 0, 100_000)).toBe(100_000)
    await turns(3)
    expect([socket.writes.length, probe.writables]).toEqual([1, 0])
  })

  it('of nothing asks for nothing, and a full socket that nobody had attached to says when there is room', async () => {
    const { socket, lane, probe } = laneOn()
    socket.taking = false
    const { laneUnsentBytesMax } = NET_LIMITS
    expect(lane.write(new Uint8Array(laneUnsentBytesMax), 0, laneUnsentBytesMax)).toBe(laneUnsentBytesMax)
    expect(lane.write(new Uint8Array(10), 5, 5)).toBe(0)
    expect(lane.write(new Uint8Array(10), 0, 5)).toBe(0)
    await turn()
    socket.accept()
    await turns(2)
    probe.attach()
    expect(probe.writables).toBe(0)
    await turns(2)
    expect(probe.writables).toBe(1)
  })

  it('ends behind what was taken in the same turn', async () => {
    const { socket, lane } = laneOn()
    let finished = 0
    socket.on('finish', () => {
      finished = socket.writes.flat().length
    })
    lane.write(pattern(10), 0, 10)
    lane.shutdown()
    expect(lane.write(pattern(10), 0, 10)).toBe(0)
    await turns(2)
    expect(finished).toBe(1)
  })

  it('asks the kernel to look after a peer that says nothing', () => {
    expect(laneOn().socket.keepAliveMs).toBe(NET_LIMITS.laneKeepAliveMs)
  })
})

describe('reading from a lane socket', () => {
  it('takes whole frames where they lie, and copies of a frame that was cut no more than that', async () => {
    const { socket, lane } = laneOn()
    const taker = new FrameTaker()
    lane.attach(taker)
    await turn()
    const stream = frames([60, 70_000, 50, 80])
    const chunks = [stream.subarray(0, 40_000), stream.subarray(40_000)].map((part) =>
      // Of its own, as what Node reads is.
      Buffer.from(new Uint8Array(part).buffer),
    )
    for (const chunk of chunks) {
      socket.push(chunk)
      await turn()
    }
    expect(Buffer.concat(taker.received).equals(stream)).toBe(true)
    expect(taker.calls.map(({ offered }) => offered)).toEqual([40_000, 70_004, 54 + 84])
    expect(taker.calls.map(({ buffer }) => chunks.findIndex((chunk) => chunk.buffer === buffer))).toEqual([
      0, -1, 1,
    ])
  })

  it('hands over plain arrays, of which slices are copies', async () => {
    const { socket, lane } = laneOn()
    const seen: Uint8Array[] = []
    lane.attach({
      onData: (bytes, from, to) => {
        seen.push(bytes)
        return to - from
      },
      onWritable: () => {},
      onEnd: () => {},
    })
    await turn()
    socket.push(Buffer.from([1, 2, 3]))
    await turn()
    expect(seen.map((bytes) => bytes.constructor)).toEqual([Uint8Array])
  })

  it('gives any frames, however they were cut, once and in order', async () => {
    const lengths = fc.array(fc.oneof(fc.nat(40), fc.nat(20_000), fc.constantFrom(0, 65_552)), {
      minLength: 1,
      maxLength: 12,
    })
    const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 65_536 })), {
      minLength: 1,
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(lengths, cuts, fc.nat(64), async (bodies, sizes, unreadBytes) => {
        const stream = frames(bodies)
        const unread = new Uint8Array(stream.subarray(0, unreadBytes))
        const { socket, lane } = laneOn(unread)
        const taker = new FrameTaker()
        lane.attach(taker)
        let at = unread.length
        for (let index = 0; at < stream.length; index += 1) {
          const size = sizes[index % sizes.length]! * (index < 40 ? 1 : 1000)
          socket.push(Buffer.from(stream.subarray(at, at + size)))
          at += size
          if (index % 3 === 0) await turn()
        }
        await turns(2)
        expect(Buffer.concat(taker.received).equals(stream)).toBe(true)
        socket.destroy()
      }),
      { numRuns: 60 },
    )
  })

  it('gives bytes that are no frames in order as well, whatever is left of them each time', async () => {
    const { socket, probe } = laneOn()
    probe.attach()
    await turn()
    probe.take = (count) => count - (count % 10)
    // Read as a length, any four of them are less than what is missing to the next ten.
    const stream = Buffer.alloc(400)
    for (let at = 0; at < stream.length; at += 4) stream[at] = 1 + ((at * 7) % 5)
    for (let at = 0; at < stream.length; at += 19) {
      socket.push(Buffer.from(stream.subarray(at, at + 19)))
      await turn()
    }
    expect(stream.equals(probe.received)).toBe(true)
  })

  it('offers what was left while reading was off, without anything new having come', async () => {
    const { socket, lane, probe } = laneOn()
    probe.attach()
    await turn()
    probe.take = () => {
      lane.setReading(false)
      return 10
    }
    socket.push(Buffer.from(pattern(100)))
    await turns(2)
    expect([probe.receivedBytes, probe.dataCalls]).toEqual([10, 1])
    probe.take = (count) => count
    lane.setReading(true)
    expect(probe.dataCalls).toBe(1)
    await turns(2)
    expect(isSame(probe.received, pattern(100))).toBe(true)
  })

  it('tells of the end behind what was left, and not while reading is off', async () => {
    const { socket, lane, probe } = laneOn(pattern(5))
    lane.setReading(false)
    probe.attach()
    socket.push(null)
    await turns(3)
    expect([probe.dataCalls, probe.ends]).toEqual([0, []])
    lane.setReading(true)
    await turns(3)
    expect([probe.receivedBytes, probe.ends]).toEqual([5, ['ended']])
  })

  it.each([
    ['ECONNRESET', 'reset'],
    ['EPIPE', 'reset'],
    ['ETIMEDOUT', 'error'],
  ])('tells of %s as %s, once', async (code, how) => {
    const { socket, lane, probe } = laneOn()
    probe.attach()
    await turn()
    socket.destroy(Object.assign(new Error(code), { code }))
    await turns(2)
    expect(probe.ends).toEqual([how])
    expect(lane.write(pattern(10), 0, 10)).toBe(0)
  })

  it('tells of the end that came first', async () => {
    const { socket, lane, probe } = laneOn()
    probe.attach()
    await turn()
    lane.setReading(false)
    socket.push(null)
    socket.read(0)
    await turns(2)
    socket.destroy(Object.assign(new Error('late'), { code: 'ECONNRESET' }))
    await turns(2)
    expect(probe.ends).toEqual([])
    lane.setReading(true)
    await turns(2)
    expect(probe.ends).toEqual(['ended'])
  })

  it('tells nothing of an error that comes after the end', async () => {
    const { socket, probe } = laneOn()
    probe.attach()
    await turn()
    socket.push(null)
    await turns(2)
    socket.destroy(Object.assign(new Error('late'), { code: 'ECONNRESET' }))
    await turns(2)
    expect(probe.ends).toEqual(['ended'])
  })

  it('that ended before anybody had attached says so afterwards', async () => {
    const { socket, probe } = laneOn()
    socket.destroy(Object.assign(new Error('gone'), { code: 'ECONNRESET' }))
    await turns(2)
    probe.attach()
    await turns(2)
    expect(probe.ends).toEqual(['reset'])
  })
})
