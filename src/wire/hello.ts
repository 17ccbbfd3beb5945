/**
 * Hello and hello ack: who is at the other end, fixed struct first, then five strings back to back.
 * Frozen from the first release: a later version may append after the strings, which this one ignores.
 */
import { ByteBuffer } from 'flatbuffers'
import { type Address, isUid, type Uid } from '../core/address.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import { bitsToUid, encodeFrame, type FrameKind, Lane, uidToBits, viewOf } from './frame.js'
import { Hello as HelloStruct } from './generated/hello.js'

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
  const bytes = new Uint8Array(strings.reduce((sum, text) => sum + text.length, HELLO_STRUCT_BYTES))
  const view = viewOf(bytes)
  view.setUint32(0, HELLO_MAGIC, true)
  view.setUint16(4, hello.versionMin, true)
  view.setUint16(6, hello.versionMax, true)
  view.setBigUint64(8, uidToBits(hello.uid), true)
  view.setUint32(32, hello.dial, true)
  view.setUint16(38, strings[0].length, true)
  view.setUint16(40, strings[1].length, true)
  view.setUint16(42, strings[2].length, true)
  view.setUint16(44, hello.bind.port, true)
  view.setUint16(46, strings[3].length, true)
  view.setUint16(48, hello.advertised.port, true)
  view.setUint16(50, strings[4].length, true)
  view.setUint16(52, hello.dialed.port, true)
  let at = HELLO_STRUCT_BYTES
  for (const text of strings) {
    bytes.set(text, at)
    at += text.length
  }
  return bytes
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
 * above its limit, text that is not UTF-8, no uid, a lane other than control, or nothing to dial.
 */
export function decodeHello(body: Uint8Array): Hello | undefined {
  if (body.length < HELLO_STRUCT_BYTES) return undefined
  const struct = new HelloStruct().__init(0, new ByteBuffer(body))
  const uid = bitsToUid(struct.uid())
  if (!isUid(uid) || struct.lane() !== Lane.control || struct.dial() === 0) return undefined
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
  }
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
