// RSS of a node for each idle association: with its control link alone, and with a data lane that was used once; beside
// sockets of node:net, used once too.
// The other ends are hand-made, in a process of their own.
import { Child } from '../child.mjs'
import { loadPeer } from '../peers/index.mjs'
import { buildProbe } from '../raw/build.mjs'
import { CLUSTER, runIdle } from '../run.mjs'
import { readArguments, report, runProgram, sleep, startSubject } from './program.mjs'

/** Paid once, whatever the number. */
const WARM_LINKS = 500
const OPEN_TIMEOUT_MS = 120_000
const SETTLE_MS = 1500

runProgram('idle-memory', async (argv) => {
  const { json, connections } = readArguments(argv, { connections: 5000 })
  const controlAlone = await associations(connections, false)
  const withLane = await associations(connections, true)
  const net = Math.min(
    ...(await inTurn((await loadPeer('net')).modes, async (mode) => {
      const cell = { peer: 'net', mode, pin: 'free', connections }
      return (await runIdle(cell)).rssBytesPerConnection / 1024
    })),
  )
  const figures = { connections, controlAloneKiB: controlAlone, withLaneKiB: withLane, netSocketKiB: net }
  report('idle-memory', json, figures, [
    { what: 'association, control alone', value: controlAlone, unit: 'KiB', max: 2 },
    {
      what: `association with a data lane (net socket: ${net.toFixed(2)})`,
      value: withLane,
      unit: 'KiB',
      max: 4,
    },
  ])
})

/** KiB of each association after the first ones. */
async function associations(count, withLanes) {
  const subject = await startSubject([], ['--expose-gc'])
  const peers = new Child(buildProbe(), [subject.address, CLUSTER, 'idle'])
  const open = async (number) => {
    await peers.ask(`links ${number}`, OPEN_TIMEOUT_MS)
    if (withLanes) await peers.ask('lanes', OPEN_TIMEOUT_MS)
    await sleep(SETTLE_MS)
    await subject.ask('counts')
    return (await subject.ask('counts')).rssBytes
  }
  const before = await open(WARM_LINKS)
  const after = await open(count)
  peers.kill()
  subject.kill()
  return (after - before) / count / 1024
}

async function inTurn(values, run) {
  const results = []
  for (const value of values) results.push(await run(value))
  return results
}
