// How evenly a node beats while its JavaScript is busy 80 % of the time and both lanes are saturated, beside what
// setInterval makes of the same interval in the same process.
import { readArguments, report, runProgram, sleep, startProbe, startSubject } from './program.mjs'

const INTERVAL_MS = 100
const WARM_MS = 1000

runProgram('heartbeat-deviation', async (argv) => {
  const { json, seconds } = readArguments(argv, { seconds: 30 })
  const subject = await startSubject()
  const other = await startSubject()
  const probe = await startProbe(subject.address, INTERVAL_MS, 0)
  const busySeconds = seconds + 3
  await Promise.all([
    subject.ask(`flood ${other.address} ${busySeconds}`),
    other.ask(`flood ${subject.address} ${busySeconds}`),
  ])
  await subject.ask(`interval ${INTERVAL_MS}`)
  await subject.ask(`busy ${busySeconds}`)
  await sleep(WARM_MS)
  await Promise.all([probe.ask('phase'), subject.ask('deviations')])
  await sleep(seconds * 1000)
  const [{ deviations }, timers] = await Promise.all([probe.ask('phase'), subject.ask('deviations')])
  const traffic = await subject.ask('counts')
  if (deviations.count === 0 || timers.count === 0) throw new Error('no beat or no timer was seen')
  const figures = {
    seconds,
    beats: deviations,
    setInterval: timers,
    megabytesIn: Math.round(traffic.bytes / 1e6),
  }
  report('heartbeat-deviation', json, figures, [
    {
      what: `interval ${INTERVAL_MS} ms, deviation p99 to that of setInterval`,
      value: deviations.p99Ms / timers.p99Ms,
      unit: `x (${deviations.p99Ms.toFixed(2)} to ${timers.p99Ms.toFixed(1)} ms)`,
      max: 0.25,
    },
  ])
})
