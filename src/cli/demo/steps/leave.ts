/** Steps 6 and 7: leaving quarantines nobody, and a copied nodeId disturbs nobody. */
import { wallClockMs } from '../../agent-lines.js'
import { type DemoContext, WAIT } from '../context.js'
import { must, mustNotHaveTold, SUSPICIONS, seenByAll, told } from '../observed.js'
import { round } from './form.js'

/** What every other node sees of a member that leaves, in this order. */
const FAREWELL = ['memberLeft', 'memberExited', 'memberRemoved'] as const

/** As an operator or a supervisor would: by SIGTERM. */
export async function leave(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary } = ctx
  const leaver = fleet.named('n2')
  const { uid } = leaver
  const others = fleet.others(leaver)
  const askedMs = wallClockMs()
  leaver.signal('SIGTERM')
  report.note(`SIGTERM to ${leaver.name}: it leaves`)
  const removed = await seenByAll(fleet, others, 'memberRemoved', uid, askedMs, WAIT.exitMs)
  await fleet.until(`${leaver.name} ends`, WAIT.exitMs, () => !leaver.alive)
  must(leaver.exit === 0, `${leaver.name} ended with ${leaver.exit}, not 0`)
  for (const agent of others) {
    const order = told(agent, FAREWELL, askedMs, uid).map((line) => line.type)
    must(
      order.join() === FAREWELL.join(),
      `${agent.name} saw ${order.join(', ')} instead of ${FAREWELL.join(', ')}`,
    )
    const [removal] = agent.events('memberRemoved').filter((line) => line.member.uid === uid)
    must(removal?.cause === 'left', `${agent.name} removed it as ${removal?.cause}`)
    const { members, quarantined } = await agent.state()
    must(!members.some((m) => m.uid === uid), `${agent.name} still has it as a member`)
    must(!quarantined.some((q) => q.uid === uid), `${agent.name} has quarantined it`)
  }
  mustNotHaveTold(others, ['quarantined', 'memberDowned'], askedMs, 'nobody should be quarantined')
  summary.leaveMs = round(removed.lastMs - askedMs)
  report.passed(`leaving, exiting, removed everywhere after ${summary.leaveMs} ms; nobody quarantined`, {
    leaveMs: summary.leaveMs,
  })
}

/** A copied configuration: the newcomer is the one that goes. */
export async function duplicate(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary } = ctx
  const member = fleet.named('n1')
  const members = fleet.alive
  const sinceMs = wallClockMs()
  const copy = fleet.start('copy', member.nodeId, ctx.takePort())
  report.note(`another agent starts as ${member.nodeId}, on port ${copy.port}`)
  await fleet.until('the copy ends', WAIT.exitMs, () => !copy.alive)
  const [failure] = copy.lines.filter((line) => line.type === 'failed')
  const code = failure?.type === 'failed' ? failure.code : 'none'
  await fleet.until('a member tells of the refusal', WAIT.closeMs, () =>
    members.some((agent) => told(agent, ['joinRejected'], sinceMs).length > 0),
  )
  for (const agent of members) {
    const [rejection] = agent.events('joinRejected').filter((line) => line.at >= sinceMs)
    if (rejection !== undefined) report.note(`${agent.name} refused it: ${rejection.reason}`)
  }
  mustNotHaveTold(members, SUSPICIONS, sinceMs, 'nobody should be suspected')
  let memberDisturbed = false
  for (const agent of members) {
    const namesakes = (await agent.state()).members.filter((m) => m.nodeId === member.nodeId)
    const [only] = namesakes
    memberDisturbed ||= namesakes.length !== 1 || only?.uid !== member.uid || only.status !== 'up'
    memberDisturbed ||= told(agent, ['memberDowned', 'memberRemoved', 'unreachable'], sinceMs).length > 0
  }
  summary.duplicate = { code, memberDisturbed }
  must(code === 'ERR_SKEIN_DUPLICATE_NODE_ID', `the copy ended with ${code}: ${copy.stderr.join('; ')}`)
  must(copy.exit === 1, `the copy ended with ${copy.exit}, not 1`)
  must(!memberDisturbed, `${member.name} was disturbed`)
  report.passed(`the copy was refused with ${code}; ${member.name} is undisturbed`, {
    duplicate: summary.duplicate,
  })
}
