/** One `skein agent` process as the demo holds it: its lines, its control channel, and its end. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ShellEvent } from '../../cluster/events.js'
import type { ClusterState } from '../../core/model.js'
import type { ControlCommand, ControlReply } from '../agent-control.js'
import type { Line } from '../agent-lines.js'

/** A line as the agent printed it; `at` is its own wall clock in milliseconds. */
export type Stamped<T> = T & { readonly at: number }

/** The first line of an agent. */
export type Started = Extract<Line, { type: 'started' }>

export interface DemoAgentOptions {
  readonly name: string
  readonly nodeId: string
  readonly port: number
  /** Arguments of `skein agent` besides listen, node id and --json. */
  readonly args: readonly string[]
  /** Called for every line. */
  readonly onLine: (agent: DemoAgent, line: Stamped<Line>) => void
}

/** The same command a user runs, beside this file's compiled form. */
const CLI = fileURLToPath(new URL('../main.js', import.meta.url))
const REPLY_TIMEOUT_MS = 5000
/** Lines kept of what an agent wrote to stderr, for the report of a failure. */
const STDERR_LINES_MAX = 50

export class DemoAgent {
  readonly name: string
  readonly nodeId: string
  readonly port: number
  /** Everything it told, in order: the evidence that the steps are judged by. */
  readonly lines: Stamped<Line>[] = []
  readonly stderr: string[] = []
  /** Resolves with the code or the signal once its pipes are read to their end. */
  readonly exited: Promise<number | NodeJS.Signals>
  started: Stamped<Started> | undefined
  exit: number | NodeJS.Signals | undefined
  /** Stopped or blocked on purpose: it does not answer now. */
  deaf = false
  readonly #child: ChildProcess
  readonly #replies = new Map<number, (reply: ControlReply) => void>()
  #requests = 0

  constructor(options: DemoAgentOptions) {
    const { name, nodeId, port, args, onLine } = options
    this.name = name
    this.nodeId = nodeId
    this.port = port
    const listen = ['--listen', `127.0.0.1:${port}`, '--node-id', nodeId, '--json']
    this.#child = fork(CLI, ['agent', ...args, ...listen], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    createInterface({ input: this.#child.stdout! }).on('line', (text) => this.#onLine(text, onLine))
    createInterface({ input: this.#child.stderr! }).on('line', (text) => {
      if (this.stderr.length < STDERR_LINES_MAX) this.stderr.push(text)
    })
    this.#child.on('message', (reply: ControlReply) => this.#replies.get(reply.id)?.(reply))
    this.exited = once(this.#child, 'close').then(([code, signal]) => {
      this.exit = (code ?? signal) as number | NodeJS.Signals
      return this.exit
    })
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} could not be started`)
    return this.#child.pid
  }

  get alive(): boolean {
    return this.exit === undefined
  }

  get uid(): string {
    if (this.started === undefined) throw new Error(`${this.name} has not started yet`)
    return this.started.uid
  }

  /** Events of one type, in order. */
  events<T extends ShellEvent['type']>(type: T): Stamped<Extract<Line, { type: T }>>[] {
    return this.lines.filter((line) => line.type === type) as unknown as Stamped<Extract<Line, { type: T }>>[]
  }

  /** Asks through the IPC channel. Rejects when the agent refuses, is gone, or takes too long. */
  async request(command: ControlCommand): Promise<Extract<ControlReply, { ok: true }>> {
    const id = ++this.#requests
    let timer: NodeJS.Timeout | undefined
    const reply = await new Promise<ControlReply>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${this.name} did not answer '${command.cmd}' within ${REPLY_TIMEOUT_MS} ms`)),
        REPLY_TIMEOUT_MS,
      )
      this.#replies.set(id, resolve)
      this.#child.send({ ...command, id }, (error) => {
        if (error !== null) reject(error)
      })
    }).finally(() => {
      clearTimeout(timer)
      this.#replies.delete(id)
    })
    if (!reply.ok)
      throw new Error(`${this.name} answered '${command.cmd}' with ${reply.code}: ${reply.message}`)
    return reply
  }

  async state(): Promise<ClusterState> {
    const { state } = await this.request({ cmd: 'state' })
    if (state === undefined) throw new Error(`${this.name} sent no state`)
    return state
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const { counters } = await this.request({ cmd: 'counters' })
    return counters ?? {}
  }

  /** To this very process, by its handle: a pid that was taken again is never hit. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  #onLine(text: string, onLine: DemoAgentOptions['onLine']): void {
    const line = parseLine(text)
    if (line === undefined) {
      if (this.stderr.length < STDERR_LINES_MAX) this.stderr.push(text)
      return
    }
    if (line.type === 'started') this.started = line
    this.lines.push(line)
    onLine(this, line)
  }
}

/** Undefined for what is no line of an agent: a warning of Node itself, say. */
function parseLine(text: string): Stamped<Line> | undefined {
  try {
    return JSON.parse(text) as Stamped<Line>
  } catch {
    return undefined
  }
}
