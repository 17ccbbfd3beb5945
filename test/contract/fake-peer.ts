/** A peer played by the test: speaks frames over a raw stream, as badly as the test wants it to. */
import { randomBytes } from 'node:crypto'
import type { Address, Uid } from '../../src/core/address.js'
import { FrameBuffer } from '../../src/transport/control/frame-buffer.js'
import {
  decodeFrame,
  encodeFrame,
  encodeHeartbeat,
  FRAME_OVERHEAD_BYTES,
  type Frame,
  FrameKind,
  Lane,
} from '../../src/wire/frame.js'
import { decodeHello, encodeHelloBody, HELLO_STRUCT_BYTES, type Hello } from '../../src/wire/hello.js'
import { ackTail, concat, NONCE_BYTES, proofOf, readAckProofs } from './fake-admission.js'
import { freshUid, type Harness, type RawListener, type RawStream } from './harness.js'

export interface FakeIdentity {
  readonly uid?: Uid
  readonly cluster?: string
  readonly versionMin?: number
  readonly versionMax?: number
  readonly dial?: number
  readonly address?: Address
  /** Default control. After the handshake of another lane, what comes is no longer read as frames. */
  readonly lane?: Lane
  /** Known to the fake peer, which then proves it. */
  readonly secret?: Uint8Array
}

const NOWHERE: Address = { host: '127.0.0.1', port: 1 }
const HELLO_LANE_AT = 36
const HELLO_FLAGS_AT = 37
const PROOF_FLAG = 1

export function fakeHello(identity: FakeIdentity & { uid: Uid }): Hello {
  const address = identity.address ?? NOWHERE
  return {
    versionMin: identity.versionMin ?? 1,
    versionMax: identity.versionMax ?? 1,
    uid: identity.uid,
    dial: identity.dial ?? 1,
    cluster: identity.cluster ?? 'contract',
    nodeId: `fake-${identity.uid}`,
    bind: address,
    advertised: address,
    dialed: NOWHERE,
  }
}

/** The body of a hello or an ack: lane and nonce are put in by hand, whatever the encoder under test makes of them. */
export function fakeHelloBody(identity: FakeIdentity & { uid: Uid }): Uint8Array {
  const body = encodeHelloBody(fakeHello(identity))
  body[HELLO_LANE_AT] = identity.lane ?? Lane.control
  if (identity.secret === undefined) return body
  body[HELLO_FLAGS_AT] = PROOF_FLAG
  return concat([body, randomBytes(NONCE_BYTES)])
}

/** Where the strings of a hello end. */
export function stringsEnd(body: Uint8Array): number {
  const view = new DataView(body.buffer, body.byteOffset)
  return [38, 40, 42, 46, 50].reduce((sum, at) => sum + view.getUint16(at, true), HELLO_STRUCT_BYTES)
}

export class FakePeer {
  readonly uid: Uid
  readonly frames: Frame[] = []
  /** Of the hello and the ack, whichever side wrote it. */
  helloBody: Uint8Array = new Uint8Array(0)
  private readonly buffer = new FrameBuffer()
  private readonly lane: Lane
  private consumed = 0
  private frameBytes = 0

  constructor(
    readonly harness: Harness,
    readonly stream: RawStream,
    readonly identity: FakeIdentity = {},
  ) {
    this.uid = identity.uid ?? freshUid()
    this.lane = identity.lane ?? Lane.control
  }

  /** Dials and shakes hands; resolves once the transport's answer has come and `ready` is written. */
  static async dial(harness: Harness, to: Address, identity: FakeIdentity = {}): Promise<FakePeer> {
    const peer = await FakePeer.halfDial(harness, to, identity)
    peer.send(peer.ready())
    return peer
  }

  /** Dials and waits for the ack; `ready` is left to the test. */
  static async halfDial(harness: Harness, to: Address, identity: FakeIdentity = {}): Promise<FakePeer> {
    const peer = await FakePeer.connect(harness, to, identity)
    peer.sendHello()
    await peer.frame(FrameKind.helloAck)
    return peer
  }

  /** Connects and says nothing. */
  static async connect(harness: Harness, to: Address, identity: FakeIdentity = {}): Promise<FakePeer> {
    const peer = new FakePeer(harness, harness.dialRaw(to), identity)
    await harness.waitFor(() => peer.stream.opened, 'the fake peer to connect')
    return peer
  }

