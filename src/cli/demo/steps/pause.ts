/** A quiet period, then step 4: a paused process is unreachable and comes back; its membership never changes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { wallClockMs } from '../../agent-lines.js'
import { type DemoContext, WAIT } from '../context.js'
import { MEMBERSHIP_CHANGES, must, mustNotHaveTold, SUSPICIONS, seenByAll, told } from '../observed.js'
import { round } from './form.js'

/** A detector that cries wolf would do it here, with beats, echoes and digests going on. */
export async function quiet(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary, quietMs } = ctx
  const sinceMs = wallClockMs()
  report.note(`nothing happens for ${quietMs} ms`)
  await sleep(quietMs)
  const suspicionEvents = fleet.alive.flatMap((agent) => told(agent, SUSPICIONS, sinceMs)).length
  summary.quiet = { ms: quietMs, suspicionEvents }
  mustNotHaveTold(fleet.alive, SUSPICIONS, sinceMs, 'nobody should be suspected')
  report.passed('nobody was suspected', { quiet: summary.quiet })
}

/** A stopped process is silent: nothing but time tells, so this is the detector's own speed. */
export async function pause(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary, stableAfterMs } = ctx
  const paused = fleet.named(`n${ctx.nodes - 1}`)
  const others = fleet.others(paused)
  const stoppedMs = wallClockMs()
  paused.deaf = true
  paused.signal('SIGSTOP')
  report.note(`SIGSTOP to ${paused.name}, pid ${paused.pid}`)
  const unreachable = await seenByAll(fleet, others, 'unreachable', paused.uid, stoppedMs, WAIT.detectMs)
  await ctx.showTable()
  const resumedMs = wallClockMs()
  paused.signal('SIGCONT')
  paused.deaf = false
  summary.pauseDetectMs = round(unreachable.lastMs - stoppedMs)
  report.note(`unreachable everywhere after ${summary.pauseDetectMs} ms; SIGCONT at once`)
  const reachable = await seenByAll(fleet, others, 'reachable', paused.uid, resumedMs, WAIT.healMs)
  summary.pauseHealMs = round(reachable.lastMs - resumedMs)
  // Long enough for a strategy that had not seen the healing to act.
  await sleep(stableAfterMs * 1.25)
  mustNotHaveTold(fleet.alive, MEMBERSHIP_CHANGES, stoppedMs, 'no membership should have changed')
  const accused = told(paused, ['unreachable'], stoppedMs)
  must(accused.length === 0, `${paused.name} accused others of its own pause: ${JSON.stringify(accused[0])}`)
  for (const agent of fleet.alive) {
    const state = await agent.state()
    must(state.unreachable.length === 0, `${agent.name} still sees somebody unreachable`)
  }
  const { pauseDetectMs, pauseHealMs } = summary
  report.passed(`reachable everywhere ${pauseHealMs} ms after SIGCONT; no membership changed`, {
    pauseDetectMs,
    pauseHealMs,
  })
}
