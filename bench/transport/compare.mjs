// skein beside what a service would take instead, two processes each, in interleaved rounds.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { barsOf } from './bars.mjs'
import { pinProblem } from './child.mjs'
import { install } from './install.mjs'
import { describeMachine } from './machine.mjs'
import { readOptions } from './options.mjs'
import { IDLE_PEERS, tryPeer } from './peers/index.mjs'
import { runCell, runIdle } from './run.mjs'
import { median, PRIMARY, rounded, rowsOf, Samples } from './statistics.mjs'
import { renderBars, renderRows, showFigure } from './table.mjs'

/** Messages in flight by size; about 4 MiB of them for a size that is not listed. */
const IN_FLIGHT = new Map([
  [100, 1000],
  [1024, 1000],
  [65_536, 64],
  [1_048_576, 8],
])
/** A mode this many times worse than the best of its peer so far is not measured again; placement alone may cost 2x. */
const MODE_KEPT_WITHIN = 2.5
/** Memory hardly varies, and a run of it is long. */
const IDLE_ROUNDS_MAX = 2

const options = readOptions(process.argv.slice(2))
install()
const problem = pinProblem(options.pin)
if (problem !== undefined) note(problem)
const { peers, skipped } = await loadPeers()
const cells = options.kinds.flatMap((kind) =>
  kind === 'idle' ? [{ kind, bytes: 0 }] : options.bytes.map((bytes) => ({ kind, bytes })),
)
const samples = new Samples()
const failures = []
for (let round = 1; round <= options.rounds; round += 1) {
  for (const cell of cells) await measureCell(cell, round)
}
await report()

async function loadPeers() {
  const peers = []
  const skipped = []
  for (const name of options.peers) {
    const { peer, reason } = await tryPeer(name)
    if (peer !== undefined) peers.push(peer)
    else {
      skipped.push({ peer: name, reason })
      note(`${name} is left out: ${reason}`)
    }
  }
  return { peers, skipped }
}

async function measureCell({ kind, bytes }, round) {
  if (kind === 'idle' && round > IDLE_ROUNDS_MAX) return
  for (const peer of peers) {
    if (kind === 'idle' && !IDLE_PEERS.includes(peer.name)) continue
    for (const mode of modesToMeasure(kind, bytes, peer, round)) {
      await measure({ kind, bytes, round, peer: peer.name, mode })
    }
  }
}

function modesToMeasure(kind, bytes, peer, round) {
  const able = peer.modesOf?.(kind) ?? peer.modes
  if (round === 1) return able
  const near = samples.ranked(kind, bytes, peer).filter(({ worse }) => worse <= MODE_KEPT_WITHIN)
  return able.filter((mode) => near.some((kept) => kept.mode === mode))
}

async function measure(run) {
  const { kind, bytes, round, peer, mode } = run
  const label = `round ${round}/${options.rounds}  ${kind}${bytes > 0 ? ` ${bytes} B` : ''}  ${peer} ${mode}`
  const inFlight = IN_FLIGHT.get(bytes) ?? Math.min(1000, Math.max(8, Math.floor(4_194_304 / bytes)))
  try {
    const sample =
      kind === 'idle'
        ? await runIdle({ ...options, ...run })
        : await runCell({ ...options, ...run, inFlight })
    samples.add(run, sample)
    progress(`${label}  ${showFigure(PRIMARY[kind].field, sample[PRIMARY[kind].field])}`)
  } catch (error) {
    failures.push({ ...run, reason: error.message })
    note(`${label} failed: ${error.message}`)
  }
}

async function report() {
  const rows = rowsOf(samples, cells, peers)
  const bars = barsOf(samples, rows, peers, options.pin)
  const machine = describeMachine()
  const outDir = resolve(options.out)
  mkdirSync(outDir, { recursive: true })
  const { rounds, seconds, warmSeconds, pin } = options
  const record = {
    machine,
    options: { rounds, seconds, warmSeconds, pin },
    rows,
    modes: modesOf(),
    bars,
    skipped,
    failures,
  }
  const stem = join(outDir, `transport-${pin}`)
  writeFileSync(`${stem}.json`, `${JSON.stringify(record, null, 1)}\n`)
  const { plotRows } = await import('./plot.mjs')
  const svg = plotRows(rows, machine, options)
  if (svg !== undefined) writeFileSync(`${stem}.svg`, svg)
  progress('')
  if (options.json) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`)
  } else {
    process.stdout.write(renderRows(rows, machine, options) + renderBars(bars))
    process.stdout.write(`\nresults: ${stem}.json${svg === undefined ? '' : `, ${stem}.svg`}\n`)
  }
  if (failures.length > 0) process.exitCode = 1
}

/** Every mode that was measured, with its median: what the best ones were chosen from. */
function modesOf() {
  return cells.flatMap(({ kind, bytes }) =>
    peers.flatMap((peer) =>
      peer.modes.flatMap((mode) => {
        const values = [...samples.of(kind, bytes, peer.name, mode).values()]
        if (values.length === 0) return []
        return [
          { peer: peer.name, mode, kind, bytes, rounds: values.length, median: rounded(median(values)) },
        ]
      }),
    ),
  )
}

/** One line that the next one replaces; without a terminal, nothing. */
function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function note(text) {
  progress('')
  process.stderr.write(`bench: ${text}\n`)
}
