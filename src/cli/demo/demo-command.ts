/** `skein demo`: real agents on loopback, driven through a script of faults. */
import { randomBytes } from 'node:crypto'
import { Command, InvalidArgumentError, Option } from 'commander'
import { whole } from '../agent-command.js'
import { stdoutSink } from '../stdout.js'
import { Board } from './board.js'
import type { DemoContext } from './context.js'
import { Fleet, freePorts } from './fleet.js'
import { jsonReporter, type Reporter, type Summary } from './report.js'
import { runScript } from './script.js'
import { Timeline } from './timeline.js'

interface DemoFlags {
  readonly nodes: number
  readonly quietMs: number
  readonly transport: 'auto' | 'native' | 'net'
  readonly json: boolean
}

/** How long the demo's strategy waits for stability; short, so that a demo stays one. */
const STABLE_AFTER_MS = 2000

/** Below three there is no majority to survive; above twenty the machine is measured, not the cluster. */
const NODES = { min: 3, max: 20 } as const

export function demoCommand(): Command {
  return new Command('demo')
    .description('start real agents on loopback, make them suffer, and show what the others see')
    .option('--nodes <n>', `how many agents, ${NODES.min} to ${NODES.max}`, nodeCount, 5)
    .option('--quiet-ms <ms>', 'length of the quiet period, in which nobody may be suspected', whole, 3000)
    .addOption(
      new Option('--transport <kind>', 'transport of the agents')
        .choices(['auto', 'native', 'net'])
        .default('auto'),
    )
    .option('--json', 'one JSON object a line', false)
    .addHelpText('after', '\nExit code 0 only if every step came out as it must.')
    .action(async (flags: DemoFlags) => {
      process.exitCode = await runDemo(flags)
    })
}

function nodeCount(value: string): number {
  const nodes = whole(value)
  if (nodes < NODES.min || nodes > NODES.max) {
    throw new InvalidArgumentError(
      `expected ${NODES.min} to ${NODES.max}: a majority must survive the loss of one`,
    )
  }
  return nodes
}

/** Ctrl-C ends the agents first. */
function endOnSignal(fleet: Fleet, summary: Summary): () => void {
  const onSignal = (signal: NodeJS.Signals) => {
    summary.error = `interrupted by ${signal}`
    void fleet.stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

/** Nobody reads any more, or there is no room: a demo that cannot be seen ends its agents, and itself. */
function demoOutput(fleet: Fleet, summary: Summary): (text: string) => void {
  const end = (error: Error) => {
    if (summary.error !== undefined) return
    summary.error = `output failed: ${error.message}`
    void fleet.stop().finally(() => process.exit(1))
  }
  const sink = stdoutSink(end)
  return (text) => {
    try {
      sink(text)
    } catch (error) {
      end(error as Error)
    }
  }
}

/** Resolves with the exit code, after every agent has ended. */
async function runDemo(flags: DemoFlags): Promise<number> {
  const startedMs = performance.now()
  const sinceStartMs = () => Math.round(performance.now() - startedMs)
  const clusterName = `demo-${randomBytes(3).toString('hex')}`
  const fleet = new Fleet({ clusterName, stableAfterMs: STABLE_AFTER_MS, transport: flags.transport })
  const summary: Summary = { ok: false, nodes: flags.nodes }
  const report = reporter(flags, fleet, demoOutput(fleet, summary), sinceStartMs)
  fleet.onLine((agent, line) => report.event(agent, line))
  const board = new Board(fleet, report)
  const unhook = endOnSignal(fleet, summary)
  try {
    // All at once for the cluster, one for the incarnation that comes back, one for the copy.
    const ports = await freePorts(flags.nodes + 2)
    const takePort = () => {
      const port = ports.shift()
      if (port === undefined) throw new Error('the demo has used up its ports')
      return port
    }
    const { nodes, quietMs } = flags
    const ctx: DemoContext = {
      fleet,
      report,
      summary,
      nodes,
      clusterName,
      stableAfterMs: STABLE_AFTER_MS,
      quietMs,
      takePort,
      showTable: () => board.show(),
    }
    const intro = `${nodes} agents of cluster ${clusterName} on 127.0.0.1; keepMajority waits for ${STABLE_AFTER_MS} ms of stability`
    report.intro(intro, { nodes, cluster: clusterName, stableAfterMs: STABLE_AFTER_MS, quietMs })
    await runScript(ctx)
  } catch (error) {
    summary.failedStep ??= 'setup'
    summary.error ??= error instanceof Error ? error.message : String(error)
    report.failed(summary.error)
  } finally {
    board.stop()
    await fleet.stop()
    unhook()
  }
  report.summary(summary)
  return summary.ok ? 0 : 1
}

/** A terminal gets a table that is redrawn; a pipe, a file or a dumb terminal gets lines. */
function reporter(
  flags: DemoFlags,
  fleet: Fleet,
  write: (text: string) => void,
  sinceStartMs: () => number,
): Reporter {
  if (flags.json) return jsonReporter(write, sinceStartMs)
  const live = process.stdout.isTTY === true && process.env['TERM'] !== 'dumb'
  const screen = { write, live, columns: () => process.stdout.columns ?? 80 }
  return new Timeline(screen, sinceStartMs, () => fleet.hearing[0])
}
