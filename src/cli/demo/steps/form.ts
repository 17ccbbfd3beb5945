/** Step 1: all nodes are up everywhere; and what an agent costs in file descriptors. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DemoContext, WAIT } from '../context.js'
import type { DemoAgent } from '../demo-agent.js'
import { must, told } from '../observed.js'

/** Judged by `memberUp` at every agent of every agent, then by asking each for its state. */
export async function form(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary, nodes } = ctx
  const ports = Array.from({ length: nodes }, () => ctx.takePort())
  fleet.useSeeds(ports)
  const agents = ports.map((port, i) => fleet.start(`n${i + 1}`, `n${i + 1}`, port))
  await fleet.until('every agent listens', WAIT.formMs, () =>
    agents.every((agent) => agent.started !== undefined || !agent.alive),
  )
  for (const agent of agents) mustRun(agent)
  const lastListeningMs = Math.max(...agents.map((agent) => agent.started!.at))
  report.note(`${nodes} agents listen: ${agents.map((agent) => `${agent.name} pid ${agent.pid}`).join(', ')}`)
  const upAt = (agent: DemoAgent, other: DemoAgent) => told(agent, ['memberUp'], 0, other.uid)[0]?.at
  await fleet.until('all are up everywhere', WAIT.formMs, () =>
    agents.every((agent) => agents.every((other) => upAt(agent, other) !== undefined)),
  )
  summary.transport = agents[0]!.started!.transport
  const lastUpMs = Math.max(...agents.flatMap((agent) => agents.map((other) => upAt(agent, other)!)))
  summary.formMs = round(lastUpMs - lastListeningMs)
  for (const agent of agents) await mustSeeAllUp(agent, nodes)
  summary.fdsBeyondNode = await fdsBeyondNode(agents)
  const { formMs, fdsBeyondNode: fds } = summary
  report.passed(`all ${nodes} are up everywhere, ${formMs} ms after the last one listened`, {
    formMs,
    fdsBeyondNode: fds,
  })
}

/** Fails with what a process that has ended had to say. */
export function mustRun(agent: DemoAgent): void {
  const failure = agent.lines.find((line) => line.type === 'failed')
  const why = failure?.type === 'failed' ? failure.message : agent.stderr.join('; ')
  must(agent.alive, `${agent.name} ended with ${agent.exit}: ${why}`)
}

/** What was told and what is answered must be the same. */
async function mustSeeAllUp(agent: DemoAgent, nodes: number): Promise<void> {
  const state = await agent.state()
  const up = state.members.filter((m) => m.status === 'up' && m.reachability === 'reachable')
  must(up.length === nodes, `${agent.name} sees ${up.length} of ${nodes} members up and reachable`)
}

/** The most that any agent holds beyond a process that runs nothing, with the same pipes and IPC channel. */
async function fdsBeyondNode(agents: readonly DemoAgent[]): Promise<number | null> {
  if (!existsSync(`/proc/${process.pid}/fd`)) return null
  const bare = await bareNodeFds()
  return Math.max(...agents.map((agent) => countFds(agent.pid))) - bare
}

/** A process of the same Node, started in the same way, that does nothing. */
async function bareNodeFds(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'skein-demo-'))
  const script = join(folder, 'bare.mjs')
  writeFileSync(script, "process.on('message', () => {})\nprocess.stdout.write('')\nprocess.send('ready')\n")
  const child = fork(script, [], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  try {
    await once(child, 'message', { signal: AbortSignal.timeout(WAIT.closeMs) })
    return countFds(child.pid!)
  } finally {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function countFds(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** Tenths of a millisecond: more would be noise. */
export function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
