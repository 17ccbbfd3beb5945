// What the further programs share: their command line, their processes, and the line each ends with.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Child } from '../child.mjs'
import { buildProbe } from '../raw/build.mjs'
import { CLUSTER } from '../run.mjs'

const SUBJECT = fileURLToPath(new URL('./subject.mjs', import.meta.url))

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** `--json`, `--seconds N` and what else a program names with its default. */
export function readArguments(argv, defaults) {
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, { type: 'string', default: String(value) }]),
  )
  const { values } = parseArgs({
    args: argv,
    options: { json: { type: 'boolean', default: false }, ...options },
  })
  for (const [name, value] of Object.entries(defaults)) {
    if (typeof value !== 'number') continue
    values[name] = Number(values[name])
    if (!(values[name] > 0 && values[name] <= 86_400)) {
      process.stderr.write(`bench: --${name} must be a number from above 0 to 86400\n`)
      process.exit(2)
    }
  }
  return values
}

/** A node whose JavaScript can be told to be busy, to block, and to saturate its lanes. */
export async function startSubject(words = [], nodeOptions = []) {
  const child = new Child(process.execPath, [...nodeOptions, SUBJECT, ...words])
  const { ready } = await child.next()
  return Object.assign(child, { address: ready })
}

/** A hand-made peer of `address`: see `probe/main.cc`. */
export async function startProbe(address, watchMs, echoMs) {
  const child = new Child(buildProbe(), [address, CLUSTER, String(watchMs), String(echoMs)])
  await child.next()
  return child
}

/** The result: figures, and each bar as `{what, value, unit, bar, met}`. */
export function report(program, json, figures, bars) {
  const judged = bars.map(({ value, max, ...rest }) => ({
    ...rest,
    value: Number(value.toPrecision(4)),
    max,
    met: value <= max,
  }))
  if (json) {
    process.stdout.write(`${JSON.stringify({ program, ...figures, bars: judged })}\n`)
    return
  }
  for (const { what, value, unit, max, met } of judged) {
    const verdict = met ? 'met' : 'NOT MET'
    process.stdout.write(
      `${program.padEnd(22)}${what.padEnd(58)} ${value} ${unit} (bar <= ${max})  ${verdict}\n`,
    )
  }
}

export function runProgram(program, run) {
  run(process.argv.slice(2)).then(
    () => process.exit(0),
    (error) => {
      process.stderr.write(`${program}: ${error.message}\n`)
      process.exit(1)
    },
  )
}
