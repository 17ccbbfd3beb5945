/** An office on a real loop: time, turns and randomness are the platform's, or those of whoever tests it. */
import { OneTimer, type ShellClock } from '../transport/clock.js'
import type { LaneDialler } from '../transport/data/data-plane.js'
import { type MessagingEvent, Office } from './office.js'
import type { ResolvedMessagingOptions } from './options.js'

export interface OfficeEnvironment {
  readonly clock: ShellClock
  /** Runs a task when the turn's own code has run, its promises included. */
  readonly defer: (run: () => void) => void
  readonly random: () => number
}

export function makeOffice(
  options: ResolvedMessagingOptions,
  environment: OfficeEnvironment,
  transport: LaneDialler,
  emit: (event: MessagingEvent) => void,
): Office {
  const { clock, defer, random } = environment
  const timer = new OneTimer(clock, () => office.plane.onDeadline())
  const ports = {
    nowMs: () => clock.nowMs(),
    arm: (atMs: number | undefined) => timer.arm(atMs),
    defer,
    random,
  }
  const office: Office = new Office(options, ports, transport, emit)
  return office
}
