// One run: a server and a client in processes of their own, and what both of them measured.
import { fileURLToPath } from 'node:url'
import { Child } from './child.mjs'
import { buildProbe, buildRaw } from './raw/build.mjs'

const WORKER = fileURLToPath(new URL('./worker.mjs', import.meta.url))
/** What a run may take beside its own seconds: start, drain, a peer that is very slow. */
const GRACE_MS = 30_000
/** Name under which a standalone transport admits its peers by default. */
export const CLUSTER = 'transport'
const WARM_CONNECTIONS = 500
const OPEN_TIMEOUT_MS = 120_000
const SETTLE_MS = 1000

function start(role, { peer, mode, pin }, rawArgs, args, nodeOptions = []) {
  const end = role === 'server' ? 'server' : 'client'
  if (peer === 'raw') return new Child(buildRaw(), [role, ...rawArgs.map(String)], { end, pin })
  const words = [...nodeOptions, WORKER, role, peer, mode, ...args.map(String)]
  return new Child(process.execPath, words, { end, pin })
}

/** `{p50Us?, p99Us?, p999Us?, msgsPerSecond, cpuSecondsPerMillion}` of one run, or what went wrong as an exception. */
export async function runCell(cell) {
  const { kind, bytes, inFlight, warmSeconds, seconds } = cell
  const server = start('server', cell, [kind === 'oneway' ? 'counting' : 'echoing'], [kind])
  let client
  try {
    const { ready } = await server.next()
    const rest = [bytes, inFlight, warmSeconds, seconds]
    client = start('client', cell, [ready, kind, ...rest], [kind, ready, ...rest])
    await client.next(warmSeconds * 1000 + GRACE_MS)
    const before = await server.ask('usage')
    const result = await client.ask('go', seconds * 1000 + GRACE_MS)
    const after = await server.ask('usage')
    const cpuUs = result.cpuUs + after.cpuUs - before.cpuUs
    return {
      p50Us: result.p50Us,
      p99Us: result.p99Us,
      p999Us: result.p999Us,
      msgsPerSecond: result.messages / result.seconds,
      cpuSecondsPerMillion: cpuUs / result.messages,
    }
  } finally {
    await Promise.all([client?.stop(), server.stop()])
  }
}

/** RSS of the server for each further idle connection, after those that pay for what is needed once. */
export async function runIdle(cell) {
  const gc = ['--expose-gc']
  const server = start('server', cell, ['echoing'], ['idle'], gc)
  let client
  try {
    const { ready } = await server.next()
    const all = cell.connections + WARM_CONNECTIONS
    client = cell.peer === 'skein' ? handMade(ready) : start('idle', cell, [ready, all], [ready, all], gc)
    await open(client, cell, WARM_CONNECTIONS)
    const before = await settled(server)
    await open(client, cell, cell.connections)
    const after = await settled(server)
    return { rssBytesPerConnection: (after.rssBytes - before.rssBytes) / cell.connections }
  } finally {
    client?.kill()
    server.kill()
  }
}

/** Peers of skein made by hand: thousands of whole nodes in one process would be busy with their own clocks. */
function handMade(address) {
  return new Child(buildProbe(), [address, CLUSTER, 'idle'])
}

async function open(client, { peer }, count) {
  if (peer !== 'skein') return void (await client.ask(`open ${count}`, OPEN_TIMEOUT_MS))
  await client.ask(`links ${count}`, OPEN_TIMEOUT_MS)
  await client.ask('lanes', OPEN_TIMEOUT_MS)
}

async function settled(server) {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  await server.ask('usage')
  return await server.ask('usage')
}
