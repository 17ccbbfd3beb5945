import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { Output } from '../../src/cli/output.js'
import { CLI } from './process.js'

describe('output of an agent', () => {
  it('counts what a full disk takes, and says so when there is room again', () => {
    const written: string[] = []
    let full = false
    const output = new Output(
      (text) => {
        if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        written.push(text)
      },
      (lines) => `lost ${lines}\n`,
    )
    output.write('a\n')
    full = true
    output.write('b\n')
    output.write('c\n')
    expect(output.lost).toBe(2)
    full = false
    output.write('d\n')
    output.write('e\n')
    expect(written).toEqual(['a\n', 'lost 2\nd\n', 'e\n'])
    expect(output.lost).toBe(0)
  })

  it.each(['a full disk', 'a reader that goes away'])('outlives %s, and leaves when asked', async (what) => {
    const stdout = what === 'a full disk' ? openSync('/dev/full', 'w') : 'pipe'
    const args = [CLI, 'agent', '--cluster', 'full', '--listen', '127.0.0.1:0']
    const child = spawn(process.execPath, args, { stdio: ['ignore', stdout, 'pipe', 'ipc'] })
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.stdout?.destroy()
    try {
      await vi.waitUntil(() => isUp(child), { timeout: 15_000, interval: 200 })
      child.kill('SIGTERM')
      expect(await ended).toBe(0)
    } finally {
      child.kill('SIGKILL')
    }
  })
})

/** Asks the agent itself, since its output cannot be read. */
async function isUp(child: ChildProcess): Promise<boolean> {
  if (!child.connected) throw new Error(`the agent has ended with ${child.exitCode}`)
  const reply = once(child, 'message') as Promise<[unknown]>
  child.send({ id: 1, cmd: 'state' })
  return JSON.stringify(await reply).includes('"status":"up"')
}
