/** What an agent prints: one line for each event, for people or for programs. */
import { eventText } from '../cluster/event-text.js'
import type { ShellEvent } from '../cluster/events.js'

export type Line =
  | Exclude<ShellEvent, { type: 'listening' }>
  /** The first line. */
  | {
      readonly type: 'started'
      readonly pid: number
      readonly cluster: string
      readonly nodeId: string
      readonly uid: string
      readonly address: string
      readonly transport: string
    }
  /** Something could not be done; `code` is that of a `SkeinError`. */
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  /** Lines before this one could not be written: the disk was full, or nobody read. */
  | { readonly type: 'outputLost'; readonly lines: number }

/** Milliseconds since 1970 with fractions, comparable between the processes of one machine. */
export function wallClockMs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000) / 1000
}

/** `at` is when the agent handled the event, not when somebody read the line. */
export function jsonLine(line: Line): string {
  return JSON.stringify({ at: wallClockMs(), ...line })
}

/** Time of day in UTC, level, sentence. */
export function humanLine(line: Line): string {
  const at = new Date(wallClockMs()).toISOString().slice(11, 23)
  const { level, text } = lineText(line)
  return `${at} ${level.toUpperCase().padEnd(5)} ${text}`
}

function lineText(line: Line): { level: string; text: string } {
  if (line.type === 'started') {
    const text = `${line.nodeId} listens on ${line.address} over ${line.transport}, uid ${line.uid}, pid ${line.pid}`
    return { level: 'info', text }
  }
  if (line.type === 'failed') return { level: 'error', text: `${line.code}: ${line.message}` }
  if (line.type === 'outputLost') {
    return { level: 'warn', text: `${line.lines} line(s) before this one could not be written` }
  }
  return eventText(line)
}
