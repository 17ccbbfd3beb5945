/**
 * The transport contract on a simulated network: the same engine as `net`, with streams, time and faults of
 * `MemoryNetwork`. Its process can be stopped, killed, or have its JavaScript loop blocked while beats go on and data
 * lanes wait.
 * `close` resolves in the time of the network: a virtual clock has to run meanwhile.
 */
import type { Address } from '../../core/address.js'
import type { Timer } from '../../sim/clock.js'
import type { Random } from '../../sim/random.js'
import { ControlDriver, type EventSink, type SocketEffect } from '../control/driver.js'
import { advertisedAddress, EngineTransport } from '../control/engine-transport.js'
import type { ConnectionId } from '../control/io.js'
import type { LaneSocket } from '../lane-socket.js'
import { nodeAuth } from '../net/node-auth.js'
import { refuseTls } from '../option-checks.js'
import type { TransportOptions } from '../transport.js'
import type { MemoryHost } from './memory-host.js'
import { MemoryLaneSocket } from './memory-lane-socket.js'
import type { DialHandler, MemoryNetwork } from './memory-network.js'
import type { MemoryStream, StreamHandler } from './memory-stream.js'

export class MemoryTransport extends EngineTransport {
  readonly kind = 'memory'
  readonly reportsStalls = true
  protected readonly driver: ControlDriver
  private readonly streams = new Map<ConnectionId, MemoryStream>()
  private readonly lanes = new Set<MemoryLaneSocket>()
  private host: MemoryHost | undefined
  private timer: Timer | undefined
  private timerAtMs = Number.POSITIVE_INFINITY
  private wantedAtMs = Number.POSITIVE_INFINITY
  private loopBlockedAtMs: number | undefined

  /** For `MemoryNetwork.createTransport`. */
  constructor(
    private readonly options: TransportOptions,
    private readonly network: MemoryNetwork,
    random: Random,
    private readonly onBound: (address: Address, transport: MemoryTransport) => void,
  ) {
    super()
    refuseTls(options.tls, this.kind)
    const loopAgeMs = (nowMs: number) =>
      this.loopBlockedAtMs === undefined ? 0 : nowMs - this.loopBlockedAtMs
    // Nonces from the seed: a run is to be repeatable.
    const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => random() * 256)
    this.driver = new ControlDriver(
      { ...options, random, loopAgeMs, auth: { ...nodeAuth, randomBytes } },
      {
        nowMs: () => network.clock.nowMs(),
        arm: (atMs) => this.arm(atMs),
        apply: (effect) => this.apply(effect),
        handOver: (id, unread) => this.handOver(id, unread),
        postpone: (run) => this.postpone(run),
      },
    )
  }

  async start(sink: EventSink): Promise<Address> {
    const host = this.network.addHost(this.options.listen, (stream) => this.onAccepted(stream))
    this.host = host
    // Behind what waited to be delivered: no deadline overtakes bytes that had already arrived.
    host.onResumed = () => this.rearm()
    this.onBound(host.address, this)
    const advertised = advertisedAddress(host.address, this.options.advertise)
    this.driver.start(sink, host.address, advertised)
    return advertised
  }

  /** Its process is killed; for the network, which closes the sockets. */
  crash(): void {
    this.driver.stop()
  }

  blockLoop(): void {
    this.loopBlockedAtMs ??= this.network.clock.nowMs()
    this.driver.hold()
    for (const lane of this.lanes) lane.setBlocked(true)
  }

  unblockLoop(): void {
    this.loopBlockedAtMs = undefined
    this.driver.release()
    for (const lane of this.lanes) lane.setBlocked(false)
  }

  private postpone(run: () => void): void {
    if (this.host === undefined) this.network.clock.schedule(0, run)
    else this.host.defer(run)
  }

  protected async shutdown(): Promise<void> {
    // No longer listening; its open streams live on until they are drained.
    if (this.host !== undefined) this.network.removeHost(this.host)
    await this.driver.shutdown()
  }

  private onAccepted(stream: MemoryStream): void {
    const id = this.driver.newConnectionId()
    this.streams.set(id, stream)
    stream.handler = this.handlerOf(id)
    this.driver.socketInput({ type: 'accepted', connection: id, remote: stream.remote })
  }

  private apply(effect: SocketEffect): void {
    if (effect.type === 'dial') return this.dial(effect.connection, effect.address)
    const stream = this.streams.get(effect.connection)
    if (stream === undefined) return
    switch (effect.type) {
      case 'write':
        return this.driver.noteWritten(effect.connection, stream.write(effect.bytes))
      case 'closeGracefully':
        return stream.end()
      case 'destroy':
        this.streams.delete(effect.connection)
        if (effect.reset === true) stream.crash(true)
        else stream.destroy()
    }
  }

  private handOver(id: ConnectionId, unread: Uint8Array): LaneSocket | undefined {
    const stream = this.streams.get(id)
    this.streams.delete(id)
    if (stream === undefined || stream.isDead) return undefined
    // While the loop is blocked nobody hears of it, so that nobody can attach to it either.
    const lane = new MemoryLaneSocket(stream, unread, () => this.lanes.delete(lane))
    this.lanes.add(lane)
    return lane
  }

  private dial(id: ConnectionId, address: Address): void {
    const handler: DialHandler = {
      ...this.handlerOf(id),
      onRefused: () => {
        this.streams.delete(id)
        this.driver.socketInput({ type: 'failed', connection: id, reason: 'refused' })
      },
    }
    this.streams.set(id, this.network.connect(this.host!, address, handler))
  }

  private handlerOf(id: ConnectionId): StreamHandler {
    const { driver } = this
    return {
      onOpened: () => driver.socketInput({ type: 'opened', connection: id }),
      onData: (bytes) => driver.socketInput({ type: 'data', connection: id, bytes }),
      onEnded: () => driver.socketInput({ type: 'ended', connection: id }),
      onWritten: (bytes) => driver.noteWritten(id, bytes),
      onClosed: (how) => {
        this.streams.delete(id)
        driver.socketInput({ type: 'closed', connection: id, how })
      },
    }
  }

  private arm(atMs: number | undefined): void {
    this.wantedAtMs = atMs ?? Number.POSITIVE_INFINITY
    this.rearm()
  }

  /** A timer that is due too early looks again when it fires: cheaper than moving it with every input. */
  private rearm(): void {
    if (this.host === undefined || this.wantedAtMs >= this.timerAtMs) return
    if (this.wantedAtMs === Number.POSITIVE_INFINITY) return
    this.timer?.cancel()
    const { clock } = this.network
    this.timerAtMs = Math.max(this.wantedAtMs, clock.nowMs())
    this.timer = clock.schedule(this.timerAtMs - clock.nowMs(), () => this.onTimer())
  }

  private onTimer(): void {
    this.timer = undefined
    this.timerAtMs = Number.POSITIVE_INFINITY
    // A stopped process has no timers; `onResumed` arms it again, behind what waited to be delivered.
    if (this.host!.isPaused) return
    if (this.wantedAtMs > this.network.clock.nowMs()) this.rearm()
    else this.driver.onDeadline()
  }
}
