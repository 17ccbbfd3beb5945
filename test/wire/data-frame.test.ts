/** The offsets that data frames are written and read by are those of the schema. */
import * as fc from 'fast-check'
import { ByteBuffer } from 'flatbuffers'
import { describe, expect, it } from 'vitest'
import { failureBody, readFailure } from '../../src/messaging/failures.js'
import { Outbox } from '../../src/transport/data/outbox.js'
import { SegmentPool } from '../../src/transport/data/segments.js'
import type { LaneSocket } from '../../src/transport/lane-socket.js'
import {
  BODY_AT,
  CHUNK_HEAD_BYTES,
  CORRELATION_AT,
  CREDIT_BYTES,
  DATA_HEADER_BYTES,
  DATA_LENGTH_BYTES,
  DATA_OVERHEAD_BYTES,
  DataKind,
  decodeAck,
  decodeChunkHead,
  decodeResume,
  encodeAck,
  encodeResume,
  FAILURE_BYTES,
  FailureCode,
  FLAGS_AT,
  KIND_AT,
  LANE_AT,
  Lane,
  LENGTH_AT,
  SEQUENCE_AT,
  TOPIC_AT,
  writeChunkHead,
} from '../../src/wire/data-frame.js'
import { Ack } from '../../src/wire/generated/ack.js'
import { ChunkHead } from '../../src/wire/generated/chunk-head.js'
import { Credit } from '../../src/wire/generated/credit.js'
import { DataHeader } from '../../src/wire/generated/data-header.js'
import { Failure } from '../../src/wire/generated/failure.js'
import { Resume } from '../../src/wire/generated/resume.js'

const u32 = fc.oneof(fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat(0xffff_ffff))
const position = fc.oneof(
  fc.constantFrom(0, 0xffff_ffff, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER),
  fc.maxSafeNat(),
)
const u8 = fc.nat(255)
const lane = fc.constantFrom(Lane.ordinary, Lane.large)

const header = (bytes: Uint8Array) =>
  new DataHeader().__init(DATA_LENGTH_BYTES, new ByteBuffer(bytes)) as DataHeader
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/** What an outbox writes for one frame. */
function written(outbox: Outbox): Uint8Array {
  let all = new Uint8Array(0)
  const socket = {
    write: (bytes: Uint8Array, from: number, to: number) => {
      all = bytes.slice(from, to)
      return to - from
    },
  }
  outbox.flush(socket as unknown as LaneSocket, true)
  return all
}

describe('offsets of data frames', () => {
  it('are as long as the structs of the schema', () => {
    expect(DATA_HEADER_BYTES).toBe(DataHeader.sizeOf())
    expect(DATA_OVERHEAD_BYTES).toBe(DATA_LENGTH_BYTES + DataHeader.sizeOf())
    expect([LENGTH_AT, BODY_AT]).toEqual([0, DATA_OVERHEAD_BYTES])
    expect(CHUNK_HEAD_BYTES).toBe(ChunkHead.sizeOf())
    expect(FAILURE_BYTES).toBe(Failure.sizeOf())
    expect(CREDIT_BYTES).toBe(Credit.sizeOf())
  })

  it('write each field of the header where the schema reads it', () => {
    fc.assert(
      fc.property(
        u8,
        u8,
        lane,
        u32,
        u32,
        fc.uint8Array({ maxLength: 40 }),
        (kind, flags, of, topic, name, body) => {
          const outbox = new Outbox(of, new SegmentPool(), 1)
          outbox.append(kind, flags, topic, name, body, 0, body.length)
          const bytes = written(outbox)
          const read = header(bytes)
          expect([read.kind(), read.flags(), read.lane(), read.reserved()]).toEqual([kind, flags, of, 0])
          expect([read.topic(), read.correlation(), read.sequence()]).toEqual([topic, name, 1])
          expect(viewOf(bytes).getUint32(LENGTH_AT, true)).toBe(bytes.length - DATA_LENGTH_BYTES)
          expect(bytes.slice(BODY_AT)).toEqual(body)
        },
      ),
    )
  })

  it('read each field of the header where the schema has it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: DATA_HEADER_BYTES, maxLength: DATA_HEADER_BYTES }), (raw) => {
        const bytes = new Uint8Array(DATA_OVERHEAD_BYTES)
        bytes.set(raw, DATA_LENGTH_BYTES)
        const read = header(bytes)
        const view = viewOf(bytes)
        expect(view.getUint32(TOPIC_AT, true)).toBe(read.topic())
        expect([bytes[KIND_AT], bytes[FLAGS_AT], bytes[LANE_AT]]).toEqual([
          read.kind(),
          read.flags(),
          read.lane(),
        ])
        expect(view.getUint32(CORRELATION_AT, true)).toBe(read.correlation())
        expect(view.getUint32(SEQUENCE_AT, true)).toBe(read.sequence())
      }),
    )
  })
})