  /** Takes the `index`-th connection of a listener and shakes hands as the acceptor. */
  static async accept(
    harness: Harness,
    listener: RawListener,
    index: number,
    identity: FakeIdentity = {},
  ): Promise<FakePeer> {
    const peer = await FakePeer.meet(harness, listener, index, identity)
    const hello = await peer.hello()
    peer.sendAck(hello.dial)
    await peer.frame(FrameKind.ready)
    return peer
  }

  /** Takes the `index`-th connection of a listener and answers nothing. */
  static async meet(
    harness: Harness,
    listener: RawListener,
    index: number,
    identity: FakeIdentity = {},
  ): Promise<FakePeer> {
    await harness.waitFor(() => listener.streams[index] !== undefined, `connection ${index} to the fake peer`)
    return new FakePeer(harness, listener.streams[index]!, { address: listener.address, ...identity })
  }

  sendHello(): void {
    this.helloBody = fakeHelloBody({ ...this.identity, uid: this.uid })
    this.send(encodeFrame(FrameKind.hello, this.helloBody))
  }

  sendAck(dial: number): void {
    this.send(encodeFrame(FrameKind.helloAck, this.ackBody(dial)))
  }

  /** To the hello that has come, with a proof where there is a secret. */
  ackBody(dial: number): Uint8Array {
    const { secret } = this.identity
    const body = fakeHelloBody({ ...this.identity, uid: this.uid, dial })
    if (secret === undefined) return body
    return concat([body, ackTail([proofOf('acceptor', secret, this.helloBody, body)])])
  }

  /** `ready` for the ack that has come, with a proof where there is a secret. */
  ready(): Uint8Array {
    const { secret } = this.identity
    if (secret === undefined) return encodeFrame(FrameKind.ready)
    return encodeFrame(FrameKind.ready, this.diallerProof(secret))
  }

  diallerProof(secret: Uint8Array, helloBody = this.helloBody): Uint8Array {
    const ack = this.frames.find((frame) => frame.kind === FrameKind.helloAck)!.body
    return proofOf('dialler', secret, helloBody, readAckProofs(ack, stringsEnd(ack)).signed)
  }

  send(bytes: Uint8Array): void {
    this.stream.write(bytes)
  }

  sendBeat(sequence: number, loopAgeMs = 0, echoWanted = false): void {
    this.send(encodeHeartbeat({ sentUs: 1, loopAgeMs, intervalMs: 50 }, sequence, echoWanted))
  }

  /** The hello that a dialler sent. */
  async hello(): Promise<Hello> {
    const frame = await this.frame(FrameKind.hello)
    this.helloBody = frame.body.slice()
    return decodeHello(frame.body)!
  }

  /** The first frame of this kind, waited for. */
  async frame(kind: FrameKind): Promise<Frame> {
    await this.harness.waitFor(() => this.count(kind) > 0, `a ${FrameKind[kind]} frame`)
    return this.frames.find((frame) => frame.kind === kind)!
  }

  count(kind: FrameKind): number {
    this.parse()
    return this.frames.filter((frame) => frame.kind === kind).length
  }

  /** What came on a lane after the handshake. */
  get laneBytes(): Uint8Array {
    this.parse()
    return this.stream.received.slice(this.frameBytes)
  }

  private parse(): void {
    const { received } = this.stream
    this.buffer.push(received.slice(this.consumed))
    this.consumed = received.length
    while (!this.isHandedOver()) {
      const step = this.buffer.next(8 * 1024 * 1024)
      if (step === undefined) return
      if (typeof step === 'string') throw new Error(`the transport under test sent a bad frame: ${step}`)
      const frame = decodeFrame(step)
      this.frameBytes += FRAME_OVERHEAD_BYTES + frame.body.length
      this.frames.push(frame)
    }
  }

  /** A lane's stream belongs to its user after the last frame of the handshake that this side receives. */
  private isHandedOver(): boolean {
    const { helloAck, ready } = FrameKind
    return this.lane !== Lane.control && this.frames.some(({ kind }) => kind === helloAck || kind === ready)
  }
}
