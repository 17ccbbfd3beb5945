/** The built command as a process: its lines, its end, and nothing left running. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export type JsonLine = Readonly<Record<string, unknown>> & { readonly type?: string; readonly at?: number }

export class SkeinProcess {
  readonly lines: string[] = []
  readonly stderr: string[] = []
  readonly ended: Promise<number | NodeJS.Signals>
  readonly #child: ChildProcess

  constructor(args: readonly string[]) {
    if (!existsSync(CLI)) throw new Error(`${CLI} is missing: run "node scripts/build.mjs" first`)
    this.#child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.lines.push(line))
    createInterface({ input: this.#child.stderr! }).on('line', (line) => this.stderr.push(line))
    this.ended = once(this.#child, 'close').then(
      ([code, signal]) => (code ?? signal) as number | NodeJS.Signals,
    )
  }

  get pid(): number {
    return this.#child.pid!
  }

  get json(): JsonLine[] {
    return this.lines.map((line) => JSON.parse(line) as JsonLine)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits for a line and returns it. */
  async line(what: RegExp, timeoutMs = 15_000): Promise<string> {
    const untilMs = performance.now() + timeoutMs
    for (;;) {
      const found = this.lines.find((line) => what.test(line))
      if (found !== undefined) return found
      if (performance.now() > untilMs)
        throw new Error(`no line like ${what} in:\n${[...this.lines, ...this.stderr].join('\n')}`)
      await sleep(10)
    }
  }

  /** The first JSON line of this type. */
  async event(type: string, timeoutMs?: number): Promise<JsonLine> {
    return JSON.parse(await this.line(new RegExp(`"type":"${type}"`), timeoutMs)) as JsonLine
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
