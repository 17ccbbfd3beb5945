// Processes of a run: they speak lines of JSON on stdout, hear words on stdin, and never outlive this one.
import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'

const running = new Set()

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))
process.on('exit', () => {
  for (const child of running) child.kill()
})

const hasTaskset = spawnSync('taskset', ['--version']).error === undefined

/** Why `pin` cannot be kept here, or undefined. */
export function pinProblem(pin) {
  if (pin === 'free') return undefined
  if (!hasTaskset) return 'taskset was not found: both ends run unpinned'
  if (pin === 'two' && availableParallelism() < 2) return 'this machine has one core: both ends share it'
  return undefined
}

/** The core of one end, or undefined for none in particular. */
function coreOf(end, pin) {
  if (pin === 'free' || !hasTaskset) return undefined
  return pin === 'two' && end === 'server' && availableParallelism() > 1 ? 1 : 0
}

export class Child {
  #waiting = []
  #lines = []
  #stderr = ''
  #ended

  /** `end` is server or client, for the pinning. */
  constructor(command, args, { end = 'client', pin = 'free', env = {} } = {}) {
    const core = coreOf(end, pin)
    const [file, words] =
      core === undefined ? [command, args] : ['taskset', ['-c', String(core), command, ...args]]
    this.process = spawn(file, words, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    running.add(this)
    this.process.stdin.on('error', () => {})
    this.process.stderr.on('data', (text) => {
      this.#stderr = (this.#stderr + text).slice(-2000)
    })
    createInterface({ input: this.process.stdout }).on('line', (line) => this.#take(line))
    this.process.once('error', (error) => this.#end(error.message))
    this.process.once('close', (code, signal) => this.#end(`ended with ${signal ?? code}`))
  }

  get pid() {
    return this.process.pid
  }

  say(line) {
    this.process.stdin.write(`${line}\n`)
  }

  /** The next line, parsed. Rejects when the process ends first or nothing comes in time. */
  next(timeoutMs = 30_000) {
    if (this.#lines.length > 0) return Promise.resolve(this.#lines.shift())
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      const entry = { resolve, reject }
      entry.timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== entry)
        reject(new Error(`no answer for ${timeoutMs / 1000} s${this.#said()}`))
      }, timeoutMs)
      this.#waiting.push(entry)
    })
  }

  async ask(line, timeoutMs) {
    this.say(line)
    return await this.next(timeoutMs)
  }

  kill() {
    running.delete(this)
    this.process.kill('SIGKILL')
  }

  /** Asks it to stop, and kills it when it does not within two seconds. */
  async stop() {
    if (this.#ended === undefined) {
      this.say('stop')
      const closed = new Promise((resolve) => this.process.once('close', resolve))
      const timer = setTimeout(() => this.kill(), 2000)
      await closed
      clearTimeout(timer)
    }
    running.delete(this)
  }

  #take(line) {
    const value = JSON.parse(line)
    const entry = this.#waiting.shift()
    if (entry === undefined) return void this.#lines.push(value)
    clearTimeout(entry.timer)
    entry.resolve(value)
  }

  #end(how) {
    running.delete(this)
    this.#ended = new Error(how + this.#said())
    for (const entry of this.#waiting.splice(0)) {
      clearTimeout(entry.timer)
      entry.reject(this.#ended)
    }
  }

  #said() {
    const text = this.#stderr.trim()
    return text === '' ? '' : `: ${text.split('\n').at(-1)}`
  }
}
