import { fork } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { ControlReply } from '../../src/cli/agent-control.js'
import { CLI, SkeinProcess } from './process.js'

const running: SkeinProcess[] = []

function agent(...args: string[]): SkeinProcess {
  const listen = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
  const started = new SkeinProcess(['agent', '--cluster', 'orders', ...listen, ...args])
  running.push(started)
  return started
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.kill()))
})

describe('skein agent', () => {
  it('begins with who it is, then tells events, and leaves on SIGTERM with code 0', async () => {
    const node = agent('--node-id', 'n1', '--json')
    await node.event('memberUp')
    expect(node.json[0]).toMatchObject({
      type: 'started',
      pid: node.pid,
      cluster: 'orders',
      nodeId: 'n1',
      uid: expect.stringMatching(/^[0-9a-f]{16}$/),
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      transport: expect.stringMatching(/^(native|net)$/),
    })
    node.signal('SIGTERM')
    expect(await node.ended).toBe(0)
    expect(await node.event('memberRemoved')).toMatchObject({ member: { nodeId: 'n1' }, cause: 'left' })
    expect(node.json.at(-1)).toMatchObject({ type: 'closed', reason: 'left' })
    const times = node.json.map((line) => line.at!)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(node.stderr).toEqual([])
  })

  it('speaks in sentences without --json', async () => {
    const node = agent('--node-id', 'n1')
    await node.line(/INFO {2}n1 \(127\.0\.0\.1:\d+\) is up/)
    expect(node.lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}n1 listens on .* uid [0-9a-f]{16}, pid \d+$/,
    )
    node.signal('SIGINT')
    expect(await node.ended).toBe(0)
  })

  it('a second signal ends it at once', async () => {
    const first = agent('--node-id', 'n1', '--json')
    const { address } = await first.event('started')
    await first.event('memberUp')
    const second = agent('--node-id', 'n2', '--json', '--seeds', address as string)
    await second.line(/"memberUp".*"nodeId":"n2"/)
    // With the other one gone there is nobody to agree that this one may leave.
    await first.kill()
    await second.event('unreachable')
    second.signal('SIGTERM')
    await second.event('memberLeft')
    second.signal('SIGTERM')
    expect(await second.ended).toBe(143)
  })

  it('gives up joining on SIGTERM', async () => {
    const node = agent('--node-id', 'n1', '--json', '--seeds', '127.0.0.1:1')
    await node.event('started')
    node.signal('SIGTERM')
    expect(await node.ended).toBe(1)
    expect(node.json.some((line) => line.type === 'failed' && line['code'] === 'ERR_SKEIN_ABORTED')).toBe(
      true,
    )
  })

  it('says what is wrong with an option, and starts nothing', async () => {
    const node = agent('--seeds', '127.0.0.1:1,127.0.0.1:2')
    expect(await node.ended).toBe(1)
    expect(node.lines.join()).toMatch(/ERR_SKEIN_INVALID_OPTION: option downing.*keepMajority/)
    const mistyped = agent('--seed', '127.0.0.1:1')
    expect(await mistyped.ended).toBe(1)
    expect(mistyped.stderr.join()).toContain('--seeds')
  })

  it('a port in use is a failure with the way out', async () => {
    const first = agent('--json')
    const { address } = await first.event('started')
    const second = agent('--json', '--listen', address as string)
    expect(await second.ended).toBe(1)
    expect(await second.event('failed')).toMatchObject({ code: 'ERR_SKEIN_BIND' })
  })
})

describe('an agent with a parent', () => {
  function forked(...args: string[]) {
    const base = [
      'agent',
      '--cluster',
      'orders',
      '--listen',
      '127.0.0.1:0',
      '--node-id',
      'n1',
      '--json',
      ...args,
    ]
    const child = fork(CLI, base, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    const exited = once(child, 'exit').then(([code, signal]) => code ?? signal)
    let id = 0
    const ask = async (command: object): Promise<ControlReply> => {
      const mine = ++id
      child.send({ ...command, id: mine })
      for (;;) {
        const [reply] = (await once(child, 'message', { signal: AbortSignal.timeout(10_000) })) as [
          ControlReply,
        ]
        if (reply.id === mine) return reply
      }
    }
    const joined = async (): Promise<void> => {
      for (let tries = 0; tries < 500; tries++) {
        const reply = await ask({ cmd: 'state' })
        if (reply.ok) return
        expect(reply.code).toBe('ERR_NOT_JOINED')
      }
      throw new Error('not joined')
    }
    return { child, exited, ask, joined }
  }

  it('answers about state, counters and peers, and refuses what it does not know', async () => {
    const { exited, ask, joined } = forked()
    await joined()
    expect(await ask({ cmd: 'state' })).toMatchObject({
      ok: true,
      state: { self: { nodeId: 'n1', status: 'up' } },
    })
    expect(await ask({ cmd: 'counters' })).toMatchObject({ ok: true, counters: { 'events.memberUp': 1 } })
    expect(await ask({ cmd: 'peers' })).toMatchObject({ ok: true, peers: [] })
    expect(await ask({ cmd: 'down', node: 'n7' })).toMatchObject({ ok: false, code: 'ERR_SKEIN_NOT_MEMBER' })
    expect(await ask({ cmd: 'dance' })).toMatchObject({ ok: false, code: 'ERR_UNKNOWN_COMMAND' })
    expect(await ask({ cmd: 'leave' })).toMatchObject({ ok: true })
    expect(await exited).toBe(0)
  })

  it('blocks its JavaScript thread only after it has answered', async () => {
    const { child, exited, ask, joined } = forked()
    await joined()
    expect(await ask({ cmd: 'block', ms: 300 })).toMatchObject({ ok: true })
    const sinceMs = performance.now()
    expect(await ask({ cmd: 'state' })).toMatchObject({ ok: true })
    expect(performance.now() - sinceMs).toBeGreaterThan(200)
    child.kill('SIGKILL')
    await exited
  })

  it('a node that is downed ends with code 3, so that its supervisor starts it again', async () => {
    const { exited, ask, joined } = forked()
    await joined()
    expect(await ask({ cmd: 'down', node: 'n1' })).toMatchObject({ ok: true })
    expect(await exited).toBe(3)
  })

  it('ends when its parent is gone', async () => {
    const { child, exited, joined } = forked()
    await joined()
    child.disconnect()
    expect(await exited).toBe(1)
  })
})
