/**
 * Roll calls: a new suspicion opens one, whoever learns of it answers by stamping its presence, and who has left one
 * unanswered for its whole time is unheard. The time runs per member from the oldest call it owes, so that new calls, however
 * many, do not put it off.
 */
import type { Uid } from './address.js'
import { type Env, earliest } from './env.js'
import type { ReplicatedState } from './state.js'

interface Debt {
  /** The oldest call left unanswered. */
  readonly call: number
  sinceMs: number
}

/** The newest call known; answers count too, since the rows of who opened it may be gone. 0 when nobody was ever suspected. */
export function newestRollCall(state: ReplicatedState): number {
  let newest = 0
  for (const entry of state.rows.values()) newest = Math.max(newest, entry.rollCall)
  for (const entry of state.presences.values()) newest = Math.max(newest, entry.rollCall)
  return newest
}

export class RollCall {
  private readonly env: Env
  private readonly debts = new Map<Uid, Debt>()
  private trackedVersion = ''
  private unheardSet: ReadonlySet<Uid> = new Set()

  constructor(env: Env) {
    this.env = env
  }

  /** Says that this node is there, and notes who has not yet. */
  attend(): void {
    const { state, self } = this.env
    const newest = newestRollCall(state)
    const own = state.presences.get(self)
    if (own !== undefined && own.rollCall < newest) state.putPresence({ ...own, rollCall: newest })
    this.track(newest)
  }

  /** Members that owe an answer for too long; the same set until it changes. */
  unheard(): ReadonlySet<Uid> {
    const { nowMs, settings } = this.env
    const late = new Set<Uid>()
    for (const [uid, debt] of this.debts) {
      if (nowMs >= debt.sinceMs + settings.rollCallTimeoutMs) late.add(uid)
    }
    const same = late.size === this.unheardSet.size && [...late].every((uid) => this.unheardSet.has(uid))
    if (!same) this.unheardSet = late
    return this.unheardSet
  }

  /** Time that was not ours is not time that others were silent. */
  excuse(gapMs: number): void {
    for (const debt of this.debts.values()) debt.sinceMs = Math.min(this.env.nowMs, debt.sinceMs + gapMs)
  }

  nextDeadline(): number | undefined {
    let deadline: number | undefined
    for (const { sinceMs } of this.debts.values()) {
      const at = sinceMs + this.env.settings.rollCallTimeoutMs
      if (at > this.env.nowMs) deadline = earliest(deadline, at)
    }
    return deadline
  }

  private track(newest: number): void {
    const { state, self, nowMs } = this.env
    const version = `${newest} ${state.rollCallVersion} ${state.membersVersion}`
    if (version === this.trackedVersion) return
    this.trackedVersion = version
    for (const uid of [...this.debts.keys()]) if (state.living(uid) === undefined) this.debts.delete(uid)
    for (const { uid } of this.env.living()) {
      const answered = state.presences.get(uid)?.rollCall ?? 0
      if (uid === self || answered >= newest) this.debts.delete(uid)
      else if (answered >= (this.debts.get(uid)?.call ?? 0))
        this.debts.set(uid, { call: newest, sinceMs: nowMs })
    }
  }
}
