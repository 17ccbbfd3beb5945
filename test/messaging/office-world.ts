/** Offices on simulated nodes, see `LaneWorld`. */

import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { type MessagingEvent, Office } from '../../src/messaging/office.js'
import type { ResolvedMessagingOptions } from '../../src/messaging/options.js'
import type { PeerLink } from '../../src/messaging/peer-link.js'
import type { FakeNode, LaneWorld } from '../transport/data/lane-world.js'

export const OPTIONS: ResolvedMessagingOptions = {
  largeMessageBytes: MESSAGING_LIMITS.largeMessageBytes,
  messageBytesMax: MESSAGING_LIMITS.messageBytesMax,
  outboxBytesMax: MESSAGING_LIMITS.outboxBytesMax,
  largeOutboxBytesMax: MESSAGING_LIMITS.largeOutboxBytesMax,
  outboxMessagesMax: MESSAGING_LIMITS.outboxMessagesMax,
  highWaterBytes: MESSAGING_LIMITS.highWaterBytes,
  lowWaterBytes: MESSAGING_LIMITS.lowWaterBytes,
  requestTimeoutMs: MESSAGING_LIMITS.requestTimeoutMs,
  unreachableTimeoutMs: MESSAGING_LIMITS.unreachableTimeoutMs,
  laneIdleMs: MESSAGING_LIMITS.laneIdleMs,
  lanesMax: MESSAGING_LIMITS.lanesMax,
  debugPoison: true,
  handlers: {},
}

export interface OfficeNode {
  readonly node: FakeNode
  readonly office: Office
  readonly events: MessagingEvent[]
  /** What a user's listener does; told of every event. */
  onTold: (event: MessagingEvent) => void
  /** The peer that a node stands for, by its incarnation. */
  to(other: OfficeNode): PeerLink
}

export function addOffice(
  world: LaneWorld,
  index: number,
  options: Partial<ResolvedMessagingOptions> = {},
  generation = 0,
): OfficeNode {
  const node = world.addNode(index, generation)
  const events: MessagingEvent[] = []
  const office = new Office({ ...OPTIONS, ...options }, node.ports, node, (event) => {
    events.push(event)
    made.onTold(event)
  })
  node.onEvent = (event) => office.plane.onTransportEvent(event)
  node.onDeadline = () => office.plane.onDeadline()
  const made: OfficeNode = {
    node,
    office,
    events,
    onTold: () => {},
    to: (other) => office.plane.ensure(other.node.uid, other.node.address, other.node.hello.nodeId).client,
  }
  return made
}

export function eventsOf<T extends MessagingEvent['type']>(
  { events }: OfficeNode,
  type: T,
): Extract<MessagingEvent, { type: T }>[] {
  return events.filter((event): event is Extract<MessagingEvent, { type: T }> => event.type === type)
}

export const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value)
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Bytes that no shift, doubling or loss leaves equal. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 31 + (index >> 8) + seed) & 0xff
  return bytes
}