describe('frames that are a lane’s own', () => {
  it('of a resume hold what the schema reads, and are read back', () => {
    fc.assert(
      fc.property(lane, u32, u32, position, position, (of, epoch, seenEpoch, received, frames) => {
        const bytes = encodeResume(of, { epoch, seenEpoch, received, frames })
        const read = new Resume().__init(BODY_AT, new ByteBuffer(bytes))
        expect([read.epoch(), read.seenEpoch()]).toEqual([epoch, seenEpoch])
        expect([read.received(), read.frames()]).toEqual([BigInt(received), BigInt(frames)])
        expect(bytes.length).toBe(DATA_OVERHEAD_BYTES + Resume.sizeOf())
        expect([header(bytes).kind(), header(bytes).lane(), header(bytes).sequence()]).toEqual([
          DataKind.resume,
          of,
          0,
        ])
        expect(viewOf(bytes).getUint32(LENGTH_AT, true)).toBe(bytes.length - DATA_LENGTH_BYTES)
        expect(decodeResume(viewOf(bytes), BODY_AT, bytes.length)).toEqual({
          epoch,
          seenEpoch,
          received,
          frames,
        })
      }),
    )
  })

  it('of an ack hold what the schema reads, and are read back', () => {
    fc.assert(
      fc.property(lane, position, position, (of, received, frames) => {
        const bytes = encodeAck(of, { received, frames })
        const read = new Ack().__init(BODY_AT, new ByteBuffer(bytes))
        expect([read.received(), read.frames()]).toEqual([BigInt(received), BigInt(frames)])
        expect(bytes.length).toBe(DATA_OVERHEAD_BYTES + Ack.sizeOf())
        expect([header(bytes).kind(), header(bytes).lane()]).toEqual([DataKind.ack, of])
        expect(decodeAck(viewOf(bytes), BODY_AT, bytes.length)).toEqual({ received, frames })
      }),
    )
  })

  it('that are too short are none, and longer ones are a later version’s', () => {
    const resume = encodeResume(Lane.large, { epoch: 1, seenEpoch: 2, received: 3, frames: 4 })
    const ack = encodeAck(Lane.large, { received: 3, frames: 4 })
    expect(decodeResume(viewOf(resume), BODY_AT, resume.length - 1)).toBeUndefined()
    expect(decodeAck(viewOf(ack), BODY_AT, ack.length - 1)).toBeUndefined()
    const longer = new Uint8Array(resume.length + 5)
    longer.set(resume)
    expect(decodeResume(viewOf(longer), BODY_AT, longer.length)?.received).toBe(3)
    expect(decodeAck(viewOf(longer), BODY_AT, longer.length)).toBeDefined()
  })

  it('with positions beyond what a double holds read as more than was ever sent', () => {
    const bytes = encodeAck(Lane.large, { received: 0, frames: 0 })
    bytes.fill(0xff, BODY_AT)
    expect(decodeAck(viewOf(bytes), BODY_AT, bytes.length)!.received).toBeGreaterThan(Number.MAX_SAFE_INTEGER)
  })
})

describe('heads of bodies', () => {
  it('of a chunk hold what the schema reads, and are read back', () => {
    const kind = fc.constantFrom(DataKind.message, DataKind.request, DataKind.response)
    fc.assert(
      fc.property(position, u32, kind, fc.nat(3), (total, correlation, of, at) => {
        const bytes = new Uint8Array(at + CHUNK_HEAD_BYTES)
        writeChunkHead(viewOf(bytes), at, { total, correlation, kind: of })
        const read = new ChunkHead().__init(at, new ByteBuffer(bytes))
        expect([read.total(), read.correlation(), read.kind()]).toEqual([BigInt(total), correlation, of])
        expect(decodeChunkHead(viewOf(bytes), at, bytes.length)).toEqual({ total, correlation, kind: of })
        expect(decodeChunkHead(viewOf(bytes), at, bytes.length - 1)).toBeUndefined()
      }),
    )
  })

  it('of a failure and of a credit are what the schema reads', () => {
    const failure = failureBody(FailureCode.tooLarge, 'too long')
    expect(readFailure(failure, 0, failure.length)).toEqual({ code: FailureCode.tooLarge, text: 'too long' })
    expect(new Failure().__init(0, new ByteBuffer(failure)).code()).toBe(FailureCode.tooLarge)
    const credit = new Uint8Array(CREDIT_BYTES)
    new DataView(credit.buffer).setUint32(0, 0x8765_4321, true)
    expect(new Credit().__init(0, new ByteBuffer(credit)).bytes()).toBe(0x8765_4321)
  })
})
