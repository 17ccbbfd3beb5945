/**
 * The transport contract on `node:net`: needs no binary. The engine runs on the JavaScript loop, so a loop that
 * does not turn sends no beats, and shows here as a pause of our own; stalls of peers are never reported.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { type Address, formatAddress } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import { ControlDriver, type EventSink, type SocketEffect } from '../control/driver.js'
import { advertisedAddress, EngineTransport } from '../control/engine-transport.js'
import type { ConnectionId } from '../control/io.js'
import type { Transport, TransportOptions } from '../transport.js'
import { NetSocket, remoteOf, type SocketEvents } from './net-socket.js'

/** A transport over TCP on the JavaScript loop. `random`, uniform in [0, 1), only spreads dials. */
export function createNetTransport(options: TransportOptions, random: () => number = Math.random): Transport {
  return new NetTransport(options, random)
}

class NetTransport extends EngineTransport {
  readonly kind = 'net'
  readonly reportsStalls = false
  protected readonly driver: ControlDriver
  private readonly sockets = new Map<ConnectionId, NetSocket>()
  private readonly timer: LoopTimer
  private server: Server | undefined
  private starting: Promise<Address> | undefined

  constructor(
    private readonly options: TransportOptions,
    random: () => number,
  ) {
    super()
    this.timer = new LoopTimer(() => this.driver.onDeadline())
    this.driver = new ControlDriver(
      { ...options, random },
      {
        nowMs: () => performance.now(),
        arm: (atMs) => this.timer.arm(atMs),
        apply: (effect) => this.apply(effect),
        postpone: (run) => void setImmediate(run),
      },
    )
  }

  start(sink: EventSink): Promise<Address> {
    if (this.closing !== undefined) {
      return Promise.reject(new SkeinError('ERR_SKEIN_CLOSED', 'this transport is closed; make a new one'))
    }
    this.starting ??= this.listen(sink)
    return this.starting
  }

  private async listen(sink: EventSink): Promise<Address> {
    const { listen, advertise } = this.options
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.onAccepted(socket))
    const bind = await bindServer(server, listen)
    this.server = server
    const advertised = advertisedAddress(bind, advertise)
    this.driver.start(sink, bind, advertised)
    return advertised
  }

  protected async shutdown(): Promise<void> {
    const { starting } = this
    // A failed start has nothing to close, and its caller holds the rejection.
    if (starting !== undefined) await starting.catch(() => undefined)
    const { server } = this
    // Accepts no more from here on; its callback comes when the last connection has gone.
    const unlistened = new Promise<void>((resolve) =>
      server === undefined ? resolve() : server.close(() => resolve()),
    )
    await this.driver.shutdown()
    await unlistened
  }

  private onAccepted(socket: Socket): void {
    const id = this.driver.newConnectionId()
    // Known before the engine hears of it: it may refuse the connection at once.
    this.sockets.set(id, NetSocket.accepted(socket, this.eventsOf(id)))
    this.driver.socketInput({ type: 'accepted', connection: id, remote: remoteOf(socket) })
  }

  private apply(effect: SocketEffect): void {
    if (effect.type === 'dial') {
      const dialled = NetSocket.dial(effect.address, this.eventsOf(effect.connection))
      if (dialled !== undefined) this.sockets.set(effect.connection, dialled)
      return
    }
    const socket = this.sockets.get(effect.connection)
    switch (effect.type) {
      case 'write':
        return socket?.write(effect.bytes)
      case 'closeGracefully':
        return socket?.end()
      case 'destroy':
        this.sockets.delete(effect.connection)
        socket?.destroy()
    }
  }

  private eventsOf(id: ConnectionId): SocketEvents {
    const { driver, sockets } = this
    return {
      onOpened: () => driver.socketInput({ type: 'opened', connection: id }),
      onFailed: (reason) => {
        sockets.delete(id)
        driver.socketInput({ type: 'failed', connection: id, reason })
      },
      onData: (bytes) => driver.socketInput({ type: 'data', connection: id, bytes }),
      onEnded: () => driver.socketInput({ type: 'ended', connection: id }),
      onWritten: (bytes) => driver.noteWritten(id, bytes),
      onClosed: (how) => {
        sockets.delete(id)
        driver.socketInput({ type: 'closed', connection: id, how })
      },
    }
  }
}

/**
 * One timer of the JavaScript loop. Its function is called after a poll of the sockets that followed the due time,
 * so that no deadline overtakes bytes that had already arrived.
 */
class LoopTimer {
  private wantedAtMs = Number.POSITIVE_INFINITY
  private timeout: NodeJS.Timeout | undefined
  private timeoutAtMs = Number.POSITIVE_INFINITY
  private immediate: NodeJS.Immediate | undefined

  constructor(private readonly onDue: () => void) {}

  /** Replaces the time asked for before; undefined disarms. A later time lets the timer run and look again. */
  arm(atMs: number | undefined): void {
    this.wantedAtMs = atMs ?? Number.POSITIVE_INFINITY
    if (atMs === undefined) this.disarm()
    else if (this.immediate === undefined && atMs < this.timeoutAtMs) this.set(atMs)
  }

  private disarm(): void {
    clearTimeout(this.timeout)
    clearImmediate(this.immediate)
    this.timeoutAtMs = Number.POSITIVE_INFINITY
    this.timeout = undefined
    this.immediate = undefined
  }

  private set(atMs: number): void {
    clearTimeout(this.timeout)
    this.timeoutAtMs = atMs
    const delayMs = atMs - performance.now()
    if (delayMs <= 0) this.afterPoll()
    else this.timeout = setTimeout(() => this.afterPoll(), Math.ceil(delayMs))
  }

  /** The loop runs timers, then polls its sockets, then runs immediates: this one sees what had arrived. */
  private afterPoll(): void {
    this.immediate = setImmediate(() => {
      this.immediate = undefined
      this.timeoutAtMs = Number.POSITIVE_INFINITY
      if (this.wantedAtMs > performance.now()) this.arm(this.wantedAtMs)
      else this.onDue()
    })
  }
}

/** Binds and listens; resolves with the bound address, rejects with `ERR_SKEIN_BIND`. */
function bindServer(server: Server, listen: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot listen on ${formatAddress(listen)}: ${cause.message}. Nothing was started; choose a free address of this machine`
      reject(new SkeinError('ERR_SKEIN_BIND', message, { cause, retryable: true }))
    })
    // `exclusive`: under `node:cluster` two workers must not share one incarnation's address.
    server.listen({ host: listen.host, port: listen.port, exclusive: true }, () => {
      server.removeAllListeners('error')
      // An accept that fails (out of descriptors) loses that connection; its dialler tries again.
      server.on('error', () => {})
      const bound = server.address()
      if (bound === null || typeof bound === 'string') reject(new TypeError('a TCP server has an address'))
      else resolve({ host: bound.address, port: bound.port })
    })
  })
}
