/**
 * What the transport contract needs of an adapter under test: transports, raw byte streams to play a peer on, and
 * time, virtual or real.
 */

import { expect } from 'vitest'
import type { Address, Uid } from '../../src/core/address.js'
import { makeUid } from '../../src/core/address.js'
import type {
  DialOptions,
  HeartbeatOptions,
  Transport,
  TransportEvent,
  TransportOptions,
} from '../../src/transport/transport.js'

/** A stream below the protocol: the test writes what it likes and sees what came. */
export interface RawStream {
  /** Everything received so far. */
  readonly received: Uint8Array
  readonly opened: boolean
  readonly ended: boolean
  readonly closed: boolean
  write(bytes: Uint8Array): void
  /** FIN. */
  end(): void
  /** Closes at once, as the kernel does for a process that was killed. */
  destroy(): void
  /** Stops or resumes taking bytes from the kernel. */
  setReading(reading: boolean): void
}

export interface RawListener {
  readonly address: Address
  readonly streams: readonly RawStream[]
  /** Later connects are refused; open streams stay. */
  close(): Promise<void>
}

export interface Harness {
  readonly reportsStalls: boolean
  /** Factor on the contract's timings: 1 in virtual time, more where a loaded machine has to keep up. */
  readonly patience: number
  createTransport(options: TransportOptions): Transport
  /** Where a transport under test may listen; port 0 where the adapter draws one. */
  listenAddress(): Address
  dialRaw(address: Address): RawStream
  /** A connection on which nothing will be said, not even to secure it. Default: `dialRaw`. */
  dialIdle?(address: Address): RawStream
  listenRaw(): Promise<RawListener>
  /** An address at which nobody listens. */
  deadAddress(): Promise<Address>
  advance(ms: number): Promise<void>
  /** Waits until `condition` holds; fails with `what` after a generous bound. */
  waitFor(condition: () => boolean, what: string): Promise<void>
  /** Runs the adapter's time until the promise settles. */
  settle<T>(promise: Promise<T>): Promise<T>
  /** Open file descriptors of this process; undefined where streams are simulated. */
  openDescriptors(): number | undefined
  dispose(): Promise<void>
}

export const WAIT_MS_MAX = 10_000

/** A started transport and all that its sink was given. */
export interface Node {
  readonly uid: Uid
  readonly nodeId: string
  readonly address: Address
  readonly transport: Transport
  readonly events: TransportEvent[]
  /** Times the sink was called. */
  readonly batches: readonly TransportEvent[][]
}

export interface NodeOptions {
  readonly uid?: Uid
  readonly cluster?: string
  readonly listen?: Address
  readonly advertise?: Address
  readonly heartbeat?: Partial<HeartbeatOptions>
  readonly dial?: Partial<DialOptions>
  readonly secrets?: readonly Uint8Array[]
  /** Called by the sink, after the batch has been noted. */
  readonly onBatch?: (batch: readonly TransportEvent[]) => void
}

let uidSeed = 0

/** A new incarnation, higher than all before it. */
export function freshUid(): Uid {
  uidSeed += 1
  return makeUid(1_700_000_000_000 + uidSeed, uidSeed)
}

export function transportOptions(harness: Harness, uid: Uid, options: NodeOptions = {}): TransportOptions {
  const { patience } = harness
  return {
    identity: { cluster: options.cluster ?? 'contract', nodeId: `node-${uid}`, uid },
    listen: options.listen ?? harness.listenAddress(),
    ...(options.advertise === undefined ? {} : { advertise: options.advertise }),
    heartbeat: {
      intervalMs: 50,
      echoEvery: 3,
      phiThreshold: 8,
      acceptablePauseMs: 300 * patience,
      minStdDeviationMs: 20,
      windowSize: 50,
      stalledAfterMs: 200,
      ...options.heartbeat,
    },
    dial: {
      connectTimeoutMs: 500 * patience,
      backoffMinMs: 20,
      backoffMaxMs: 400,
      backoffWatchedMaxMs: 100,
      confirmGoneMs: 30,
      ...options.dial,
    },
    ...(options.secrets === undefined ? {} : { secrets: options.secrets }),
  }
}

/** Starts a transport; closed by the suite's cleanup through `open`. */
export async function startNode(harness: Harness, open: Node[], options: NodeOptions = {}): Promise<Node> {
  const uid = options.uid ?? freshUid()
  const transport = harness.createTransport(transportOptions(harness, uid, options))
  const events: TransportEvent[] = []
  const batches: TransportEvent[][] = []
  const address = await harness.settle(
    transport.start((batch) => {
      batches.push([...batch])
      events.push(...batch)
      options.onBatch?.(batch)
    }),
  )
  const node = { uid, nodeId: `node-${uid}`, address, transport, events, batches }
  open.push(node)
  return node
}

export function eventsOf<T extends TransportEvent['type']>(
  node: Node,
  type: T,
): Extract<TransportEvent, { type: T }>[] {
  return node.events.filter((event): event is Extract<TransportEvent, { type: T }> => event.type === type)
}

/** By the events that the sink was given, not by `peers()`, which may be ahead of them. */
export function isLinked(node: Node, uid: Uid): boolean {
  const last = node.events.findLast(
    (event) =>
      (event.type === 'linkUp' && event.peer.uid === uid) || (event.type === 'linkDown' && event.uid === uid),
  )
  return last?.type === 'linkUp'
}

export function counter(node: Node, name: string): number {
  const value = node.transport.counters()[name]
  if (value === undefined) throw new Error(`no counter ${name}`)
  return value
}

/** Ends the nodes of a test. Their lanes are the test's, and end first: a transport does not close what it has handed over. */
export async function closeNodes(harness: Harness, nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) for (const { socket } of eventsOf(node, 'laneOpened')) socket.destroy()
  await harness.settle(Promise.all(nodes.map((node) => node.transport.close())))
}

/** A link that stood before something bad happened beside it still carries messages, and has not been replaced. */
export async function expectUndisturbed(harness: Harness, a: Node, b: Node): Promise<void> {
  const before = [a, b].map((node) => eventsOf(node, 'message').length)
  expect(a.transport.send(b.uid, Uint8Array.of(1))).toBe('sent')
  expect(b.transport.send(a.uid, Uint8Array.of(2))).toBe('sent')
  const arrived = (node: Node, index: number) => eventsOf(node, 'message').length === before[index]! + 1
  await harness.waitFor(() => [a, b].every(arrived), 'messages on the good link')
  expect(eventsOf(a, 'linkUp').filter((event) => event.peer.uid === b.uid)).toHaveLength(1)
  expect(eventsOf(a, 'linkDown').filter((event) => event.uid === b.uid)).toEqual([])
}

/** Two nodes, the first of which has connected to the second. */
export async function linkedPair(
  harness: Harness,
  open: Node[],
  options: NodeOptions = {},
): Promise<[Node, Node]> {
  const a = await startNode(harness, open, options)
  const b = await startNode(harness, open, options)
  a.transport.connect(b.address, b.uid)
  await harness.waitFor(() => isLinked(a, b.uid) && isLinked(b, a.uid), 'both sides to be linked')
  return [a, b]
}
