/** Steps 2 and 3: a killed process stays a member until the strategy has waited; then it comes back as a new incarnation. */
import { setTimeout as sleep } from 'node:timers/promises'
import { wallClockMs } from '../../agent-lines.js'
import { type DemoContext, WAIT } from '../context.js'
import type { DemoAgent } from '../demo-agent.js'
import { must, seenByAll, told } from '../observed.js'
import { mustRun, round } from './form.js'

/** Clocks of two processes, and timers that fire on whole milliseconds. */
const CLOCK_SLACK_MS = 25

/** The kernel answers for a dead process: FIN, then refused twice. Membership must not follow before the strategy says so. */
export async function kill(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary, stableAfterMs } = ctx
  const victim = lastOf(ctx)
  const { uid } = victim
  const killedMs = wallClockMs()
  victim.signal('SIGKILL')
  report.note(`SIGKILL to ${victim.name}, pid ${victim.pid}`)
  await victim.exited
  const others = fleet.alive
  const unreachable = await seenByAll(fleet, others, 'unreachable', uid, killedMs, WAIT.detectMs)
  summary.detectKillMs = round(unreachable.lastMs - killedMs)
  report.note(
    `${victim.name} is unreachable everywhere after ${summary.detectKillMs} ms; it is still a member`,
  )
  await mustStillBeMember(ctx, others, uid, unreachable.firstMs)
  const downed = await seenByAll(fleet, others, 'memberDowned', uid, killedMs, stableAfterMs + WAIT.removeMs)
  const waitedMs = downed.firstMs - unreachable.firstMs
  must(
    waitedMs >= stableAfterMs - CLOCK_SLACK_MS,
    `${victim.name} was down after ${waitedMs} ms, before ${stableAfterMs}`,
  )
  const removed = await seenByAll(fleet, others, 'memberRemoved', uid, killedMs, WAIT.removeMs)
  await seenByAll(fleet, others, 'quarantined', uid, killedMs, WAIT.removeMs)
  summary.removeMs = round(removed.lastMs - killedMs)
  await mustBeQuarantined(others, uid)
  const { detectKillMs, removeMs } = summary
  report.passed(`down after ${round(waitedMs)} ms of stability, removed, its uid quarantined`, {
    detectKillMs,
    removeMs,
  })
}

/** Looks again and again until shortly before the strategy may act. */
async function mustStillBeMember(
  ctx: DemoContext,
  others: readonly DemoAgent[],
  uid: string,
  sinceMs: number,
): Promise<void> {
  const untilMs = sinceMs + ctx.stableAfterMs * 0.75
  let looks = 0
  do {
    for (const agent of others) {
      const member = (await agent.state()).members.find((m) => m.uid === uid)
      must(
        member?.status === 'up',
        `${agent.name} sees it as ${member?.status ?? 'no member'} before stableAfterMs`,
      )
      must(member?.reachability === 'unreachable', `${agent.name} sees it as ${member?.reachability}`)
    }
    looks += 1
    await sleep(ctx.stableAfterMs / 8)
  } while (wallClockMs() < untilMs)
  ctx.report.note(
    `looked ${looks} times for ${Math.round(wallClockMs() - sinceMs)} ms: up and unreachable everywhere`,
  )
}

/** Removed as downed, and refused from now on, at every other node. */
async function mustBeQuarantined(others: readonly DemoAgent[], uid: string): Promise<void> {
  for (const agent of others) {
    const state = await agent.state()
    must(!state.members.some((m) => m.uid === uid), `${agent.name} still has it as a member`)
    must(
      state.quarantined.some((q) => q.uid === uid && q.reason === 'removedAfterDown'),
      `${agent.name} has not quarantined it`,
    )
    const [removal] = agent.events('memberRemoved').filter((line) => line.member.uid === uid)
    must(removal?.cause === 'downed', `${agent.name} removed it as ${removal?.cause}`)
  }
}

/** Same nodeId, other port, higher uid: it takes its own place again. */
export async function rejoin(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary } = ctx
  const former = lastOf(ctx)
  const agent = fleet.start(former.name, former.nodeId, ctx.takePort())
  report.note(`${former.nodeId} starts again, on port ${agent.port} instead of ${former.port}`)
  await fleet.until(`${agent.name} listens`, WAIT.rejoinMs, () => agent.started !== undefined || !agent.alive)
  mustRun(agent)
  const listeningMs = agent.started!.at
  const up = await seenByAll(fleet, fleet.alive, 'memberUp', agent.uid, listeningMs, WAIT.rejoinMs)
  must(agent.uid > former.uid, 'the new incarnation is not higher than the old one')
  for (const observer of fleet.alive) {
    const namesakes = (await observer.state()).members.filter((m) => m.nodeId === former.nodeId)
    must(
      namesakes.length === 1 && namesakes[0]!.uid === agent.uid && namesakes[0]!.address.port === agent.port,
      `${observer.name} does not see ${former.nodeId} once, at its new address`,
    )
    must(
      told(observer, ['memberUp'], listeningMs, former.uid).length === 0,
      `${observer.name} saw the old one come up`,
    )
  }
  summary.rejoinMs = round(up.lastMs - listeningMs)
  const { rejoinMs } = summary
  report.passed(`up everywhere as incarnation ${agent.uid}, ${rejoinMs} ms after it listened`, { rejoinMs })
}

/** The highest number: never a seed, unless there are only three. */
function lastOf(ctx: DemoContext): DemoAgent {
  return ctx.fleet.named(`n${ctx.nodes}`)
}
