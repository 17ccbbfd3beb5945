/**
 * One `node:net` socket as the engine sees it, with or without TLS: what one turn writes leaves in one system call, bytes
 * are reported as written when the kernel has them, and closing is shutdown, drain, close.
 */
import { connect, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { type Address, formatAddress } from '../../core/address.js'
import type { DialFailure } from '../control/io.js'
import type { LaneSocket } from '../lane-socket.js'
import { NetLaneSocket } from './net-lane-socket.js'
import { dialFailure, isReset, type TlsFault, tlsFault } from './socket-errors.js'
import { namesHost, type TlsEnds } from './tls-ends.js'

export interface SocketEvents {
  onOpened(): void
  onFailed(reason: DialFailure | 'handshake'): void
  /** The peer failed at TLS; nothing that it sends is reported. */
  onRejected(fault: TlsFault): void
  onData(bytes: Uint8Array): void
  onEnded(): void
  onClosed(how: 'closed' | 'reset' | 'error'): void
  onWritten(bytes: number): void
}

/** Frames up to this many bytes in one turn are copied into one buffer; more go out as a vector. */
const COALESCE_BYTES_MAX = 256 * 1024

const PORT_MAX = 65_535

type State =
  /** A dial whose connect is pending. */
  | 'connecting'
  /** Connected; TLS is not up. */
  | 'securing'
  | 'open'

export class NetSocket {
  private queue: Uint8Array[] = []
  private queuedBytes = 0
  private flushPosted = false
  private fault: TlsFault | undefined
  private failure: NodeJS.ErrnoException | undefined

  private constructor(
    private socket: Socket,
    private readonly events: SocketEvents,
    private readonly dialled: boolean,
    private state: State,
  ) {
    // What may be coalesced is coalesced here; Nagle's algorithm would hold the rest back for a round trip.
    socket.setNoDelay(true)
    this.listen()
  }

  /** Undefined, and a failure reported later, for an address that no socket can be made for. */
  static dial(address: Address, events: SocketEvents, tls: TlsEnds | undefined): NetSocket | undefined {
    // `connect` would throw for the port, and take an empty host for this machine.
    if (address.host === '' || address.port < 1 || address.port > PORT_MAX) {
      setImmediate(() => events.onFailed('unreachable'))
      return undefined
    }
    const socket = tls?.dial(address) ?? connect({ ...address, allowHalfOpen: true })
    return new NetSocket(socket, events, true, 'connecting')
  }

  /** A socket that the listener accepted: with `allowHalfOpen`, or else to be secured. */
  static accepted(socket: Socket, events: SocketEvents): NetSocket {
    return new NetSocket(socket, events, false, socket.allowHalfOpen ? 'open' : 'securing')
  }

  /** Shakes hands as the acceptor of TLS. Until then nothing is read, and nothing can be written. */
  secure(tls: TlsEnds): void {
    tls.accept(this.socket, {
      onSecure: (socket) => {
        this.unlisten()
        this.socket = socket
        this.state = 'open'
        this.listen()
        if (!socket.authorized) this.events.onRejected('unauthenticated')
      },
      onFault: (fault) => {
        this.fault = fault
      },
    })
  }

  /** Whether the peer has shown a certificate for this host. */
  isCalled(host: string): boolean {
    return this.socket instanceof TLSSocket && namesHost(this.socket, host)
  }

  /** Takes the bytes over. */
  write(bytes: Uint8Array): void {
    this.queue.push(bytes)
    this.queuedBytes += bytes.length
    if (this.flushPosted) return
    this.flushPosted = true
    // When the turn's own code has run, before any other callback: together, and not later than that.
    queueMicrotask(() => this.flush())
  }

  /** Before TLS is up there is nobody to say it to: closes, which is reported. */
  end(): void {
    if (this.state !== 'open') {
      this.socket.destroy()
      return
    }
    this.flush()
    this.socket.end()
  }

  /** Closes at once; no event follows. */
  destroy(): void {
    this.queue = []
    this.unlisten()
    this.socket.destroy()
  }

  /** As `destroy`, by a reset. TLS has no such thing, and is closed. */
  reset(): void {
    this.queue = []
    this.unlisten()
    if (this.socket instanceof TLSSocket) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  /** The socket becomes a lane's, behind what was written; no event follows. Undefined when it is gone. */
  handOver(unread: Uint8Array): LaneSocket | undefined {
    this.flush()
    this.unlisten()
    return this.socket.destroyed ? undefined : new NetLaneSocket(this.socket, unread)
  }

  private listen(): void {
    const { socket, state } = this
    socket.on('error', this.onError).on('close', this.onClose)
    // Who reads from a connection before TLS does takes its handshake away.
    if (state === 'securing') return
    socket.on('data', this.onData).on('end', this.onEnd)
    if (state === 'connecting') socket.on('connect', this.onConnect).on('secureConnect', this.onOpened)
  }

  private unlisten(): void {
    this.socket
      .off('close', this.onClose)
      .off('data', this.onData)
      .off('end', this.onEnd)
      .off('connect', this.onConnect)
      .off('secureConnect', this.onOpened)
    // `error` stays: a destroyed socket may still report what was under way.
  }

  private flush(): void {
    this.flushPosted = false
    const { queue, queuedBytes, socket } = this
    if (queue.length === 0 || this.state !== 'open' || socket.destroyed) return
    this.queue = []
    this.queuedBytes = 0
    if (queuedBytes <= COALESCE_BYTES_MAX) {
      const whole = queue.length === 1 ? queue[0]! : Buffer.concat(queue, queuedBytes)
      socket.write(whole, (error) => this.onFlushed(queuedBytes, error))
      return
    }
    socket.cork()
    for (const bytes of queue) socket.write(bytes, (error) => this.onFlushed(bytes.length, error))
    socket.uncork()
  }

  private onFlushed(bytes: number, error: Error | null | undefined): void {
    if (error === null || error === undefined) this.events.onWritten(bytes)
  }

  private readonly onConnect = (): void => {
    if (this.socket instanceof TLSSocket) this.state = 'securing'
    else this.onOpened()
  }

  private readonly onOpened = (): void => {
    this.state = 'open'
    this.events.onOpened()
  }

  private readonly onData = (chunk: Buffer): void => {
    this.events.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  }

  private readonly onEnd = (): void => {
    if (this.state === 'open') this.events.onEnded()
  }

  /** Always followed by `close`, which reports it. */
  private readonly onError = (error: Error): void => {
    this.failure = error
  }

  private readonly onClose = (): void => {
    const { dialled, events, failure, state } = this
    if (state === 'securing') {
      const fault = this.fault ?? this.diallerFault()
      if (fault !== undefined) events.onRejected(fault)
      else if (dialled) return events.onFailed('handshake')
    }
    if (state === 'connecting') events.onFailed(dialFailure(failure))
    else if (failure === undefined) events.onClosed('closed')
    else events.onClosed(isReset(failure) ? 'reset' : 'error')
  }

  private diallerFault(): TlsFault | undefined {
    const { failure, socket } = this
    return socket instanceof TLSSocket && failure !== undefined ? tlsFault(socket, failure) : undefined
  }
}

/** `host:port` of the other end. */
export function remoteOf(socket: Socket): string {
  return formatAddress({ host: socket.remoteAddress ?? 'unknown', port: socket.remotePort ?? 0 })
}
