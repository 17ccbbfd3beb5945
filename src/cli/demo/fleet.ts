/**
 * All agents of a demo, and waiting for what they tell. Every wait is bounded and names what it waited for, and every
 * process is ended by its pid, however the demo ends.
 */
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Line } from '../agent-lines.js'
import { DemoAgent, type Stamped } from './demo-agent.js'

/** A step did not come out as it must. */
export class StepFailure extends Error {}

export interface FleetOptions {
  readonly clusterName: string
  readonly stableAfterMs: number
  readonly transport: 'auto' | 'native' | 'net'
}

/** Below the range from which kernels take the ports of outgoing connections, so that no dial of an agent takes one. */
const PORT_MIN = 20_000
const PORT_MAX = 32_000
const PORT_TRIES_MAX = 200
const STOP_TIMEOUT_MS = 5000
/** As a real cluster would list: a few, not all. */
const SEEDS_MAX = 3

export class Fleet {
  readonly #options: FleetOptions
  readonly #agents: DemoAgent[] = []
  /** Conditions that somebody waits for. */
  readonly #watchers = new Set<() => void>()
  readonly #lineListeners: ((agent: DemoAgent, line: Stamped<Line>) => void)[] = []
  #seeds: readonly string[] = []
  /** The last resort, when the demo itself ends by an error: synchronous, as an exit handler must be. */
  readonly #onExit = () => {
    for (const agent of this.#agents) if (agent.alive) killNow(agent)
  }

  constructor(options: FleetOptions) {
    this.#options = options
    process.on('exit', this.#onExit)
  }

  /** Running, in order of start. */
  get alive(): readonly DemoAgent[] {
    return this.#agents.filter((agent) => agent.alive)
  }

  /** Running, without those that were stopped or blocked on purpose. */
  get hearing(): readonly DemoAgent[] {
    return this.alive.filter((agent) => !agent.deaf)
  }

  /** Everybody else who runs: the observers of `than`. */
  others(than: DemoAgent): readonly DemoAgent[] {
    return this.alive.filter((agent) => agent !== than)
  }

  /** The newest process under this name. */
  named(name: string): DemoAgent {
    const agent = this.#agents.findLast((candidate) => candidate.name === name)
    if (agent === undefined) throw new Error(`there is no agent ${name}`)
    return agent
  }

  /** Hears every line of every agent, in the order in which they are read. */
  onLine(listener: (agent: DemoAgent, line: Stamped<Line>) => void): void {
    this.#lineListeners.push(listener)
  }

  /** The first of these founds the cluster. */
  useSeeds(ports: readonly number[]): void {
    this.#seeds = ports.slice(0, SEEDS_MAX).map((port) => `127.0.0.1:${port}`)
  }

  /** Starts a process; it joins by itself. */
  start(name: string, nodeId: string, port: number): DemoAgent {
    const { clusterName, stableAfterMs, transport } = this.#options
    const args = ['--cluster', clusterName, '--seeds', this.#seeds.join(','), '--transport', transport]
    args.push('--downing', 'keepMajority', '--stable-after-ms', String(stableAfterMs))
    const onLine = (agent: DemoAgent, line: Stamped<Line>) => {
      for (const listener of this.#lineListeners) listener(agent, line)
      this.#wake()
    }
    const agent = new DemoAgent({ name, nodeId, port, args, onLine })
    this.#agents.push(agent)
    void agent.exited.then(() => this.#wake())
    return agent
  }

  /** Waits until `holds`, tested at every line and at every end of a process. */
  async until(what: string, timeoutMs: number, holds: () => boolean): Promise<void> {
    if (holds()) return
    let timer: NodeJS.Timeout | undefined
    let watcher: (() => void) | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        watcher = () => {
          if (holds()) resolve()
        }
        this.#watchers.add(watcher)
        timer = setTimeout(() => reject(new StepFailure(`not within ${timeoutMs} ms: ${what}`)), timeoutMs)
      })
    } finally {
      clearTimeout(timer)
      if (watcher !== undefined) this.#watchers.delete(watcher)
    }
  }

  /** Ends every process, stopped ones too. */
  async stop(): Promise<void> {
    const running = this.alive
    for (const agent of running) killNow(agent)
    await Promise.race([
      Promise.all(running.map((agent) => agent.exited)),
      sleep(STOP_TIMEOUT_MS, undefined, { ref: false }),
    ])
    process.off('exit', this.#onExit)
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}

/** SIGKILL ends a stopped process too. */
function killNow(agent: DemoAgent): void {
  agent.signal('SIGKILL')
}

/** Distinct ports that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > PORT_TRIES_MAX)
      throw new StepFailure(`no ${count} free ports between ${PORT_MIN} and ${PORT_MAX}`)
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN))
    if (await isFree(port)) ports.add(port)
  }
  return [...ports].sort((a, b) => a - b)
}

/** Asks by binding: the only answer that holds. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
