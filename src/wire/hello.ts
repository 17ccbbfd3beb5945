/**
 * Hello and hello ack: who is at the other end, fixed struct first, then five strings back to back, then what admission
 * by secrets needs. Frozen from the first release: a later version may append after that, which this one ignores.
 */
import { ByteBuffer } from 'flatbuffers'
import { type Address, isUid, type Uid } from '../core/address.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import type { DataLane } from '../transport/transport.js'
import { bitsToUid, encodeFrame, type FrameKind, Lane, uidToBits, viewOf } from './frame.js'
import { Hello as HelloStruct } from './generated/hello.js'
import { HelloFlag } from './generated/hello-flag.js'

/** "SKN1" read as bytes. */
export const HELLO_MAGIC = 0x314e_4b53
export const HELLO_STRUCT_BYTES = HelloStruct.sizeOf()

export interface Hello {
  readonly versionMin: number
  readonly versionMax: number
  readonly uid: Uid
  /** Number of this dial: 1 + the highest that either side has used for the pair, as far as known. */
  readonly dial: number
  readonly cluster: string
  readonly nodeId: string
  readonly bind: Address
  readonly advertised: Address
  /** The address that the dialler dialled; echoed by the ack. */
  readonly dialed: Address
  /** What the connection is to be; without it, the pair's control link. */
  readonly lane?: DataLane
  /** Fresh random bytes that the other end's proof is to cover; only where the sender has secrets. */
  readonly nonce?: Uint8Array
}

/** What follows the nonce of an ack. */
export interface AckProofs {
  /** Length of the part of the ack's body that the proofs cover: up to and including the nonce. */
  readonly coveredBytes: number
  /** One for each secret of the acceptor. */
  readonly proofs: readonly Uint8Array[]
}

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Body of a hello. Throws a RangeError when a name of ours is too long: a bug of the caller, who checks options. */
export function encodeHelloBody(hello: Hello): Uint8Array {
  const limits = TRANSPORT_LIMITS
  const strings = [
    encodeName('cluster', hello.cluster, limits.clusterNameBytesMax),
    encodeName('nodeId', hello.nodeId, limits.nodeIdBytesMax),
    encodeName('bind host', hello.bind.host, limits.hostBytesMax),
    encodeName('advertised host', hello.advertised.host, limits.hostBytesMax),
    encodeName('dialed host', hello.dialed.host, limits.hostBytesMax),
  ] as const
  const { nonce } = hello
  const parts: readonly Uint8Array[] = nonce === undefined ? strings : [...strings, nonce]
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, HELLO_STRUCT_BYTES))
  const view = viewOf(bytes)
  view.setUint32(0, HELLO_MAGIC, true)
  view.setUint16(4, hello.versionMin, true)
  view.setUint16(6, hello.versionMax, true)
  view.setBigUint64(8, uidToBits(hello.uid), true)
  view.setUint32(32, hello.dial, true)
  view.setUint8(36, hello.lane === undefined ? Lane.control : Lane[hello.lane])
  view.setUint8(37, nonce === undefined ? HelloFlag.none : HelloFlag.proof)
  view.setUint16(38, strings[0].length, true)
  view.setUint16(40, strings[1].length, true)
  view.setUint16(42, strings[2].length, true)
  view.setUint16(44, hello.bind.port, true)
  view.setUint16(46, strings[3].length, true)
  view.setUint16(48, hello.advertised.port, true)
  view.setUint16(50, strings[4].length, true)
  view.setUint16(52, hello.dialed.port, true)
  let at = HELLO_STRUCT_BYTES
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The body of an ack whose nonce is in place, with the proofs that cover it. */
export function appendProofs(body: Uint8Array, proofs: readonly Uint8Array[]): Uint8Array {
  const { proofBytes } = TRANSPORT_LIMITS
  const whole = new Uint8Array(body.length + 1 + proofs.length * proofBytes)
  whole.set(body)
  whole[body.length] = proofs.length
  for (const [index, proof] of proofs.entries()) whole.set(proof, body.length + 1 + index * proofBytes)
  return whole
}

/** A whole hello or hello ack frame. */
export function encodeHello(kind: FrameKind.hello | FrameKind.helloAck, hello: Hello): Uint8Array {
  return encodeFrame(kind, encodeHelloBody(hello))
}

/** Whether a body starts with the magic; all that is looked at before the CRC of a first frame. */
export function hasHelloMagic(body: Uint8Array): boolean {
  return body.length >= 4 && viewOf(body).getUint32(0, true) === HELLO_MAGIC
}

