// One end of a soak: `soak-end.mjs TRANSPORT ADVERTISED SEED_OUT SEED_IN`. Lines on stdin, each answered by one line:
//   start PEER         sends to both lanes of PEER until told to stop
//   sent               stops sending; how many messages each lane was given
//   progress           how many have arrived on each lane
//   finish ORDINARY LARGE  the verdict, given how many the other end has sent
//   close              closes the transport; descriptors leaked
import { readdirSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createTransport } from '../../../dist/index.js'
import { freePort } from '../free-port.mjs'
import { Checker, generator, Plan } from './soak-plan.mjs'

const LANES = ['ordinary', 'large']
/** Enough to keep both lanes and all faults busy, and to leave the machine some air. */
const PAUSE_MAX_MS = { ordinary: 4, large: 30 }
const BURST_MAX = { ordinary: 60, large: 4 }
const CLOSED_SETTLE_MS = 2000
/** A lane that cannot be opened for this long would give its messages up, which is no loss but the end of a soak. */
const UNREACHABLE_MS = 60_000

const [transport, advertise, seedOut, seedIn] = process.argv.slice(2)
process.stdin.once('end', () => process.exit(0))
const options = {
  listen: '127.0.0.1:0',
  transport,
  messaging: { unreachableTimeoutMs: UNREACHABLE_MS },
}
// What a process keeps open once it has had a transport is no leak.
await (await createTransport(options)).close()
const before = descriptors()
// Its own address is the relay's, so the port that the relay leads to must be named.
const listen = `127.0.0.1:${await freePort()}`
const node = await createTransport({ ...options, listen, advertise })
const deadLetters = {}
node.on('deadLetter', ({ reason, count }) => {
  deadLetters[reason] = (deadLetters[reason] ?? 0) + count
})
const checkers = {}
const sent = {}
let sending = true
for (const lane of LANES) {
  checkers[lane] = new Checker(new Plan(Number(seedIn), lane))
  sent[lane] = 0
  node.handle(lane, (bytes, context) => {
    if (context.lane !== lane) throw new Error(`a message of ${lane} came on ${context.lane}`)
    checkers[lane].take(bytes)
  })
}
say({ ready: listen })

const commands = {
  start: (peer) => {
    for (const lane of LANES) void send(peer, lane)
    say({ started: true })
  },
  sent: () => {
    sending = false
    say(sent)
  },
  progress: () => say(Object.fromEntries(LANES.map((lane) => [lane, checkers[lane].received]))),
  finish: (ordinary, large) =>
    say({
      ordinary: checkers.ordinary.finish(Number(ordinary)),
      large: checkers.large.finish(Number(large)),
      deadLetters,
      examples: LANES.flatMap((lane) => checkers[lane].examples),
    }),
  close: async () => {
    await node.close()
    await new Promise((resolve) => setTimeout(resolve, CLOSED_SETTLE_MS))
    say({ leaked: descriptors().filter((name) => !before.includes(name)) })
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...words] = line.split(' ')
  if (commands[command] === undefined) break
  await commands[command](...words)
}
process.exit(0)

async function send(to, lane) {
  const plan = new Plan(Number(seedOut), lane)
  const random = generator(Number(seedOut) + lane.length)
  const peer = node.peer(to)
  while (sending) {
    let room = true
    for (let left = random() * BURST_MAX[lane]; left > 0 && room && sending; left -= 1) {
      try {
        room = peer.send(lane, plan.message(sent[lane]), { lane })
        sent[lane] += 1
      } catch (error) {
        if (error.code !== 'ERR_SKEIN_OUTBOX_FULL') throw error
        room = false
      }
    }
    if (!room) await peer.drain()
    await new Promise((resolve) => setTimeout(resolve, random() * PAUSE_MAX_MS[lane]))
  }
}

/** What each open descriptor leads to; the one that reads the folder is gone by the time it is looked at. */
function descriptors() {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`]
    } catch {
      return []
    }
  })
}

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
