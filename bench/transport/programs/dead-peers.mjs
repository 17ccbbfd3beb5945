// 50 nodes dial 20 dead addresses each: a third refuse, a third never answer a SYN, a third are like stopped processes, whose
// kernel completes connections that nobody serves. Sockets of any state, TIME_WAIT
// included, are counted for each node and address; every address is a port of its own, so that the kernel's table tells.
// In a network namespace of its own where that is allowed: TIME_WAIT of other programs may name the same ports.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createTransport } from '../../../dist/index.js'
import { Child } from '../child.mjs'
import { buildRaw } from '../raw/build.mjs'
import { readArguments, report, runProgram, sleep } from './program.mjs'

const KINDS = ['refusing', 'blackholed', 'silent']
const SAMPLE_MS = 200
const REQUEST_PAUSE_MS = 250
const LOOPBACK_HEX = '0100007F'

if (process.env.SKEIN_BENCH_NETNS === undefined) inNamespace(process.argv.slice(2))

runProgram('dead-peers', async (argv) => {
  const { json, seconds, nodes, addresses, transport } = readArguments(argv, {
    seconds: 60,
    nodes: 50,
    addresses: 20,
    transport: 'native',
  })
  const third = Math.floor((nodes * addresses) / 3)
  const counts = [nodes * addresses - 2 * third, third, third]
  const holder = new Child(buildRaw(), ['dead', ...counts.map(String)])
  const dead = await holder.next()
  const kinds = new Map(KINDS.map((kind) => [kind, new Set(dead[kind])]))
  const ports = KINDS.flatMap((kind) => dead[kind])
  const transports = await Promise.all(
    Array.from({ length: nodes }, () => createTransport({ listen: '127.0.0.1:0', transport })),
  )
  const end = performance.now() + seconds * 1000
  let failed = 0
  let answered = 0
  const dialFor = async (node, port) => {
    const peer = node.peer(`127.0.0.1:${port}`)
    while (performance.now() < end) {
      await peer.request('nobody', new Uint8Array(8), { timeoutMs: 2000 }).then(
        () => (answered += 1),
        () => (failed += 1),
      )
      await sleep(REQUEST_PAUSE_MS)
    }
  }
  // Every kind of dead address for every node: ports are dealt out in turn.
  const dials = ports.map((port, i) => dialFor(transports[i % nodes], port))
  const worst = { total: 0, states: {}, perPeer: { refusing: 0, blackholed: 0, silent: 0 } }
  while (performance.now() < end) {
    takeSample(kinds, new Set(dead.fillers), worst)
    await sleep(SAMPLE_MS)
  }
  await Promise.all(dials)
  await Promise.all(transports.map((node) => node.close()))
  if (answered > 0) throw new Error('a dead address has answered')
  const figures = {
    transport,
    nodes,
    addresses,
    seconds,
    failed,
    socketsMax: worst.total,
    states: worst.states,
  }
  const bars = KINDS.map((kind) => ({
    what: `sockets for each of ${dead[kind].length} ${kind} peers, in any state`,
    value: worst.perPeer[kind],
    unit: 'at most',
    max: 2,
  }))
  report('dead-peers', json, figures, bars)
})

/** Runs this program in a namespace and ends with it; returns where none can be made. */
function inNamespace(argv) {
  if (spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status !== 0) return
  const script = 'ip link set lo up && exec "$0" "$@"'
  const words = ['-n', 'sh', '-c', script, process.execPath, fileURLToPath(import.meta.url), ...argv]
  const { status } = spawnSync('unshare', words, {
    stdio: 'inherit',
    env: { ...process.env, SKEIN_BENCH_NETNS: '1' },
  })
  process.exit(status ?? 1)
}

/**
 * Keeps the largest counts. A socket belongs to the dead port at its other end, unless it fills that one's backlog. The
 * table is read in pieces while it changes, and may then list a socket more than once: its own end names it.
 */
function takeSample(kinds, fillers, worst) {
  const perPort = new Map()
  const states = new Map()
  for (const line of readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1)) {
    const [, local, remote, state] = line.trim().split(/\s+/)
    if (remote === undefined || !remote.startsWith(LOOPBACK_HEX)) continue
    const port = Number.parseInt(remote.split(':')[1], 16)
    const kind = KINDS.find((name) => kinds.get(name).has(port))
    if (kind === undefined || fillers.has(Number.parseInt(local.split(':')[1], 16))) continue
    const sockets = perPort.get(port) ?? perPort.set(port, new Set()).get(port)
    sockets.add(local)
    states.set(`${local} ${remote}`, state)
    worst.perPeer[kind] = Math.max(worst.perPeer[kind], sockets.size)
  }
  for (const state of states.values()) worst.states[state] = (worst.states[state] ?? 0) + 1
  worst.total = Math.max(worst.total, states.size)
}
