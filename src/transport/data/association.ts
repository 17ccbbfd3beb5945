/** What this node knows of one peer incarnation's data lanes. Outlives its sockets; ends with the incarnation, or when it is given up. */
import type { Address, Uid } from '../../core/address.js'
import { Deadline } from '../control/deadlines.js'
import type { DataLane } from '../transport.js'
import type { Lane } from './lane.js'

/** Why an association has ended. */
export type AssociationEnd = 'unreachable' | 'quarantined' | 'left' | 'peerReset' | 'closed'

export class Association<T, C> {
  /** Empty until the peer at the address has said who it is. */
  uid: Uid
  nodeId = ''
  address: Address
  /** State of the layer above. */
  client!: C
  ordinary: Lane<T> | undefined
  large: Lane<T> | undefined
  /** A control link stands. */
  linked = false
  /** This layer has asked for one. */
  wanted = false
  /** Set when it ends; nothing goes in or out from then on. */
  ended: AssociationEnd | undefined
  /** A dial has failed since the last link; the next one follows by then. */
  gatedUntilMs: number | undefined
  /** The one lane dial in flight. */
  opening: Lane<T> | undefined
  /** Lane dials and sockets that came to nothing in a row. */
  failures = 0
  /** Made when they are first set: most associations never need them. */
  private retryMade: Deadline | undefined
  private lostMade: Deadline | undefined

  constructor(
    uid: Uid,
    address: Address,
    private readonly onRetry: (association: Association<T, C>) => void,
    private readonly onLost: (association: Association<T, C>) => void,
  ) {
    this.uid = uid
    this.address = address
  }

  /** The next lane dial. */
  get retry(): Deadline {
    this.retryMade ??= new Deadline(() => this.onRetry(this))
    return this.retryMade
  }

  /** Runs while something waits for a peer that has no socket. */
  get lost(): Deadline {
    this.lostMade ??= new Deadline(() => this.onLost(this))
    return this.lostMade
  }

  get isRetrying(): boolean {
    return this.retryMade !== undefined && this.retryMade.index >= 0
  }

  get isLost(): boolean {
    return this.lostMade !== undefined && this.lostMade.index >= 0
  }

  laneOf(name: DataLane): Lane<T> | undefined {
    return name === 'ordinary' ? this.ordinary : this.large
  }

  /** Those in use so far. */
  lanes(): Lane<T>[] {
    const lanes: Lane<T>[] = []
    if (this.ordinary !== undefined) lanes.push(this.ordinary)
    if (this.large !== undefined) lanes.push(this.large)
    return lanes
  }

  /** When anything last went in or out, by the owner's clock; -Infinity: never. */
  get usedAtMs(): number {
    const never = Number.NEGATIVE_INFINITY
    return Math.max(this.ordinary?.usedAtMs ?? never, this.large?.usedAtMs ?? never)
  }

  /** A lane on which the peer has spoken. */
  get hasSocket(): boolean {
    return this.ordinary?.isOpen === true || this.large?.isOpen === true
  }

  /** Something is queued or not yet acknowledged. */
  get hasUnacked(): boolean {
    return (this.ordinary?.outbox.unackedBytes ?? 0) > 0 || (this.large?.outbox.unackedBytes ?? 0) > 0
  }

  /** The peer has to be there, for that or for what the layer above holds open. */
  get hasWork(): boolean {
    return this.ordinary?.isNeeded === true || this.large?.isNeeded === true
  }
}
