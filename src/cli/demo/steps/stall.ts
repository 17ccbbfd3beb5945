/** Step 5: a blocked JavaScript thread is told apart from a dead process. */
import { wallClockMs } from '../../agent-lines.js'
import { BLOCK_MS, type DemoContext, WAIT } from '../context.js'
import { MEMBERSHIP_CHANGES, must, mustNotHaveTold, seenByAll, told } from '../observed.js'

/** Its beats go on, from the native thread, and say how old its loop is. */
export async function stall(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary } = ctx
  if (summary.transport !== 'native') {
    const skipped = `the ${summary.transport} transport cannot tell a stalled loop`
    summary.stall = { unreachableEvents: 0, stalledEvents: 0, skipped }
    report.passed(`skipped: ${skipped}`, { stall: summary.stall })
    return
  }
  const blocked = fleet.named('n2')
  const others = fleet.others(blocked)
  const blockedMs = wallClockMs()
  blocked.deaf = true
  await blocked.request({ cmd: 'block', ms: BLOCK_MS })
  report.note(`${blocked.name} blocks its JavaScript thread for ${BLOCK_MS} ms`)
  await seenByAll(fleet, others, 'stalled', blocked.uid, blockedMs, WAIT.detectMs)
  const recovered = await seenByAll(
    fleet,
    others,
    'recovered',
    blocked.uid,
    blockedMs,
    BLOCK_MS + WAIT.healMs,
  )
  blocked.deaf = false
  await blocked.state()
  const counts = others.map((agent) => told(agent, ['stalled'], blockedMs, blocked.uid).length)
  const unreachableEvents = others.flatMap((agent) => told(agent, ['unreachable'], blockedMs)).length
  summary.stall = { unreachableEvents, stalledEvents: Math.max(...counts) }
  must(unreachableEvents === 0, `somebody was unreachable: ${unreachableEvents} events`)
  must(
    counts.every((count) => count === 1),
    `stalled was told ${counts.join(', ')} times by the others, not once each`,
  )
  must(recovered.firstMs - blockedMs >= BLOCK_MS, 'it was said to have recovered while it was still blocked')
  mustNotHaveTold(fleet.alive, MEMBERSHIP_CHANGES, blockedMs, 'no membership should have changed')
  report.passed('stalled once and recovered, as every other saw it; never unreachable', {
    stall: summary.stall,
  })
}
