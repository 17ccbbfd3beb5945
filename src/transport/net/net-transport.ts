/**
 * The transport contract on `node:net`: needs no binary. The engine runs on the JavaScript loop, so a loop that
 * does not turn sends no beats, and shows here as a pause of our own; stalls of peers are never reported.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { type Address, formatAddress } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import type { Hello } from '../../wire/hello.js'
import { ControlDriver, type EventSink, type SocketEffect } from '../control/driver.js'
import { advertisedAddress, EngineTransport } from '../control/engine-transport.js'
import type { ConnectionId } from '../control/io.js'
import type { LaneSocket } from '../lane-socket.js'
import type { TlsOptions, Transport, TransportOptions } from '../transport.js'
import { LoopTimer } from './loop-timer.js'
import { NetSocket, remoteOf, type SocketEvents } from './net-socket.js'
import { nodeAuth } from './node-auth.js'
import { TlsEnds } from './tls-ends.js'

/** A transport over TCP or TLS on the JavaScript loop. `random`, uniform in [0, 1), only spreads dials. */
export function createNetTransport(options: TransportOptions, random: () => number = Math.random): Transport {
  return new NetTransport(options, random)
}

class NetTransport extends EngineTransport {
  readonly kind = 'net'
  readonly reportsStalls = false
  protected readonly driver: ControlDriver
  private readonly sockets = new Map<ConnectionId, NetSocket>()
  private readonly timer: LoopTimer
  private readonly tls: TlsEnds | undefined
  private server: Server | undefined
  private starting: Promise<Address> | undefined

  constructor(
    private readonly options: TransportOptions,
    random: () => number,
  ) {
    super()
    this.timer = new LoopTimer(() => this.driver.onDeadline())
    const tls = options.tls === undefined ? undefined : new TlsEnds(options.tls)
    this.tls = tls
    const authorize = (connection: ConnectionId, { advertised }: Hello) =>
      this.sockets.get(connection)?.isCalled(advertised.host) === true
    this.driver = new ControlDriver(
      { ...options, random, auth: nodeAuth, ...(tls === undefined ? {} : { authorize }) },
      {
        nowMs: () => performance.now(),
        arm: (atMs) => this.timer.arm(atMs),
        apply: (effect) => this.apply(effect),
        handOver: (connection, unread) => this.handOver(connection, unread),
        postpone: (run) => void setImmediate(run),
      },
    )
  }

  setTls(tls: TlsOptions): void {
    if (this.tls === undefined) {
      const message =
        'setTls on a transport that was made without option tls; nothing has changed. Make it with tls'
      throw new SkeinError('ERR_SKEIN_INVALID_OPTION', message)
    }
    this.tls.replace(tls)
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
    // Until TLS is up there is nothing to say to somebody who has hung up.
    const allowHalfOpen = this.tls === undefined
    const server = createServer({ allowHalfOpen, noDelay: true }, (socket) => this.onAccepted(socket))
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
    // Accepts no more from here on. When its last connection ends is not waited for: lanes stay with their owner.
    this.server?.close()
    await this.driver.shutdown()
  }

  private onAccepted(socket: Socket): void {
    const id = this.driver.newConnectionId()
    // Known before the engine hears of it: it may refuse the connection at once.
    const accepted = NetSocket.accepted(socket, this.eventsOf(id))
    this.sockets.set(id, accepted)
    this.driver.socketInput({ type: 'accepted', connection: id, remote: remoteOf(socket) })
    // Only for one that was let in: it costs both ends signatures.
    if (this.tls !== undefined && this.sockets.has(id)) accepted.secure(this.tls)
  }

  private apply(effect: SocketEffect): void {
    if (effect.type === 'dial') {
      const dialled = NetSocket.dial(effect.address, this.eventsOf(effect.connection), this.tls)
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
        if (effect.reset === true) socket?.reset()
        else socket?.destroy()
    }
  }

  private handOver(connection: ConnectionId, unread: Uint8Array): LaneSocket | undefined {
    const socket = this.sockets.get(connection)
    this.sockets.delete(connection)
    return socket?.handOver(unread)
  }

  private eventsOf(id: ConnectionId): SocketEvents {
    const { driver, sockets } = this
    return {
      onOpened: () => driver.socketInput({ type: 'opened', connection: id }),
      onFailed: (reason) => {
        sockets.delete(id)
        driver.socketInput({ type: 'failed', connection: id, reason })
      },
      onRejected: (reason) => driver.socketInput({ type: 'rejected', connection: id, reason }),
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
