// How much the arrival of beats is moved by saturating the ordinary and the large lane, in both directions.
import { readArguments, report, runProgram, sleep, startProbe, startSubject } from './program.mjs'

/** Faster than in use, for the sake of samples: 60 s give 1,200. */
const INTERVAL_MS = 50
const WARM_MS = 2000

runProgram('heartbeat-saturation', async (argv) => {
  const { json, seconds } = readArguments(argv, { seconds: 60 })
  const subject = await startSubject()
  const other = await startSubject()
  const probe = await startProbe(subject.address, INTERVAL_MS, 0)
  await sleep(WARM_MS)
  await probe.ask('phase')
  await sleep(seconds * 1000)
  const idle = (await probe.ask('phase')).deviations
  const floodSeconds = seconds + 4
  await Promise.all([
    subject.ask(`flood ${other.address} ${floodSeconds}`),
    other.ask(`flood ${subject.address} ${floodSeconds}`),
  ])
  await sleep(WARM_MS)
  const before = await subject.ask('counts', 60_000)
  await probe.ask('phase')
  await sleep(seconds * 1000)
  const saturated = (await probe.ask('phase')).deviations
  const after = await subject.ask('counts', 60_000)
  if (idle.count === 0 || saturated.count === 0) throw new Error('no beat was seen')
  const megabytesPerSecondIn = Math.round((after.bytes - before.bytes) / seconds / 1e6)
  if (after.bytes === before.bytes) throw new Error('no message arrived: the lanes were not saturated')
  report('heartbeat-saturation', json, { seconds, idle, saturated, megabytesPerSecondIn }, [
    {
      what: 'arrival p99, moved by saturation of both lanes',
      value: saturated.p99Ms - idle.p99Ms,
      unit: `ms (${idle.p99Ms.toFixed(2)} to ${saturated.p99Ms.toFixed(2)})`,
      max: 5,
    },
  ])
})
