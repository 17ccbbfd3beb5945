import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { freshUid, isLinked, type RawStream, startNode } from '../contract/harness.js'
import { type Bench, BINARY, fixture, jsonLines, makeBench, waitFor } from './support.js'

/** Changes the bounds of a running process. */
const PRLIMIT = '/usr/bin/prlimit'
/** Its place in `BAD_INPUT_REASONS`. */
const TOO_MANY_CONNECTIONS = 13

describe.skipIf(NATIVE_MISSING || !existsSync(PRLIMIT))('a process out of descriptors', () => {
  let bench: Bench
  let child: ChildProcess
  let lines: Record<string, unknown>[]
  let uid: string

  beforeEach(async () => {
    bench = makeBench()
    uid = freshUid()
    child = spawn(process.execPath, [fixture('crowded.mjs'), BINARY, uid], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    lines = jsonLines(child)
    await waitFor(() => lines.length > 0, 'the process to start')
  })
  afterEach(async () => {
    child.kill('SIGKILL')
    await bench.dispose()
  })

  const address = () => ({ host: '127.0.0.1', port: Number(lines[0]!['port']) })
  const news = () =>
    lines.filter((line) => line['type'] === 'badInput' && line['reason'] === TOO_MANY_CONNECTIONS)

  /** No descriptor of this number or above is given to the process any more. */
  function setLimit(limit: number): void {
    execFileSync(PRLIMIT, ['--pid', String(child.pid), `--nofile=${limit}:`])
  }

  /** Leaves the process room for so many descriptors more. */
  function allow(more: number): void {
    const open = new Set(readdirSync(`/proc/${child.pid}/fd`).map(Number))
    let limit = 0
    for (let free = 0; free < more; limit += 1) free += open.has(limit) ? 0 : 1
    setLimit(limit)
  }

  async function counters(): Promise<Record<string, number>> {
    const before = lines.length
    child.stdin!.write('\n')
    const find = () => lines.slice(before).find((line) => line['type'] === 'counters')
    await waitFor(() => find() !== undefined, 'the counters')
    return find() as Record<string, number>
  }

  async function dial(count: number): Promise<RawStream[]> {
    const streams = Array.from({ length: count }, () => bench.harness.dialRaw(address()))
    await waitFor(() => streams.every((stream) => stream.opened), 'the connections')
    return streams
  }

  async function expectLinkable(): Promise<void> {
    const node = await startNode(bench.harness, bench.open, { cluster: 'raw' })
    node.transport.connect(address(), uid)
    await waitFor(() => isLinked(node, uid), 'a link')
    await node.transport.close()
  }

  it('closes the connections that it cannot take, counts them, and says so', async () => {
    await expectLinkable()
    allow(10)
    const streams = await dial(60)
    const closed = () => streams.filter((stream) => stream.ended || stream.closed).length
    await waitFor(() => closed() >= 50, 'what is too much to be closed')
    const { acceptsFailed, accepts } = await counters()
    expect(acceptsFailed).toBeGreaterThanOrEqual(50)
    // Each counted once: nothing spins.
    expect(acceptsFailed! + accepts!).toBeLessThanOrEqual(62)
    await waitFor(() => news().length > 0, 'the news')
    expect(news().length).toBeLessThan(10)
    for (const stream of streams) stream.destroy()
    await expectLinkable()
  })

  it('without one to spare leaves them waiting, and takes them when there is one again', async () => {
    await expectLinkable()
    // Also what it gives up for a moment it does not get back.
    setLimit(3)
    const [stream] = await dial(1)
    await waitFor(() => news().length > 0, 'the news')
    const before = (await counters())['acceptsFailed']!
    await bench.harness.advance(500)
    let after = before
    for (let tries = 0; after < before + 2 && tries < 100; tries += 1) {
      after = (await counters())['acceptsFailed']!
      await bench.harness.advance(20)
    }
    expect(after).toBeGreaterThan(before)
    // One look in a tick of 100 ms, however late this test is told: a loop that spins looks a hundred thousand times.
    expect(after - before).toBeLessThan(1000)
    expect([stream!.ended, stream!.closed]).toEqual([false, false])
    allow(50)
    await expectLinkable()
    await waitFor(() => stream!.ended || stream!.closed, 'the one that waited to be timed out')
  })
})
