/** Helpers of the tests of the addon. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createNativeTransport } from '../../src/transport/native/native-transport.js'
import { type Harness, type Node, WAIT_MS_MAX } from '../contract/harness.js'
import { realHarness } from '../contract/real-harness.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const paths = (await import(join(ROOT, 'scripts/native-paths.mjs'))) as Record<
  'binaryPath' | 'prebuildPath',
  (root: string) => string
>

/** The binary under test, for processes that run plain JavaScript: the one built here, else the prebuilt one. */
export const BINARY = existsSync(paths.binaryPath(ROOT)) ? paths.binaryPath(ROOT) : paths.prebuildPath(ROOT)

export function fixture(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
}

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export function runNode(args: readonly string[], timeoutMs: number): Promise<Finished> {
  return runBinary(process.execPath, args, timeoutMs)
}

/** Runs a program to its end; kills it after the bound, which then shows as a signal. */
export async function runBinary(path: string, args: readonly string[], timeoutMs: number): Promise<Finished> {
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    output.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    output.stderr += chunk
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, signal, ...output }
}

/** Lines of JSON that a child prints, as they come. */
export function jsonLines(child: ChildProcess): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = []
  let rest = ''
  child.stdout!.on('data', (chunk) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()!
    lines.push(...parts.map((line) => JSON.parse(line)))
  })
  return lines
}

export async function waitFor(condition: () => boolean, what: string, boundMs = WAIT_MS_MAX): Promise<void> {
  const untilMs = performance.now() + boundMs
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error(`waited ${boundMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface Bench {
  readonly harness: Harness
  readonly open: Node[]
  dispose(): Promise<void>
}

/** A harness for native transports and what must be closed after a test. */
export function makeBench(): Bench {
  const harness = realHarness(createNativeTransport, true)
  const open: Node[] = []
  return {
    harness,
    open,
    dispose: async () => {
      await Promise.all(open.map((node) => node.transport.close()))
      await harness.dispose()
    },
  }
}
