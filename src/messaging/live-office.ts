/** An office on a real loop: time, turns and randomness are the platform's, or those of whoever tests it. */
import { formatAddress } from '../core/address.js'
import { OneTimer, type ShellClock } from '../transport/clock.js'
import type { LaneDialler } from '../transport/data/data-plane.js'
import { LoopSocket } from '../transport/data/loop-socket.js'
import type { PeerHello } from '../transport/transport.js'
import { type MessagingEvent, Office } from './office.js'
import type { ResolvedMessagingOptions } from './options.js'

export interface OfficeEnvironment {
  readonly clock: ShellClock
  /** Runs a task when the turn's own code has run, its promises included. */
  readonly defer: (run: () => void) => void
  readonly random: () => number
}

export class LiveOffice {
  readonly office: Office
  private self: PeerHello | undefined

  constructor(
    options: ResolvedMessagingOptions,
    private readonly environment: OfficeEnvironment,
    private readonly transport: LaneDialler,
    emit: (event: MessagingEvent) => void,
  ) {
    const { clock, defer, random } = environment
    const timer = new OneTimer(clock, () => this.office.plane.onDeadline())
    const ports = {
      nowMs: () => clock.nowMs(),
      arm: (atMs: number | undefined) => timer.arm(atMs),
      defer,
      random,
    }
    this.office = new Office(options, ports, this.dialler(), emit)
  }

  /** This node itself is a peer like others, over lanes that lead back here. */
  introduce(self: PeerHello): void {
    this.self = self
    this.office.plane.introduce(self)
  }

  private dialler(): LaneDialler {
    const { transport } = this
    const isSelf = (address: Parameters<LaneDialler['disconnect']>[0]) =>
      this.self !== undefined && formatAddress(address) === formatAddress(this.self.address)
    return {
      connect: (address, uid) => {
        if (!isSelf(address)) transport.connect(address, uid)
      },
      disconnect: (address) => {
        if (!isSelf(address)) transport.disconnect(address)
      },
      openLane: (uid, lane, dial) => {
        const { self } = this
        if (self === undefined || uid !== self.uid) return transport.openLane(uid, lane, dial)
        const { defer } = this.environment
        const socket = new LoopSocket(defer)
        defer(() =>
          this.office.plane.onTransportEvent({
            type: 'laneOpened',
            peer: self,
            lane,
            dial,
            dialler: uid,
            socket,
          }),
        )
      },
    }
  }
}
