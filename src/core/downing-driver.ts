/**
 * When a downing strategy is asked: on the leader of a side, once nothing it depends on has changed for
 * `stableAfterMs`. Every node keeps the time, since any of them may become the one responsible.
 */
import { compareAddress } from './address.js'
import type { Observation, Verdict } from './downing.js'
import type { Env } from './env.js'
import type { Epochs } from './epochs.js'
import type { DowningDecision, MemberEntry } from './model.js'
import { memberView } from './view.js'

export class DowningDriver {
  private readonly env: Env
  private readonly epochs: Epochs
  private key = ''
  private stableSinceMs = 0
  /** True until a decision has been taken for what is unreachable now. */
  private open = false

  constructor(env: Env, epochs: Epochs) {
    this.env = env
    this.epochs = epochs
  }

  /** A pause of our own is not stability: the time starts over. */
  restart(): void {
    this.stableSinceMs = this.env.nowMs
  }

  /** Time that was not ours is not quiet time. */
  excuse(gapMs: number): void {
    this.stableSinceMs = Math.min(this.env.nowMs, this.stableSinceMs + gapMs)
  }

  /** Notes changes of what the strategy depends on. */
  observe(): void {
    const living = this.env.living()
    const unreachable = living.filter((m) => this.env.isUnreachable(m.uid))
    const key =
      unreachable.length === 0
        ? ''
        : `${unreachable.map((m) => m.uid).join()}|${living
            .filter(affectsStability)
            .map((m) => `${m.uid}${m.status}`)
            .join()}`
    if (key === this.key) return
    this.key = key
    this.stableSinceMs = this.env.nowMs
    this.open = unreachable.some(isDownable)
  }

  /** Decides, if it is time and this node is responsible. */
  decideIfDue(): void {
    const dueAtMs = this.dueAtMs()
    if (dueAtMs === undefined || this.env.nowMs < dueAtMs || !this.epochs.isLeader) return
    const status = this.env.selfEntry?.status
    if (status !== 'up' && status !== 'leaving' && status !== 'weaklyUp') return
    this.open = false
    const { downing } = this.env.settings
    const verdict = downing.decide(this.observation())
    this.act(downing.name, verdict)
  }

  /** Once past, only a change of leadership can make this node the one to decide, and that is an input. */
  nextDeadline(): number | undefined {
    const dueAtMs = this.dueAtMs()
    return dueAtMs !== undefined && dueAtMs > this.env.nowMs ? dueAtMs : undefined
  }

  private dueAtMs(): number | undefined {
    const { stableAfterMs } = this.env.settings.downing
    return this.open && stableAfterMs > 0 ? this.stableSinceMs + stableAfterMs : undefined
  }

  private observation(): Observation {
    const members = this.env
      .living()
      .toSorted((a, b) => compareAddress(a.address, b.address))
      .map((m) => ({
        uid: m.uid,
        address: m.address,
        status: m.status,
        roles: m.roles,
        upNumber: m.upNumber,
        reachable: !this.env.isUnreachable(m.uid),
      }))
    return { members }
  }

  private act(strategy: string, { decision, evidence }: Verdict): void {
    const { env } = this
    const targets = this.targets(decision)
    for (const target of targets)
      env.state.changeMember(target.uid, { status: 'down', downReason: 'strategy' })
    const down = targets.map((m) => memberView({ ...m, status: 'down' }, env.verdicts))
    env.publish({ type: 'downingDecision', strategy, decision, down, evidence })
  }

  /** Whole sides go down, newcomers included; this node last. */
  private targets(decision: DowningDecision): MemberEntry[] {
    const hit = (m: MemberEntry): boolean => {
      if (!isDownable(m) || decision === 'downNothing') return false
      return decision === 'downAll' || this.env.isUnreachable(m.uid) === (decision === 'downUnreachable')
    }
    const selfLast = (m: MemberEntry): number => (m.uid === this.env.self ? 1 : 0)
    return this.env
      .living()
      .filter(hit)
      .sort((a, b) => selfLast(a) - selfLast(b))
  }
}

function isDownable(member: MemberEntry): boolean {
  return member.status !== 'down' && member.status !== 'exiting'
}

function affectsStability(member: MemberEntry): boolean {
  return member.status === 'up' || member.status === 'exiting' || member.status === 'down'
}
