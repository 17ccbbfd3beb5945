// Figures for a terminal of 100 columns.
import { PRIMARY } from './statistics.mjs'

const TITLES = {
  rtt: 'round trip, one in flight',
  window: 'requests and responses, many in flight',
  oneway: 'one way, every message seen by a handler',
  idle: 'RSS of the server for each idle connection',
}

const COLUMNS = {
  rtt: ['p50Us', 'spread', 'p99Us', 'p999Us', 'cpuSecondsPerMillion', 'ratioRaw', 'ratioNet'],
  window: ['msgsPerSecond', 'spread', 'cpuSecondsPerMillion', 'ratioRaw', 'ratioNet'],
  oneway: ['msgsPerSecond', 'spread', 'cpuSecondsPerMillion', 'ratioRaw', 'ratioNet'],
  idle: ['rssBytesPerConnection', 'spread', 'ratioRaw', 'ratioNet'],
}

const HEADS = {
  p50Us: 'p50',
  p99Us: 'p99',
  p999Us: 'p99.9',
  msgsPerSecond: 'per second',
  cpuSecondsPerMillion: 'CPU s/M',
  rssBytesPerConnection: 'RSS',
  spread: 'min-max',
  ratioRaw: 'x raw',
  ratioNet: 'x net',
}

const WIDTHS = { spread: 18, ratioRaw: 8, ratioNet: 8 }
const NAME_WIDTH = 20
const WIDTH = 10

export function showFigure(field, value) {
  if (value === null || value === undefined) return '-'
  if (field.endsWith('Us')) return `${short(value)} us`
  if (field === 'rssBytesPerConnection') return `${(value / 1024).toFixed(2)} KiB`
  return short(value)
}

export function showBytes(bytes) {
  if (bytes >= 1_048_576) return `${bytes / 1_048_576} MiB`
  return bytes >= 1024 ? `${bytes / 1024} KiB` : `${bytes} B`
}

export function renderRows(rows, machine, { rounds, seconds, pin }) {
  const where = { same: 'both ends on one core', two: 'one core each', free: 'unpinned' }[pin]
  let text = `\n${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.load}\n`
  text += `medians of ${rounds} interleaved rounds of ${seconds} s, ${where}; ratios within a round\n`
  for (const [group, members] of groupRows(rows)) {
    const columns = COLUMNS[members[0].kind]
    text += `\n${group}\n${'  peer'.padEnd(NAME_WIDTH)}${columns.map((c) => pad(HEADS[c], c)).join('')}\n`
    for (const row of members) text += renderRow(row, columns)
  }
  return text
}

function groupOf({ kind, bytes }) {
  return kind === 'idle' ? TITLES.idle : `${TITLES[kind]}, ${showBytes(bytes)}`
}

function groupRows(rows) {
  const groups = new Map()
  for (const row of rows) {
    const group = groupOf(row)
    groups.set(group, [...(groups.get(group) ?? []), row])
  }
  return groups
}

function renderRow(row, columns) {
  const primary = PRIMARY[row.kind].field
  const name = `  ${row.peer} ${row.mode}`
  const cells = columns.map((column) => {
    if (column === 'spread')
      return pad(
        `${showFigure(primary, row.min)}-${showFigure(primary, row.max)}`.replace(/ \w+-/, '-'),
        column,
      )
    if (column.startsWith('ratio')) return pad(row[column] === null ? '-' : showRatio(row[column]), column)
    return pad(showFigure(column, row[column]), column)
  })
  return `${name.padEnd(NAME_WIDTH)}${cells.join('')}\n`
}

export function renderBars(bars) {
  if (bars.length === 0) return ''
  const lines = bars.map(({ what, bar, value, met }) => {
    const verdict = met === null ? 'reported' : met ? 'met' : 'NOT MET'
    return `  ${what.padEnd(62)}${bar.padStart(14)}${value.padStart(12)}  ${verdict}\n`
  })
  return `\nbars\n${lines.join('')}`
}

function pad(text, column) {
  return text.padStart(WIDTHS[column] ?? WIDTH)
}

function showRatio(value) {
  if (value >= 100) return value.toFixed(0)
  return value >= 1 ? value.toPrecision(3) : value.toFixed(value >= 0.1 ? 2 : 4)
}

/** 12.3k, 4.56M; three digits are enough to compare by eye. */
function short(value) {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)}k`
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3)
}
