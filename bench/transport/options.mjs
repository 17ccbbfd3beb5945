// The command line of `npm run bench:transport`.
import { parseArgs } from 'node:util'
import { PEERS } from './peers/index.mjs'

export const KINDS = ['rtt', 'window', 'oneway', 'idle']

export const PROGRAMS = [
  'heartbeat-blocked',
  'heartbeat-deviation',
  'heartbeat-saturation',
  'idle-memory',
  'dead-peers',
  'soak',
]

const HELP = `npm run bench:transport [-- options]
  --json              one line of JSON a row instead of the table
  --rounds N          interleaved rounds, default 5
  --seconds S         measured per run, default 1
  --warm S            before that, default 1; with less, V8 is still at work
  --peers a,b         default ${PEERS.join(',')}
  --kinds a,b         default ${KINDS.join(',')}
  --bytes a,b         default 100,1024,65536,1048576
  --connections N     of an idle run, default 5000
  --pin same|two|free both ends on one core, on one each, or where the system puts them (default)
  --out DIR           where the plot and the results go, default bench/results
npm run bench:transport -- PROGRAM [--json] [--seconds S]
  ${PROGRAMS.join(', ')}
`

/** Exits with 2 and what is wrong when a value is none. */
export function readOptions(argv) {
  const { values } = parse(argv)
  if (values.help) {
    process.stdout.write(HELP)
    process.exit(0)
  }
  return {
    json: values.json,
    rounds: number('rounds', values.rounds, 1, 100, true),
    seconds: number('seconds', values.seconds, 0.1, 60),
    warmSeconds: number('warm', values.warm, 0, 60),
    peers: list('peers', values.peers, PEERS),
    kinds: list('kinds', values.kinds, KINDS),
    bytes: values.bytes.split(',').map((text) => number('bytes', text, 9, 16 * 1024 * 1024, true)),
    connections: number('connections', values.connections, 1, 6000, true),
    pin: list('pin', values.pin, ['same', 'two', 'free'])[0],
    out: values.out,
  }
}

function parse(argv) {
  try {
    return parseArgs({
      args: argv,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        json: { type: 'boolean', default: false },
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '1' },
        warm: { type: 'string', default: '1' },
        peers: { type: 'string', default: PEERS.join(',') },
        kinds: { type: 'string', default: KINDS.join(',') },
        bytes: { type: 'string', default: '100,1024,65536,1048576' },
        connections: { type: 'string', default: '5000' },
        pin: { type: 'string', default: 'free' },
        out: { type: 'string', default: 'bench/results' },
      },
    })
  } catch (error) {
    return wrong(error.message)
  }
}

function number(name, text, min, max, whole = false) {
  const value = Number(text)
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value
  return wrong(`--${name} is "${text}", expected a ${whole ? 'whole ' : ''}number from ${min} to ${max}`)
}

/** In the order of `known`, so that the turns of the peers do not depend on the command line. */
function list(name, text, known) {
  const asked = text.split(',')
  const unknown = asked.find((word) => !known.includes(word))
  if (unknown !== undefined) return wrong(`--${name} names "${unknown}", expected ${known.join(', ')}`)
  return known.filter((word) => asked.includes(word))
}

function wrong(message) {
  process.stderr.write(`bench: ${message}\n`)
  process.exit(2)
}
