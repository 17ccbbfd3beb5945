/** The last lines of the demo: what was measured, beside what was asked for. */
import type { Summary } from './report.js'

/** What a run on an idle machine should show; a busy one may be slower without being wrong, so none of these fails a step. */
const BARS = {
  formMs: 2000,
  fdsBeyondNode: 16,
  detectKillMs: 300,
  pauseDetectMs: 5000,
} as const

type Row = readonly [what: string, figure: string, bar: string]

/** The figures that there are, then one line with the verdict. */
export function summaryLines(summary: Summary): string[] {
  const rows = [...formRows(summary), ...faultRows(summary), ...refusalRows(summary)]
  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((row) => row[i]!.length), 0))
  const verdict = summary.ok
    ? 'every step came out as it must'
    : `FAILED in step ${summary.failedStep ?? '?'}: ${summary.error ?? 'unknown'}`
  return [
    ...rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd()),
    '',
    verdict,
  ]
}

function formRows({ nodes, transport, formMs, fdsBeyondNode, quiet }: Summary): Row[] {
  const rows: Row[] = [['nodes, transport', `${nodes}, ${transport ?? 'not started'}`, '']]
  if (formMs !== undefined) rows.push(['all up everywhere', ms(formMs), atMost(formMs, BARS.formMs, 'ms')])
  if (typeof fdsBeyondNode === 'number') {
    rows.push([
      'fds of an agent beyond a bare node',
      `${fdsBeyondNode}`,
      atMost(fdsBeyondNode, BARS.fdsBeyondNode, ''),
    ])
  }
  if (quiet !== undefined)
    rows.push([`suspicions in ${quiet.ms} quiet ms`, `${quiet.suspicionEvents}`, 'none'])
  return rows
}

function faultRows(s: Summary): Row[] {
  const rows: Row[] = []
  if (s.detectKillMs !== undefined) {
    rows.push([
      'killed: unreachable everywhere',
      ms(s.detectKillMs),
      atMost(s.detectKillMs, BARS.detectKillMs, 'ms'),
    ])
  }
  if (s.removeMs !== undefined) rows.push(['killed: removed everywhere', ms(s.removeMs), ''])
  if (s.rejoinMs !== undefined) rows.push(['back as a new incarnation: up everywhere', ms(s.rejoinMs), ''])
  if (s.pauseDetectMs !== undefined) {
    // The net transport forgives longer pauses by design.
    const bar = s.transport === 'native' ? atMost(s.pauseDetectMs, BARS.pauseDetectMs, 'ms') : ''
    rows.push(['paused: unreachable everywhere', ms(s.pauseDetectMs), bar])
  }
  if (s.pauseHealMs !== undefined) rows.push(['resumed: reachable everywhere', ms(s.pauseHealMs), ''])
  if (s.stall?.skipped !== undefined) rows.push(['blocked loop', 'skipped', s.stall.skipped])
  else if (s.stall !== undefined) {
    rows.push(['blocked loop: stalled, as each other saw', `${s.stall.stalledEvents}`, 'once'])
    rows.push(['blocked loop: unreachable', `${s.stall.unreachableEvents}`, 'never'])
  }
  return rows
}

function refusalRows({ leaveMs, duplicate, stray }: Summary): Row[] {
  const rows: Row[] = []
  if (leaveMs !== undefined) rows.push(['left: removed everywhere, not quarantined', ms(leaveMs), ''])
  if (duplicate !== undefined) rows.push(['a copied nodeId', duplicate.code, 'member undisturbed'])
  for (const [reason, count] of Object.entries(stray ?? {})) {
    rows.push([`stray connections closed as ${reason}`, `${count}`, ''])
  }
  return rows
}

function ms(value: number): string {
  return `${Math.round(value)} ms`
}

/** A miss is said aloud and fails nothing: it is a figure of this machine at this moment. */
function atMost(value: number, bar: number, unit: string): string {
  const text = `at most ${bar} ${unit}`.trimEnd()
  return value <= bar ? text : `${text}: MISSED`
}
