// One end of one run, in a process of its own:
//   worker.mjs server PEER MODE KIND
//   worker.mjs client PEER MODE KIND ADDRESS BYTES WINDOW WARM_SECONDS SECONDS
//   worker.mjs idle   PEER MODE ADDRESS CONNECTIONS
// It talks with the coordinator in lines of JSON on stdout and words on stdin, and ends with its stdin.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { oneWay, roundTrips, window } from './drive.mjs'
import { loadPeer } from './peers/index.mjs'

const [role, peerName, mode, ...rest] = process.argv.slice(2)
process.stdin.once('end', () => process.exit(0))
process.on('unhandledRejection', (error) => fail(error))
const peer = await loadPeer(peerName)

try {
  if (role === 'server') await runServer(...rest)
  else if (role === 'client') await runClient(...rest)
  else await runIdle(...rest)
} catch (error) {
  fail(error)
}

async function runServer(kind) {
  let received = 0n
  let batch = 0
  const onMessage = () => {
    batch += 1
  }
  const count = new Uint8Array(8)
  const onCount = () => {
    received += BigInt(batch)
    batch = 0
    new DataView(count.buffer).setBigUint64(0, received, true)
    return count.slice()
  }
  const server = await peer.serve({
    mode,
    onMessage,
    onRequest: kind === 'oneway' ? onCount : (bytes) => bytes,
  })
  say({ ready: server.address })
  for await (const line of commands()) {
    if (line !== 'usage') break
    globalThis.gc?.()
    say({
      cpuUs: cpuUs() + (server.children ?? []).map(cpuUsOf).reduce((a, b) => a + b, 0),
      rssBytes: process.memoryUsage.rss(),
    })
  }
  await server.close()
  process.exit(0)
}

async function runClient(kind, address, bytes, inFlight, warmSeconds, seconds) {
  const payload = new Uint8Array(Number(bytes)).fill(0x5a)
  const client = await peer.connect(address, { mode })
  const run = (duration) => {
    if (kind === 'rtt') return roundTrips(client, payload, duration)
    if (kind === 'window') return window(client, payload, duration, Number(inFlight))
    return oneWay(client, payload, duration)
  }
  await run(Number(warmSeconds))
  say({ warm: true })
  for await (const line of commands()) {
    if (line !== 'go') break
    const before = cpuUs()
    const result = await run(Number(seconds))
    say({ ...result, cpuUs: cpuUs() - before })
  }
  await client.close()
  process.exit(0)
}

/** "open N" opens N more connections and answers when each has had one answer. */
async function runIdle(address, connectionsMax) {
  const open = []
  for await (const line of commands()) {
    const more = Number(line.split(' ')[1])
    for (let i = 0; i < more && open.length < Number(connectionsMax); i += 1) {
      const client = await peer.connect(address, { mode })
      await client.request(new Uint8Array(1))
      open.push(client)
    }
    globalThis.gc?.()
    say({ opened: open.length, rssBytes: process.memoryUsage.rss() })
  }
}

/** Reads stdin from here on: a line that comes before anybody iterates would be lost. */
function commands() {
  return createInterface({ input: process.stdin })
}

function cpuUs() {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** CPU of a broker, in the kernel's ticks of 10 ms; the fields after the name begin with the third. */
function cpuUsOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

function fail(error) {
  process.stderr.write(`${peerName}: ${error?.message ?? error}\n`)
  process.exit(1)
}
