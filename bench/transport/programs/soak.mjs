// Two nodes send to each other on both lanes, through relays that reset, end, half-close and pause their connections: what was
// lost, came twice, out of order or damaged, and the descriptors left at the end.
import { fileURLToPath } from 'node:url'
import { Child } from '../child.mjs'
import { readArguments, report, runProgram, sleep } from './program.mjs'
import { generator } from './soak-plan.mjs'
import { Relay } from './soak-relay.mjs'

const END = fileURLToPath(new URL('./soak-end.mjs', import.meta.url))
const LANES = ['ordinary', 'large']
const FAULT_MIN_MS = 100
const FAULT_MAX_MS = 1200
const SETTLE_TIMEOUT_MS = 90_000
const CLOSE_TIMEOUT_MS = 30_000

runProgram('soak', async (argv) => {
  const { json, seconds, seed, transport } = readArguments(argv, {
    seconds: 600,
    seed: 1 + Math.floor(Math.random() * 2 ** 16),
    transport: 'native',
  })
  const random = generator(seed)
  const relays = [await new Relay().listen(), await new Relay().listen()]
  const ends = relays.map(
    (relay, i) =>
      new Child(process.execPath, [END, transport, relay.address, String(seed + i), String(seed + 1 - i)]),
  )
  for (const [i, end] of ends.entries()) relays[i].target = (await end.next()).ready
  await Promise.all(ends.map((end, i) => end.ask(`start ${relays[1 - i].address}`)))
  const until = performance.now() + seconds * 1000
  while (performance.now() < until) {
    await sleep(FAULT_MIN_MS + random() * (FAULT_MAX_MS - FAULT_MIN_MS))
    relays[random() < 0.5 ? 0 : 1].hurt(random)
  }
  const sent = await Promise.all(ends.map((end) => end.ask('sent')))
  await settle(ends, sent)
  const verdicts = await Promise.all(
    ends.map((end, i) => end.ask(`finish ${sent[1 - i].ordinary} ${sent[1 - i].large}`)),
  )
  const closed = await Promise.all(ends.map((end) => end.ask('close', CLOSE_TIMEOUT_MS)))
  const relayedStill = relays.reduce((count, relay) => count + relay.connections, 0)
  for (const relay of relays) relay.close()
  const sum = (field) =>
    verdicts.reduce((total, verdict) => total + LANES.reduce((all, lane) => all + verdict[lane][field], 0), 0)
  const leaked = closed.flatMap((end) => end.leaked)
  const figures = {
    transport,
    seconds,
    seed,
    messages: sum('received'),
    megabytes: Math.round(sum('bytes') / 1e6),
    lanes: Object.fromEntries(LANES.map((lane) => [lane, addUp(verdicts.map((verdict) => verdict[lane]))])),
    faults: addUp(relays.map(({ faults }) => faults)),
    overtaken: sum('overtaken'),
    leaked,
    damaged: verdicts.flatMap(({ examples }) => examples),
    relayedStill,
    deadLetters: addUp(verdicts.map(({ deadLetters }) => deadLetters)),
  }
  const none = (what, value) => ({ what, value, unit: `of ${figures.messages} messages`, max: 0 })
  report('soak', json, figures, [
    none('lost', sum('lost')),
    none('came twice', sum('duplicated')),
    none('out of order', sum('reordered')),
    none('damaged', sum('corrupted')),
    { what: 'file descriptors leaked', value: leaked.length, unit: 'by both ends', max: 0 },
  ])
})

/** Until everything has arrived, or it has had its time. */
async function settle(ends, sent) {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS
  for (;;) {
    const progress = await Promise.all(ends.map((end) => end.ask('progress')))
    const done = progress.every((lanes, i) => LANES.every((lane) => lanes[lane] >= sent[1 - i][lane]))
    if (done || performance.now() > deadline) return
    await sleep(200)
  }
}

function addUp(records) {
  const total = {}
  for (const record of records)
    for (const [name, count] of Object.entries(record)) total[name] = (total[name] ?? 0) + count
  return total
}
