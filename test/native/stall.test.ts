import { type ChildProcess, spawn } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { counter, eventsOf, freshUid, startNode } from '../contract/harness.js'
import { type Bench, BINARY, fixture, jsonLines, makeBench, waitFor } from './support.js'

describe.skipIf(NATIVE_MISSING)('a process that does not turn', () => {
  let bench: Bench
  let child: ChildProcess | undefined

  beforeEach(() => {
    bench = makeBench()
  })
  afterEach(async () => {
    child?.kill('SIGKILL')
    child = undefined
    await bench.dispose()
  })

  function spawnSubject(...args: string[]): Record<string, unknown>[] {
    child = spawn(process.execPath, [fixture('subject.mjs'), BINARY, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    return jsonLines(child)
  }

  /** An observer here and a subject in a process of its own, beating. */
  async function observe(watchBack: boolean) {
    const heartbeat = { intervalMs: 50, acceptablePauseMs: 2000, stalledAfterMs: 300 }
    const observer = await startNode(bench.harness, bench.open, { cluster: 'raw', heartbeat })
    const uid = freshUid()
    const lines = spawnSubject(uid, ...(watchBack ? [observer.uid, String(observer.address.port)] : []))
    await waitFor(() => lines.length > 0, 'the subject to start')
    const port = Number(lines[0]!['port'])
    observer.transport.watch(uid, { host: '127.0.0.1', port })
    await waitFor(() => counter(observer, 'beatsIn') > 3, 'beats')
    return { observer, uid, lines }
  }

  it('is stalled, not suspected, while its loop is blocked, and its beats go on', async () => {
    const { observer, uid } = await observe(false)
    const before = counter(observer, 'beatsIn')
    child!.stdin!.write('2500\n')
    await waitFor(() => eventsOf(observer, 'stalled').length === 1, 'stalled')
    expect(eventsOf(observer, 'stalled')[0]).toMatchObject({ uid, stalled: true })
    expect(observer.transport.peers()[0]!.loopAgeMs).toBeGreaterThanOrEqual(300)
    await waitFor(() => eventsOf(observer, 'stalled').length === 2, 'the end of the stall')
    expect(eventsOf(observer, 'stalled')[1]).toMatchObject({ uid, stalled: false })
    expect(eventsOf(observer, 'suspicion')).toEqual([])
    expect(eventsOf(observer, 'linkDown')).toEqual([])
    expect(counter(observer, 'beatsIn')).toBeGreaterThan(before + 10)
  })

  it('that was stopped whole blames nobody when it goes on, and says how long it was away', async () => {
    const { observer, uid, lines } = await observe(true)
    const seen = (type: string) => lines.filter((line) => line['type'] === type)
    await waitFor(() => seen('linkUp').length > 0, 'its own link')
    child!.kill('SIGSTOP')
    await waitFor(() => eventsOf(observer, 'suspicion').length === 1, 'the observer to suspect it', 20_000)
    expect(eventsOf(observer, 'suspicion')[0]).toMatchObject({ uid, suspected: true, cause: 'silence' })
    child!.kill('SIGCONT')
    await waitFor(() => eventsOf(observer, 'suspicion').length === 2, 'the observer to trust it again')
    expect(eventsOf(observer, 'suspicion')[1]).toMatchObject({ uid, suspected: false })
    await waitFor(() => seen('paused').length > 0, 'it to notice its own pause')
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(seen('suspicion')).toEqual([])
    // A pause of the whole process is no stall of its loop.
    expect(eventsOf(observer, 'stalled').filter((event) => event.stalled)).toEqual([])
  })

  it('that is killed is gone, well before its silence says so', async () => {
    const { observer, uid } = await observe(false)
    child!.kill('SIGKILL')
    await waitFor(() => eventsOf(observer, 'suspicion').length === 1, 'the verdict')
    expect(eventsOf(observer, 'suspicion')[0]).toMatchObject({ uid, suspected: true, cause: 'gone' })
    expect(eventsOf(observer, 'suspicion')[0]!.silentMs).toBeLessThan(2000)
  })
})
