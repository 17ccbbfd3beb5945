// What skein's rows must show: ratios within a round, and absolute figures of the reference machine.
import { NPM_PEERS } from './peers/index.mjs'

const PACKAGES = 'the nearest package'

/** Each `{what, bar, value, met}`; `met` is null where the bar is for another placement. */
export function barsOf(samples, rows, peers, pin) {
  const skein = peers.find(({ name }) => name === 'skein')
  if (skein === undefined) return []
  const rowOf = (kind, bytes) =>
    rows.find((row) => row.peer === 'skein' && row.kind === kind && row.bytes === bytes)
  const pinned = pin === 'same'
  const bars = [
    bar('round trip 100 B, p50 to raw', '<= 1.6x', rowOf('rtt', 100)?.ratioRaw, pinned),
    bar('round trip 100 B, p50 to net', '<= 1.0x', rowOf('rtt', 100)?.ratioNet, pinned),
    bar('round trip 100 B, p99 to net', '<= 1.2x', rowOf('rtt', 100)?.ratioNetP99, pinned),
    bar('one way 100 B', '>= 3000000/s', rowOf('oneway', 100)?.msgsPerSecond),
    bar('one way 100 B to net', '>= 1.2x', rowOf('oneway', 100)?.ratioNet),
    bar(`one way 100 B to ${PACKAGES}`, '>= 6x', nearestPackage(samples, peers, skein, 'oneway')),
    bar('requests 100 B, 1000 in flight', '>= 1000000/s', rowOf('window', 100)?.msgsPerSecond),
    bar('requests 100 B to net', '>= 1.4x', rowOf('window', 100)?.ratioNet),
    bar(`requests 100 B to ${PACKAGES}`, '>= 4x', nearestPackage(samples, peers, skein, 'window')),
    bar('64 KiB in both directions to net', '>= 1.2x', rowOf('window', 65_536)?.ratioNet),
    bar('CPU of 100 B messages, one way, to net', '<= 0.7x', rowOf('oneway', 100)?.ratioNetCpu),
    bar('CPU of 100 B requests, 1000 in flight, to net', '<= 0.7x', rowOf('window', 100)?.ratioNetCpu),
  ]
  return bars.filter((entry) => entry !== undefined)
}

/** The smallest ratio to any of the packages. */
function nearestPackage(samples, peers, skein, kind) {
  const ratios = peers
    .filter(({ name }) => NPM_PEERS.includes(name))
    .map((peer) => samples.ratio(kind, 100, skein, peer))
    .filter((ratio) => ratio !== null)
  return ratios.length === 0 ? undefined : Math.min(...ratios)
}

/** `bar` is "<= 1.6x" or ">= 3000000/s". */
export function bar(what, text, value, applies = true) {
  if (value === undefined || value === null) return undefined
  const [relation, limitText] = text.split(' ')
  const limit = Number.parseFloat(limitText)
  const unit = limitText.replace(/^[\d.]+/, '')
  const shown = value >= 1e5 ? `${(value / 1e6).toPrecision(3)}M` : value.toPrecision(3)
  return {
    what,
    bar: limit >= 1e6 ? `${relation} ${limit / 1e6}M${unit}` : text,
    value: `${shown}${unit}`,
    met: applies ? (relation === '<=' ? value <= limit : value >= limit) : null,
  }
}