/**
 * Reads a body whose magic and CRC are right. Undefined when it is malformed: too short for its lengths, a length
 * above its limit, text that is not UTF-8, no uid or dial number, an unknown lane, nothing to dial, or a promised nonce that is
 * not there.
 */
export function decodeHello(body: Uint8Array): Hello | undefined {
  if (body.length < HELLO_STRUCT_BYTES) return undefined
  const struct = new HelloStruct().__init(0, new ByteBuffer(body))
  const uid = bitsToUid(struct.uid())
  const lane = struct.lane()
  if (!isUid(uid) || lane > Lane.large || struct.dial() === 0) return undefined
  const texts = readStrings(body, [
    [struct.clusterLength(), TRANSPORT_LIMITS.clusterNameBytesMax],
    [struct.nodeIdLength(), TRANSPORT_LIMITS.nodeIdBytesMax],
    [struct.bindHostLength(), TRANSPORT_LIMITS.hostBytesMax],
    [struct.advertisedHostLength(), TRANSPORT_LIMITS.hostBytesMax],
    [struct.dialedHostLength(), TRANSPORT_LIMITS.hostBytesMax],
  ])
  if (texts === undefined) return undefined
  const [cluster, nodeId, bindHost, advertisedHost, dialedHost] = texts as [
    string,
    string,
    string,
    string,
    string,
  ]
  if (advertisedHost === '' || struct.advertisedPort() === 0) return undefined
  const nonce = (struct.flags() & HelloFlag.proof) === 0 ? undefined : readNonce(body, stringsEnd(struct))
  if (nonce === null) return undefined
  return {
    versionMin: struct.versionMin(),
    versionMax: struct.versionMax(),
    uid,
    dial: struct.dial(),
    cluster,
    nodeId,
    bind: { host: bindHost, port: struct.bindPort() },
    advertised: { host: advertisedHost, port: struct.advertisedPort() },
    dialed: { host: dialedHost, port: struct.dialedPort() },
    ...(lane === Lane.control ? {} : { lane: Lane[lane] as DataLane }),
    ...(nonce === undefined ? {} : { nonce }),
  }
}

/** Reads the proofs of an ack that `decodeHello` found to have a nonce. Undefined when there are none, too many, or fewer than promised. */
export function decodeAckProofs(body: Uint8Array): AckProofs | undefined {
  const { nonceBytes, proofBytes, secretsMax } = TRANSPORT_LIMITS
  const coveredBytes = stringsEnd(new HelloStruct().__init(0, new ByteBuffer(body))) + nonceBytes
  const count = body[coveredBytes] ?? 0
  const start = coveredBytes + 1
  if (count === 0 || count > secretsMax || start + count * proofBytes > body.length) return undefined
  const proofAt = (index: number) =>
    body.subarray(start + index * proofBytes, start + (index + 1) * proofBytes)
  return { coveredBytes, proofs: Array.from({ length: count }, (_, index) => proofAt(index)) }
}

function stringsEnd(struct: HelloStruct): number {
  const names = struct.clusterLength() + struct.nodeIdLength()
  const hosts = struct.bindHostLength() + struct.advertisedHostLength() + struct.dialedHostLength()
  return HELLO_STRUCT_BYTES + names + hosts
}

/** A copy: what it is read from is the receive buffer. Null when it is cut short. */
function readNonce(body: Uint8Array, at: number): Uint8Array | null {
  const end = at + TRANSPORT_LIMITS.nonceBytes
  return end > body.length ? null : body.slice(at, end)
}

/** The strings after the struct, given `[length, limit]` of each; undefined when one does not fit or is not UTF-8. */
function readStrings(
  body: Uint8Array,
  lengths: readonly (readonly [number, number])[],
): string[] | undefined {
  const texts: string[] = []
  let at = HELLO_STRUCT_BYTES
  for (const [length, limit] of lengths) {
    if (length > limit || at + length > body.length) return undefined
    try {
      texts.push(textDecoder.decode(body.subarray(at, at + length)))
    } catch {
      return undefined
    }
    at += length
  }
  return texts
}

function encodeName(what: string, text: string, bytesMax: number): Uint8Array {
  const bytes = textEncoder.encode(text)
  if (bytes.length > bytesMax)
    throw new RangeError(`${what} is ${bytes.length} bytes long, at most ${bytesMax} are allowed`)
  return bytes
}
