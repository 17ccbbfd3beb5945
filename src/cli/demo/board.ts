/** Keeps the member table current: asks the agents after what they tell, and shows it only when it has changed. */
import type { Line } from '../agent-lines.js'
import type { Stamped } from './demo-agent.js'
import type { Fleet } from './fleet.js'
import { type Departed, memberRows } from './member-table.js'
import type { Reporter } from './report.js'

/** What several agents tell of one change arrives within this time, and is one redraw. */
const SETTLE_MS = 60

export class Board {
  readonly #fleet: Fleet
  readonly #report: Reporter
  /** Removed members by uid: states know them only as quarantined, or not at all. */
  readonly #departed = new Map<string, Departed>()
  #timer: NodeJS.Timeout | undefined
  /** One question at a time; `#again` when something was told meanwhile. */
  #asking = false
  #again = false
  #stopped = false
  /** The rows last shown, as text. */
  #shown = ''

  constructor(fleet: Fleet, report: Reporter) {
    this.#fleet = fleet
    this.#report = report
    fleet.onLine((_agent, line) => this.#onLine(line))
  }

  /** Nothing is shown any more. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #onLine(line: Stamped<Line>): void {
    if (line.type === 'memberRemoved') {
      this.#departed.set(line.member.uid, { member: line.member, cause: line.cause })
    }
    if (this.#stopped) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#refresh()
    }, SETTLE_MS)
  }

  async #refresh(): Promise<void> {
    if (this.#asking) {
      this.#again = true
      return
    }
    this.#asking = true
    await this.show()
    this.#asking = false
    if (!this.#again || this.#stopped) return
    this.#again = false
    void this.#refresh()
  }

  /** Asks now, and shows what has changed. */
  async show(): Promise<void> {
    // Whoever is dying or has not joined yet does not answer; the table is then that of the others.
    const answers = await Promise.allSettled(this.#fleet.hearing.map((agent) => agent.state()))
    if (this.#stopped) return
    const states = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    const rows = memberRows(states, [...this.#departed.values()])
    const text = JSON.stringify(rows)
    if (rows.length === 0 || text === this.#shown) return
    this.#shown = text
    this.#report.table(rows)
  }
}
