// Echo replies of a node whose JavaScript is blocked for 5 s, as a peer sees them.
import { median } from '../statistics.mjs'
import { readArguments, report, runProgram, sleep, startProbe, startSubject } from './program.mjs'

const ECHO_MS = 20
const BLOCK_MS = 5000
/** Left out at the end of a block, so that no reply of the time after it is counted. */
const MARGIN_MS = 100
const PAUSE_MS = 500

runProgram('heartbeat-blocked', async (argv) => {
  const { json, rounds, transport } = readArguments(argv, { rounds: 3, transport: 'native' })
  const subject = await startSubject([transport])
  const probe = await startProbe(subject.address, 0, ECHO_MS)
  const blocks = []
  for (let round = 0; round < rounds; round += 1) {
    await sleep(PAUSE_MS)
    await subject.ask(`block ${BLOCK_MS}`)
    await sleep(MARGIN_MS)
    await probe.ask('phase')
    await sleep(BLOCK_MS - 2 * MARGIN_MS)
    blocks.push(await probe.ask('phase'))
  }
  const of = (pick) => median(blocks.map(pick))
  const unanswered = Math.max(...blocks.map((block) => block.unanswered))
  const [p50Ms, p99Ms] = [of(({ echoes }) => echoes.p50Ms), of(({ echoes }) => echoes.p99Ms)]
  const replies = blocks.reduce((sum, { echoes }) => sum + echoes.count, 0)
  report(
    'heartbeat-blocked',
    json,
    { transport, replies, unanswered, p50Ms, p99Ms, maxMs: of(({ echoes }) => echoes.maxMs) },
    [
      {
        what: 'replies while JavaScript is blocked, p50',
        value: p50Ms,
        unit: 'ms',
        max: 0.5,
      },
      {
        what: 'replies while JavaScript is blocked, p99',
        value: p99Ms,
        unit: 'ms',
        max: 5,
      },
    ],
  )
})
