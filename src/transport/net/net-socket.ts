/**
 * One `node:net` socket as the engine sees it: what one turn writes leaves in one system call, bytes are reported
 * as written when the kernel has them, and closing is shutdown, drain, close.
 */
import { connect, type Socket } from 'node:net'
import { type Address, formatAddress } from '../../core/address.js'
import type { DialFailure } from '../control/io.js'

export interface SocketEvents {
  onOpened(): void
  onFailed(reason: DialFailure): void
  onData(bytes: Uint8Array): void
  onEnded(): void
  onClosed(how: 'closed' | 'reset' | 'error'): void
  onWritten(bytes: number): void
}

/** Frames up to this many bytes in one turn are copied into one buffer; more go out as a vector. */
const COALESCE_BYTES_MAX = 256 * 1024

const PORT_MAX = 65_535
const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

export class NetSocket {
  private queue: Uint8Array[] = []
  private queuedBytes = 0
  private flushPosted = false
  private opened: boolean
  private failure: NodeJS.ErrnoException | undefined

  private constructor(
    private readonly socket: Socket,
    private readonly events: SocketEvents,
    opened: boolean,
  ) {
    this.opened = opened
    // What may be coalesced is coalesced here; Nagle's algorithm would hold the rest back for a round trip.
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      events.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    })
    socket.on('end', () => events.onEnded())
    // Always followed by `close`, which reports it.
    socket.on('error', (error) => {
      this.failure = error
    })
    socket.on('close', () => this.onClose())
    if (!opened) socket.on('connect', () => this.onConnect())
  }

  /** Undefined, and a failure reported later, for an address that no socket can be made for. */
  static dial(address: Address, events: SocketEvents): NetSocket | undefined {
    // `connect` would throw for the port, and take an empty host for this machine.
    if (address.host === '' || address.port < 1 || address.port > PORT_MAX) {
      setImmediate(() => events.onFailed('unreachable'))
      return undefined
    }
    const socket = connect({ host: address.host, port: address.port, allowHalfOpen: true })
    return new NetSocket(socket, events, false)
  }

  /** A socket that the listener accepted with `allowHalfOpen`. */
  static accepted(socket: Socket, events: SocketEvents): NetSocket {
    return new NetSocket(socket, events, true)
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

  end(): void {
    this.flush()
    this.socket.end()
  }

  /** Closes at once; no event follows. */
  destroy(): void {
    this.queue = []
    this.socket.removeAllListeners()
    // A destroyed socket may still report an error of what was under way.
    this.socket.on('error', () => {})
    this.socket.destroy()
  }

  private flush(): void {
    this.flushPosted = false
    const { queue, queuedBytes, socket } = this
    if (queue.length === 0 || socket.destroyed) return
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

  private onConnect(): void {
    this.opened = true
    this.events.onOpened()
  }

  private onClose(): void {
    const code = this.failure?.code ?? ''
    if (!this.opened) this.events.onFailed(dialFailure(code))
    else if (this.failure === undefined) this.events.onClosed('closed')
    else this.events.onClosed(RESET_CODES.has(code) ? 'reset' : 'error')
  }
}

/** `host:port` of the other end. */
export function remoteOf(socket: Socket): string {
  return formatAddress({ host: socket.remoteAddress ?? 'unknown', port: socket.remotePort ?? 0 })
}

function dialFailure(code: string): DialFailure {
  if (code === 'ECONNREFUSED') return 'refused'
  return code === 'ETIMEDOUT' ? 'timeout' : 'unreachable'
}
