/** What a data plane is given, and what it tells the layer above. */
import type { Transport } from '../transport.js'
import type { Association, AssociationEnd } from './association.js'
import type { FrameReceiver, Lane, LaneFault } from './lane.js'
import type { UnackedFrame } from './outbox.js'

export interface DataPlaneOptions {
  /** How long something waits for a peer that cannot be reached. */
  readonly unreachableTimeoutMs: number
  /** A lane without traffic for this long is closed. */
  readonly laneIdleMs: number
  /** Open lanes; one more closes those idle for longest. */
  readonly lanesMax: number
}

export interface DataPlanePorts {
  nowMs(): number
  /** Calls `onDeadline` at this time or soon after; replaces the last call. */
  arm(atMs: number | undefined): void
  /** Calls `run` when the turn's own code, promises included, has run. */
  defer(run: () => void): void
  /** Uniform in [0, 1). */
  random(): number
}

/** The layer above. `T` is what a topic stands for there, `C` its state of an association. */
/** What the layer above keeps of an association. */
export interface AssociationClient<T> extends FrameReceiver<T> {
  readonly association: unknown
}

export interface DataPlaneSink<T, C extends AssociationClient<T>> {
  topicOf(name: string): T
  clientOf(association: Association<T, C>): C
  /** A lane may have room again. */
  onRoom(association: Association<T, C>, lane: Lane<T>): void
  /** What was half received on a lane will not be completed. */
  onPeerReset(association: Association<T, C>, lane: Lane<T>): void
  /** The peer cannot be reached now: dials fail and no lane is open. What waits for an answer need not wait. */
  onUnreachable(association: Association<T, C>): void
  /** A frame that was not acknowledged when its stream was given up. */
  onUnacked(
    association: Association<T, C>,
    lane: Lane<T>,
    frame: UnackedFrame,
    topic: string,
    reason: AssociationEnd,
  ): void
  /** All of them were told: our stream on this lane starts over. */
  onAbandoned(association: Association<T, C>, lane: Lane<T>, reason: AssociationEnd): void
  onEnded(association: Association<T, C>, reason: AssociationEnd): void
  /** A lane socket was closed because of what came in on it. */
  onFault(association: Association<T, C>, lane: Lane<T>, fault: LaneFault): void
}

/** What this layer needs of a transport; a cluster shares the wishes with its membership. */
export type LaneDialler = Pick<Transport, 'connect' | 'disconnect' | 'openLane'>
