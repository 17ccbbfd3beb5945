/** A peer played by the test: speaks frames over a raw stream, as badly as the test wants it to. */
import type { Address, Uid } from '../../src/core/address.js'
import { FrameBuffer } from '../../src/transport/control/frame-buffer.js'
import { decodeFrame, encodeFrame, encodeHeartbeat, type Frame, FrameKind } from '../../src/wire/frame.js'
import { decodeHello, encodeHello, type Hello } from '../../src/wire/hello.js'
import { freshUid, type Harness, type RawListener, type RawStream } from './harness.js'

export interface FakeIdentity {
  readonly uid?: Uid
  readonly cluster?: string
  readonly versionMin?: number
  readonly versionMax?: number
  readonly dial?: number
  readonly address?: Address
}

const NOWHERE: Address = { host: '127.0.0.1', port: 1 }

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

export class FakePeer {
  readonly uid: Uid
  readonly frames: Frame[] = []
  private readonly buffer = new FrameBuffer()
  private consumed = 0

  constructor(
    readonly harness: Harness,
    readonly stream: RawStream,
    readonly identity: FakeIdentity = {},
  ) {
    this.uid = identity.uid ?? freshUid()
  }

  /** Dials and shakes hands; resolves once the transport's answer has come and `ready` is written. */
  static async dial(harness: Harness, to: Address, identity: FakeIdentity = {}): Promise<FakePeer> {
    const peer = new FakePeer(harness, harness.dialRaw(to), identity)
    await harness.waitFor(() => peer.stream.opened, 'the fake peer to connect')
    peer.sendHello()
    await peer.frame(FrameKind.helloAck)
    peer.send(encodeFrame(FrameKind.ready))
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
    this.send(encodeHello(FrameKind.hello, fakeHello({ ...this.identity, uid: this.uid })))
  }

  sendAck(dial: number): void {
    this.send(encodeHello(FrameKind.helloAck, fakeHello({ ...this.identity, uid: this.uid, dial })))
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

  private parse(): void {
    const { received } = this.stream
    this.buffer.push(received.slice(this.consumed))
    this.consumed = received.length
    for (;;) {
      const step = this.buffer.next(8 * 1024 * 1024)
      if (step === undefined) return
      if (typeof step === 'string') throw new Error(`the transport under test sent a bad frame: ${step}`)
      this.frames.push(decodeFrame(step))
    }
  }
}
