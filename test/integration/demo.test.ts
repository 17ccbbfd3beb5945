/** The whole demo with real processes: its structure and its outcomes. Times are for people and for the README. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { STEP_NAMES, type Summary } from '../../src/cli/demo/report.js'
import { SkeinProcess } from '../cli/process.js'

interface DemoLine {
  readonly t: number
  readonly step: string
  readonly type?: string
  readonly agent?: string
  readonly event?: { readonly type: string; readonly at: number; readonly pid?: number }
}

/** Every wait of the demo is bounded; together they stay below this. */
const DEMO_TIMEOUT_MS = 240_000

describe('skein demo --json', () => {
  it('passes every step, in order, and leaves no process behind', { timeout: DEMO_TIMEOUT_MS }, async () => {
    const demo = new SkeinProcess(['demo', '--json', '--quiet-ms', '1000'])
    const code = await demo.ended
    const lines = demo.lines.map((line) => JSON.parse(line) as DemoLine)
    const summary = lines.at(-1) as unknown as Summary & { step: string }
    expect(summary.error).toBeUndefined()
    expect({ code, ok: summary.ok, step: summary.step }).toEqual({ code: 0, ok: true, step: 'summary' })

    expect(lines.filter((line) => line.type === 'begin').map((line) => line.step)).toEqual([...STEP_NAMES])
    expect(lines.filter((line) => line.type === 'passed').map((line) => line.step)).toEqual([...STEP_NAMES])
    expect(lines.every((line, i) => line.t >= (lines[i - 1]?.t ?? 0))).toBe(true)

    for (const name of [
      'formMs',
      'detectKillMs',
      'removeMs',
      'rejoinMs',
      'pauseDetectMs',
      'pauseHealMs',
      'leaveMs',
    ]) {
      expect((summary as unknown as Record<string, unknown>)[name], name).toBeTypeOf('number')
    }
    expect(summary.quiet).toEqual({ ms: 1000, suspicionEvents: 0 })
    expect(summary.duplicate).toEqual({ code: 'ERR_SKEIN_DUPLICATE_NODE_ID', memberDisturbed: false })
    expect(summary.stray).toEqual({ frameTooLarge: 2, badMagic: 1, truncatedFrame: 1, clusterMismatch: 1 })
    if (summary.transport === 'native') {
      expect(summary.stall).toEqual({ unreachableEvents: 0, stalledEvents: 1 })
    } else {
      expect(process.env['SKEIN_REQUIRE_NATIVE']).not.toBe('1')
    }
    if (summary.fdsBeyondNode !== null) expect(summary.fdsBeyondNode).toBeLessThanOrEqual(16)

    const pids = lines.flatMap((line) => (line.event?.type === 'started' ? [line.event.pid!] : []))
    expect(pids).toHaveLength(7)
    expect(pids.filter(isAgent)).toEqual([])
  })

  it('ends its agents when it is interrupted', { timeout: 60_000 }, async () => {
    const demo = new SkeinProcess(['demo', '--json', '--nodes', '3'])
    await demo.line(/"step":"form","type":"passed"/, 30_000)
    const started = demo.lines.map((line) => JSON.parse(line) as DemoLine)
    const pids = started.flatMap((line) => (line.event?.type === 'started' ? [line.event.pid!] : []))
    expect(pids).toHaveLength(3)
    demo.signal('SIGTERM')
    expect(await demo.ended).toBe(143)
    expect(pids.filter(isAgent)).toEqual([])
  })

  it('asks for enough nodes that a majority survives', async () => {
    const demo = new SkeinProcess(['demo', '--nodes', '2'])
    expect(await demo.ended).toBe(1)
    expect(demo.stderr.join()).toContain('3 to 20')
  })
})

/** True while an agent runs under this pid; pids are taken again, so the command line decides. */
function isAgent(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (!readdirSync('/').includes('proc')) return true
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('agent')
  } catch {
    return false
  }
}
