/** The order of the steps, and what happens when one does not come out as it must. */
import type { DemoContext } from './context.js'
import type { StepName } from './report.js'
import { form } from './steps/form.js'
import { kill, rejoin } from './steps/kill.js'
import { duplicate, leave } from './steps/leave.js'
import { pause, quiet } from './steps/pause.js'
import { stall } from './steps/stall.js'
import { stray } from './steps/stray.js'

interface Step {
  readonly name: StepName
  readonly title: string
  run(ctx: DemoContext): Promise<void>
}

/** Later steps build on earlier ones: who was killed comes back, who was paused is a member again. */
const STEPS: readonly Step[] = [
  { name: 'form', title: 'All nodes are up everywhere', run: form },
  {
    name: 'kill',
    title: 'A process is killed: unreachable at once, a member until the strategy has waited',
    run: kill,
  },
  { name: 'rejoin', title: 'It comes back under the same nodeId, on another port', run: rejoin },
  { name: 'quiet', title: 'A quiet period', run: quiet },
  { name: 'pause', title: 'A process is paused for less than stableAfterMs', run: pause },
  { name: 'stall', title: 'The JavaScript thread of a process is blocked', run: stall },
  { name: 'leave', title: 'A node leaves gracefully', run: leave },
  { name: 'duplicate', title: 'A second node with the nodeId of a living member', run: duplicate },
  { name: 'stray', title: 'A stray client sends what it should not', run: stray },
]

/** Runs the steps until one fails; the rest would start from a state that nobody knows. */
export async function runScript(ctx: DemoContext): Promise<void> {
  for (const step of STEPS) {
    ctx.summary.failedStep = step.name
    ctx.report.begin(step.name, step.title)
    await step.run(ctx)
  }
  delete ctx.summary.failedStep
  ctx.summary.ok = true
}
