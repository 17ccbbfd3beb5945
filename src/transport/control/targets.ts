/** What is wanted at one address, and how dialling it has gone so far. Data only; `dialler.ts` decides. */
import { type Address, formatAddress, type Uid } from '../../core/address.js'
import type { Connection } from './connection.js'
import { Deadline } from './deadlines.js'
import type { Watch } from './watch.js'

/** One pending question whether an incarnation still answers at the address. */
export interface Probe {
  firstRefusedMs: number | undefined
  /** Not before this time may the next dial for it begin. */
  notBeforeMs: number
  /** Whether the dial in flight began after the question was asked. */
  dialed: boolean
}

export class Target {
  readonly key: string
  connectWanted = false
  /** The incarnation that `connect` named. */
  expected: Uid | undefined
  readonly watches = new Map<Uid, Watch>()
  readonly probes = new Map<Uid, Probe>()

  dialing: Connection | undefined
  /** Set by a final refusal: nobody dials here before a command names another uid than this one. */
  blockedBy: Uid | undefined
  backoffMs = 0
  attempts = 0
  notBeforeMs = Number.NEGATIVE_INFINITY
  lastDialMs = Number.NEGATIVE_INFINITY
  /** First of a row of refused connections. */
  firstRefusedMs: number | undefined
  supersededInRow = 0
  /** The incarnation that last completed a dial to this address. */
  lastUid: Uid | undefined
  /** Highest dial number heard of here while no incarnation is known. */
  dialMax = 0
  readonly deadline: Deadline

  constructor(
    readonly address: Address,
    makeRun: (target: Target) => () => void,
  ) {
    this.key = formatAddress(address)
    this.deadline = new Deadline(makeRun(this))
  }

  get isIdle(): boolean {
    return (
      !this.connectWanted && this.watches.size === 0 && this.probes.size === 0 && this.dialing === undefined
    )
  }

  /** Whether a link to `uid`, which advertises `addressKey`, has to do with this target. */
  refersTo(uid: Uid, addressKey: string | undefined): boolean {
    return this.key === addressKey || this.lastUid === uid || this.expected === uid || this.watches.has(uid)
  }
}
