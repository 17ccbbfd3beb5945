/**
 * What this node sees for itself: the peers it watches, the transport's verdicts on them, and its own rows made of these.
 */
import type { Address, Uid } from './address.js'
import { type Env, earliest } from './env.js'
import type { MemberEntry, Row } from './model.js'
import { newestRollCall } from './roll-call.js'

interface Sighting {
  silent: boolean
  gone: boolean
  /** When the peer's loop last turned, by its own beats; undefined while it turns. */
  stalledSinceMs: number | undefined
}

export class Observation {
  private readonly env: Env
  private readonly sightings = new Map<Uid, Sighting>()
  private readonly watched = new Map<Uid, Address>()

  constructor(env: Env) {
    this.env = env
  }

  suspicion(uid: Uid, suspected: boolean, cause: 'silence' | 'gone'): void {
    const sighting = this.sighting(uid)
    if (sighting === undefined) return
    if (!suspected) {
      sighting.silent = false
      sighting.gone = false
    } else if (cause === 'gone') sighting.gone = true
    else sighting.silent = true
  }

  stalled(uid: Uid, stalled: boolean, loopAgeMs: number): void {
    const sighting = this.sighting(uid)
    if (sighting === undefined) return
    sighting.stalledSinceMs = stalled ? this.env.nowMs - loopAgeMs : undefined
  }

  /** True while this node itself holds the process of `uid` for gone. */
  seesGone(uid: Uid): boolean {
    return this.sightings.get(uid)?.gone ?? false
  }

  /** Watches whom the overlay says, and goes on watching whom it accuses until they are heard or removed. */
  reconcileWatches(): void {
    const { env } = this
    const wanted = new Set(
      env.isMember ? env.overlay.watchedBy(env.self, (uid) => env.isUnreachable(uid)) : [],
    )
    for (const uid of this.watched.keys()) {
      if (wanted.has(uid) || (env.state.living(uid) !== undefined && this.accuses(uid))) continue
      this.watched.delete(uid)
      this.sightings.delete(uid)
      env.emit({ type: 'unwatch', uid })
    }
    for (const uid of wanted) {
      const entry = env.state.living(uid)
      if (entry === undefined || this.watched.has(uid)) continue
      this.watched.set(uid, entry.address)
      this.sightings.set(uid, { silent: false, gone: false, stalledSinceMs: undefined })
      env.emit({ type: 'watch', uid, address: entry.address })
    }
  }

  isWatching(uid: Uid): boolean {
    return this.watched.has(uid)
  }

  /** Publishes own rows when they have changed; a new suspicion opens a roll call. */
  updateRows(): void {
    const { state, self } = this.env
    const own = state.rows.get(self)
    const rows = this.ownRows()
    if (sameRows(own?.rows ?? [], rows)) return
    const before = new Set(own?.rows.filter((r) => r.status === 'unreachable').map((r) => r.subject))
    const suspicious = rows.some((r) => r.status === 'unreachable' && !before.has(r.subject))
    state.putRows({ rows, rollCall: suspicious ? newestRollCall(state) + 1 : (own?.rollCall ?? 0) })
  }

  nextDeadline(): number | undefined {
    let deadline: number | undefined
    for (const { stalledSinceMs } of this.sightings.values()) {
      if (stalledSinceMs === undefined) continue
      const at = stalledSinceMs + this.env.settings.maxLoopStallMs
      if (at > this.env.nowMs) deadline = earliest(deadline, at)
    }
    return deadline
  }

  private sighting(uid: Uid): Sighting | undefined {
    return this.watched.has(uid) ? this.sightings.get(uid) : undefined
  }

  private accuses(uid: Uid): boolean {
    const sighting = this.sightings.get(uid)
    return (
      sighting !== undefined && (sighting.silent || sighting.gone || sighting.stalledSinceMs !== undefined)
    )
  }

  private ownRows(): Row[] {
    const rows: Row[] = []
    for (const uid of [...this.watched.keys()].sort()) {
      const entry = this.env.state.living(uid)
      const status = entry === undefined ? undefined : this.judge(entry, this.sightings.get(uid) as Sighting)
      if (status !== undefined) rows.push({ subject: uid, status })
    }
    return rows
  }

  private judge(entry: MemberEntry, sighting: Sighting): Row['status'] | undefined {
    // A process that goes away on purpose is not missing: only its silence counts.
    const expected = entry.status === 'leaving' || entry.status === 'exiting'
    if (sighting.silent || (sighting.gone && !expected)) return 'unreachable'
    if (sighting.stalledSinceMs === undefined) return undefined
    // A dead application must not live for ever behind a native thread that answers.
    const deadMs = sighting.stalledSinceMs + this.env.settings.maxLoopStallMs
    return this.env.nowMs >= deadMs ? 'unreachable' : 'stalled'
  }
}

function sameRows(a: readonly Row[], b: readonly Row[]): boolean {
  return (
    a.length === b.length && a.every((row, i) => row.subject === b[i]?.subject && row.status === b[i]?.status)
  )
}
