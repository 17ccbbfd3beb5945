/**
 * The demo for people: a timeline that scrolls, and below it, on a terminal, the member table, redrawn in place when it
 * changes. Anywhere else the table is printed after the lines that changed it, and there is no ANSI at all.
 */

import { eventText } from '../../cluster/event-text.js'
import type { Line } from '../agent-lines.js'
import type { DemoAgent, Stamped } from './demo-agent.js'
import { type MemberRow, type Paint, tableLines } from './member-table.js'
import { type Reporter, STEP_NAMES, type StepName, type Summary } from './report.js'
import { summaryLines } from './summary-table.js'

/** Where the timeline is drawn. */
export interface Screen {
  write(text: string): void
  /** A terminal that understands ANSI. */
  readonly live: boolean
  columns(): number
}

const STYLE = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const

/** The quiet period is a pause between the numbered steps. */
const NUMBERED: readonly StepName[] = STEP_NAMES.filter((name) => name !== 'quiet')

/** Events worth a line: what happens to members, not how the nodes agree on it. */
const TOLD: ReadonlySet<Line['type']> = new Set([
  'memberUp',
  'memberWeaklyUp',
  'memberLeft',
  'memberExited',
  'memberDowned',
  'memberRemoved',
  'unreachable',
  'reachable',
  'stalled',
  'recovered',
  'downingDecision',
  'quarantined',
  'joinRejected',
  'connectionRejected',
  'selfPaused',
  'failed',
])

export class Timeline implements Reporter {
  readonly #screen: Screen
  readonly #sinceStartMs: () => number
  /** Whose events are shown, so that each is told once. */
  readonly #viewpoint: () => DemoAgent | undefined
  /** Lines of the newest table. */
  #table: readonly string[] = []
  /** Lines that are on the screen below the timeline, and must be erased before it grows. */
  #drawn = 0

  constructor(screen: Screen, sinceStartMs: () => number, viewpoint: () => DemoAgent | undefined) {
    this.#screen = screen
    this.#sinceStartMs = sinceStartMs
    this.#viewpoint = viewpoint
  }

  intro(text: string): void {
    this.#print(text)
  }

  begin(step: StepName, title: string): void {
    const number = NUMBERED.indexOf(step) + 1
    this.#print('')
    this.#print(this.#style('bold', number === 0 ? title : `${number}. ${title}`))
  }

  note(text: string): void {
    this.#print(`${this.#time()}  ${text}`)
  }

  event(agent: DemoAgent, line: Stamped<Line>): void {
    if (
      agent !== this.#viewpoint() ||
      !TOLD.has(line.type) ||
      line.type === 'started' ||
      line.type === 'failed' ||
      line.type === 'outputLost'
    )
      return
    this.#print(this.#style('dim', `${this.#time()}  ${agent.name}: ${eventText(line).text}`))
  }

  table(rows: readonly MemberRow[]): void {
    this.#table = tableLines(rows, this.#paint)
    if (this.#screen.live) this.#redraw()
    else for (const line of this.#table) this.#screen.write(`            | ${line}\n`)
  }

  passed(text: string): void {
    this.#print(`${this.#time()}  ${this.#style('green', 'ok')}  ${text}`)
  }

  failed(text: string): void {
    this.#print(`${this.#time()}  ${this.#style('red', 'FAILED')}  ${text}`)
  }

  /** The table stays where it is, and the verdict is the last line. */
  summary(summary: Summary): void {
    this.#table = []
    this.#drawn = 0
    this.#print('')
    for (const line of summaryLines(summary)) this.#print(line)
  }

  #time(): string {
    return `${(this.#sinceStartMs() / 1000).toFixed(3).padStart(8)} s`
  }

  /** A line above the table, which is drawn again below it. */
  #print(text: string): void {
    this.#erase()
    this.#screen.write(`${text}\n`)
    this.#draw()
  }

  #redraw(): void {
    this.#erase()
    this.#draw()
  }

  #erase(): void {
    if (this.#drawn > 0) this.#screen.write(`\x1b[${this.#drawn}A\x1b[J`)
    this.#drawn = 0
  }

  /** Below everything; a blank line sets it apart. */
  #draw(): void {
    if (!this.#screen.live || this.#table.length === 0) return
    // A line that wrapped would be erased by half.
    if (this.#table.some((line) => visibleLength(line) > this.#screen.columns())) return
    for (const line of ['', ...this.#table]) this.#screen.write(`${line}\n`)
    this.#drawn = this.#table.length + 1
  }

  /** Colour is for what differs from the ordinary. */
  readonly #paint: Paint = (text, row, column) => {
    if (row.membership === 'removed') return this.#style('dim', text)
    if (column === 'membership') return this.#style(row.membership === 'up' ? 'green' : 'cyan', text)
    if (column !== 'reachability' || row.reachability === 'reachable') return text
    return this.#style(row.reachability.startsWith('stalled') ? 'yellow' : 'red', text)
  }

  #style(style: keyof typeof STYLE, text: string): string {
    return this.#screen.live ? `\x1b[${STYLE[style]}m${text}\x1b[0m` : text
  }
}

function visibleLength(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences written above.
  return line.replace(/\x1b\[\d+m/g, '').length
}
