// A node under test: `subject.mjs [TRANSPORT]`. Lines on stdin, each answered by one line on stdout:
//   block MS            says so, then does not let the loop turn
//   busy SECONDS        80 % of the time in bursts of 50 to 200 ms
//   flood ADDRESS SECONDS  both lanes, as full as back-pressure lets them be
//   interval MS         starts a setInterval; its deviations are kept
//   deviations          p50, p99 and max of them, in milliseconds
//   counts              messages and bytes that have arrived, and RSS after a collection
import { createInterface } from 'node:readline'
import { createTransport } from '../../../dist/index.js'

const BURST_MIN_MS = 50
const BURST_MAX_MS = 200
const BUSY_SHARE = 0.8
const ORDINARY_BYTES = 1024
const LARGE_BYTES = 1024 * 1024
/** Lanes that are idle for a while are closed; those whose memory is measured must not be. */
const LANE_IDLE_MS = 3_600_000

process.stdin.once('end', () => process.exit(0))
const transport = await createTransport({
  listen: '127.0.0.1:0',
  transport: process.argv[2] ?? 'native',
  messaging: { laneIdleMs: LANE_IDLE_MS },
})
const counts = { messages: 0, bytes: 0 }
transport.handle('flood', (bytes) => {
  counts.messages += 1
  counts.bytes += bytes.length
})
transport.handle('echo', (bytes) => bytes)
const deviations = []
say({ ready: `${transport.address.host}:${transport.address.port}` })

const commands = {
  block: (ms) => {
    say({ blocking: true })
    setImmediate(spin, ms)
  },
  busy: (seconds) => {
    const end = performance.now() + seconds * 1000
    const burst = () => {
      if (performance.now() > end) return
      const ms = BURST_MIN_MS + Math.random() * (BURST_MAX_MS - BURST_MIN_MS)
      spin(ms)
      setTimeout(burst, ms * (1 / BUSY_SHARE - 1))
    }
    setImmediate(burst)
    say({ busy: true })
  },
  flood: (address, seconds) => {
    const end = performance.now() + seconds * 1000
    void flood(address, 'ordinary', ORDINARY_BYTES, 100, end)
    void flood(address, 'large', LARGE_BYTES, 2, end)
    say({ flooding: true })
  },
  interval: (ms) => {
    let last = performance.now()
    setInterval(() => {
      const now = performance.now()
      deviations.push(Math.abs(now - last - ms))
      last = now
    }, Number(ms))
    say({ started: true })
  },
  deviations: () => {
    const sorted = deviations.splice(0).sort((a, b) => a - b)
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
    say({ count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) })
  },
  counts: () => {
    globalThis.gc?.()
    say({ ...counts, rssBytes: process.memoryUsage.rss() })
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...words] = line.split(' ')
  if (commands[command] === undefined) break
  commands[command](...words)
}
process.exit(0)

async function flood(address, lane, bytes, burst, end) {
  const body = new Uint8Array(bytes).fill(0x5a)
  const peer = transport.peer(address)
  while (performance.now() < end) {
    let room = true
    try {
      for (let i = 0; i < burst && room; i += 1) room = peer.send('flood', body, { lane })
    } catch (error) {
      if (error.code !== 'ERR_SKEIN_OUTBOX_FULL') throw error
      room = false
    }
    await (room ? new Promise(setImmediate) : peer.drain())
  }
}

function spin(ms) {
  const end = performance.now() + Number(ms)
  while (performance.now() < end);
}

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
