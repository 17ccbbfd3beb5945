/** The sockets of one engine: their names, their making and their end. Iterates in the order of their making. */
import { type Address, formatAddress, type Uid } from '../../core/address.js'
import { TRANSPORT_LIMITS } from '../limits.js'
import type { DataLane } from '../transport.js'
import { Connection } from './connection.js'
import { Deadline } from './deadlines.js'
import type { ConnectionId } from './io.js'
import type { PlaneContext } from './plane-context.js'
import type { Target } from './targets.js'

interface LaneDial {
  readonly uid: Uid
  readonly lane: DataLane
  readonly dial: number
  readonly address: Address
}

export class ConnectionTable {
  private readonly connections = new Map<ConnectionId, Connection>()
  private lastId = 0

  constructor(
    private readonly context: PlaneContext,
    private readonly onDeadline: (connection: Connection) => void,
  ) {}

  get size(): number {
    return this.connections.size
  }

  newId(): ConnectionId {
    this.lastId += 1
    return this.lastId
  }

  get(id: ConnectionId): Connection | undefined {
    return this.connections.get(id)
  }

  all(): IterableIterator<Connection> {
    return this.connections.values()
  }

  /** A dial to a target; its connect and handshake together are timed from now. */
  addDial(target: Target, expected: Uid | undefined): Connection {
    const connection = this.addOutbound(target.address, expected)
    connection.target = target
    return connection
  }

  /** A dial of a data lane, timed alike. */
  addLaneDial({ uid, lane, dial, address }: LaneDial): Connection {
    const connection = this.addOutbound(address, uid)
    connection.lane = lane
    connection.dial = dial
    return connection
  }

  /** A connection that came in; its handshake is timed from now. */
  addAccepted(id: ConnectionId, remote: string): Connection {
    const connection = this.add(id, remote, 'awaitHello')
    connection.pendingInbound = true
    const { deadlines, nowMs } = this.context
    deadlines.set(connection.deadline, nowMs + TRANSPORT_LIMITS.handshakeTimeoutMs)
    return connection
  }

  /** Closes at once, whatever is unsent. */
  destroy(connection: Connection): void {
    this.context.push({ type: 'destroy', connection: connection.id })
    this.forget(connection)
  }

  /** For a dial that was never answered: a stopped process never ends its side. */
  reset(connection: Connection): void {
    this.context.push({ type: 'destroy', connection: connection.id, reset: true })
    this.forget(connection)
  }

  forget(connection: Connection): void {
    this.connections.delete(connection.id)
    this.context.deadlines.clear(connection.deadline)
    if (connection.beatDeadline !== undefined) this.context.deadlines.clear(connection.beatDeadline)
  }

  /** Connections that came in and never completed a handshake, those in drain included. */
  countPendingInbound(): number {
    let pending = 0
    for (const connection of this.connections.values()) if (connection.pendingInbound) pending += 1
    return pending
  }

  /** Whether an accepted handshake of a control link with this uid still waits for its `ready`. */
  awaitsReady(uid: Uid): boolean {
    for (const connection of this.connections.values()) {
      if (connection.phase !== 'awaitReady' || connection.lane !== undefined) continue
      if (connection.hello?.uid === uid) return true
    }
    return false
  }

  private addOutbound(address: Address, expected: Uid | undefined): Connection {
    const { nowMs, options } = this.context
    const connection = this.add(this.newId(), formatAddress(address), 'connecting')
    connection.address = address
    connection.expected = expected
    connection.dialUid = this.context.uid
    this.context.deadlines.set(connection.deadline, nowMs + options.dial.connectTimeoutMs)
    return connection
  }

  private add(id: ConnectionId, remote: string, phase: 'connecting' | 'awaitHello'): Connection {
    const connection = new Connection(id, remote, phase, (self) => new Deadline(() => this.onDeadline(self)))
    this.connections.set(id, connection)
    return connection
  }
}
