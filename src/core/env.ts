/**
 * What the parts of one machine share during a step: the state, the verdicts on reachability, the time of the
 * step and the list of effects. Parts talk through it and through explicit calls of the machine, never to each other's insides.
 */
import type { Uid } from './address.js'
import type { Effect } from './machine-io.js'
import type { ClusterEvent, DropReason, MemberEntry, Message, TerminationReason } from './model.js'
import { Overlay } from './overlay.js'
import type { Verdicts } from './reachability.js'
import type { MachineSettings } from './settings.js'
import { ReplicatedState } from './state.js'

export class Env {
  readonly settings: MachineSettings
  readonly state: ReplicatedState
  readonly overlay: Overlay
  /** Monotonic milliseconds of the step under way. */
  nowMs = 0
  verdicts: Verdicts = { confirmed: new Set(), status: new Map(), degraded: [] }
  ended = false
  private effects: Effect[] = []
  private livingCache: { readonly membersVersion: number; readonly members: readonly MemberEntry[] } = {
    membersVersion: -1,
    members: [],
  }

  constructor(settings: MachineSettings) {
    this.settings = settings
    this.state = new ReplicatedState(settings.self.uid)
    this.overlay = new Overlay(settings.observersMax)
  }

  get self(): Uid {
    return this.settings.self.uid
  }

  /** This node's own entry; undefined until it is a member. */
  get selfEntry(): MemberEntry | undefined {
    return this.state.members.get(this.self)
  }

  /** True between admission and the end of this membership. */
  get isMember(): boolean {
    const entry = this.selfEntry
    return entry !== undefined && entry.status !== 'removed'
  }

  /** Living members, ordered by uid: a defined order for everything that iterates. The same array until one changes. */
  living(): readonly MemberEntry[] {
    const { membersVersion } = this.state
    if (this.livingCache.membersVersion !== membersVersion) {
      const members = [...this.state.members.values()].filter((m) => m.status !== 'removed')
      this.livingCache = { membersVersion, members: members.sort((a, b) => (a.uid < b.uid ? -1 : 1)) }
    }
    return this.livingCache.members
  }

  isUnreachable(uid: Uid): boolean {
    return this.verdicts.status.get(uid) === 'unreachable'
  }

  emit(effect: Effect): void {
    this.effects.push(effect)
  }

  send(to: Uid, message: Message): void {
    this.effects.push({ type: 'send', to, message })
  }

  publish(event: ClusterEvent): void {
    this.effects.push({ type: 'publish', event })
  }

  drop(from: Uid, reason: DropReason): void {
    this.publish({ type: 'messageDropped', from, reason })
  }

  /** This node's membership is over; no input is looked at any more. */
  end(reason: TerminationReason, detail: string): void {
    if (this.ended) return
    this.ended = true
    this.emit({ type: 'terminate', reason, detail })
  }

  takeEffects(): readonly Effect[] {
    const taken = this.effects
    this.effects = []
    return taken
  }
}

/** The earliest of several deadlines; undefined when there is none. */
export function earliest(...deadlines: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined
  for (const at of deadlines) {
    if (at !== undefined && (first === undefined || at < first)) first = at
  }
  return first
}
