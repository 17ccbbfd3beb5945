/**
 * One node as a process: prints what happens, leaves when asked to, and ends with a code that a supervisor can act on.
 */
import diagnostics from 'node:diagnostics_channel'
import type { Cluster } from '../cluster/cluster.js'
import { EVENT_CHANNEL } from '../cluster/event-hub.js'
import type { Closed, DiagnosticsMessage } from '../cluster/events.js'
import { joinCluster } from '../cluster/join.js'
import type { JoinOptions } from '../cluster/options.js'
import { formatAddress } from '../core/address.js'
import { isSkeinError } from '../errors.js'
import { serveControl } from './agent-control.js'
import { humanLine, jsonLine, type Line } from './agent-lines.js'
import { Output } from './output.js'
import { stdoutSink } from './stdout.js'

export interface AgentStyle {
  readonly json: boolean
}

/** What a supervisor may rely on: `removed` means that only a restart, as a new incarnation, helps. */
export const AGENT_EXIT = { left: 0, failed: 1, removed: 3 } as const

/** Runs until the node has ended. Resolves with the exit code. */
export async function runAgent(options: JoinOptions, style: AgentStyle): Promise<number> {
  const print = printer(style)
  const unsubscribe = printEvents(print)
  const joining = new AbortController()
  let cluster: Cluster | undefined
  const onLeave = () => {
    if (cluster === undefined) joining.abort()
    else void leave(cluster, print)
  }
  const unhook = hookSignals(onLeave)
  const control = serveControl({ cluster: () => cluster, leave: onLeave })
  try {
    cluster = await joinCluster({ ...options, signal: joining.signal })
    return exitCode(await cluster.closed)
  } catch (error) {
    print(failureLine(error))
    return AGENT_EXIT.failed
  } finally {
    control.stop()
    unhook()
    unsubscribe()
  }
}

/** A full disk or a closed pipe costs lines, never the member. */
function printer(style: AgentStyle): (line: Line) => void {
  const text = (line: Line) => `${style.json ? jsonLine(line) : humanLine(line)}\n`
  const sink = stdoutSink(() => output.failed())
  const output = new Output(sink, (lines) => text({ type: 'outputLost', lines }))
  return (line) => output.write(text(line))
}

/** Through the diagnostics channel, which also carries what happens before the node is a member. */
function printEvents(print: (line: Line) => void): () => void {
  const listener = (message: unknown) => {
    const { event, cluster, uid, nodeId } = message as DiagnosticsMessage
    if (event.type !== 'listening') {
      print(event)
      return
    }
    const address = formatAddress(event.self.address)
    print({ type: 'started', pid: process.pid, cluster, nodeId, uid, address, transport: event.transport })
  }
  diagnostics.subscribe(EVENT_CHANNEL, listener)
  return () => {
    diagnostics.unsubscribe(EVENT_CHANNEL, listener)
  }
}

/** A departure that takes too long is told and cut short: the process was asked to end. */
async function leave(cluster: Cluster, print: (line: Line) => void): Promise<void> {
  try {
    await cluster.leave()
  } catch (error) {
    print(failureLine(error))
    await cluster.close()
  }
}

/** A close that nobody asked for is a failure. */
function exitCode({ reason }: Closed): number {
  if (reason === 'left') return AGENT_EXIT.left
  return reason === 'downed' || reason === 'quarantined' ? AGENT_EXIT.removed : AGENT_EXIT.failed
}

/** Foreign errors are told by their message: a stack helps nobody who reads a log line. */
function failureLine(error: unknown): Line {
  const message = error instanceof Error ? error.message : String(error)
  return { type: 'failed', code: isSkeinError(error) ? error.code : 'ERR_UNKNOWN', message }
}

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const

/** The first signal asks; the second one ends the process. */
function hookSignals(onFirst: () => void): () => void {
  let asked = false
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked) process.exit(128 + SIGNAL_NUMBERS[signal as keyof typeof SIGNAL_NUMBERS])
    asked = true
    onFirst()
  }
  const signals = Object.keys(SIGNAL_NUMBERS) as (keyof typeof SIGNAL_NUMBERS)[]
  for (const signal of signals) process.on(signal, onSignal)
  return () => {
    for (const signal of signals) process.off(signal, onSignal)
  }
}
