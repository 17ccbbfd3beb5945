/** The harness for adapters on real sockets: loopback only, ports drawn by the kernel, real time. */
import { readdirSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import * as tls from 'node:tls'
import type { Address } from '../../src/core/address.js'
import type { TlsOptions, Transport, TransportOptions } from '../../src/transport/transport.js'
import { type Harness, type RawListener, type RawStream, WAIT_MS_MAX } from './harness.js'

const POLL_MS = 5

class SocketStream implements RawStream {
  private chunks: Buffer[] = []
  opened: boolean
  ended = false
  closed = false

  constructor(readonly socket: Socket) {
    this.opened = !socket.connecting
    socket.on(socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect', () => {
      this.opened = true
    })
    socket.on('data', (chunk) => this.chunks.push(chunk))
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('close', () => {
      this.closed = true
    })
    // A reset by the transport under test shows as `closed`.
    socket.on('error', () => {})
  }

  get received(): Uint8Array {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)]
    return new Uint8Array(this.chunks[0] ?? [])
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  setReading(reading: boolean): void {
    if (reading) this.socket.resume()
    else this.socket.pause()
  }
}

function dialSocket(address: Address, secureContext: tls.SecureContext | undefined): Socket {
  if (secureContext === undefined) return connect({ ...address, allowHalfOpen: true })
  const socket = tls.connect({ ...address, secureContext, servername: '' })
  socket.allowHalfOpen = true
  return socket
}

function serveSockets(secured: TlsOptions | undefined, onSocket: (socket: Socket) => void): Server {
  if (secured === undefined) return createServer({ allowHalfOpen: true }, onSocket)
  return tls.createServer({ ...secured, requestCert: true, allowHalfOpen: true }, onSocket)
}

async function listenRaw(secured: TlsOptions | undefined): Promise<RawListener> {
  const streams: SocketStream[] = []
  const server = serveSockets(secured, (socket) => streams.push(new SocketStream(socket)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address() as { address: string; port: number }
  return {
    address: { host: bound.address, port: bound.port },
    streams,
    close: async () => {
      server.close()
    },
  }
}

/** `secured`: every node, and every peer that a test plays, speaks TLS and shows this certificate. */
export function realHarness(
  createTransport: (options: TransportOptions) => Transport,
  reportsStalls: boolean,
  secured?: TlsOptions,
): Harness {
  const raw: { destroy(): void }[] = []
  // Once: to read keys takes longer than to shake hands with them.
  const secureContext = secured === undefined ? undefined : tls.createSecureContext(secured)
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  const dial = (address: Address, context: tls.SecureContext | undefined): SocketStream => {
    const stream = new SocketStream(dialSocket(address, context))
    raw.push(stream)
    return stream
  }
  return {
    reportsStalls,
    patience: 3,
    createTransport: (options) =>
      createTransport(secured === undefined ? options : { tls: secured, ...options }),
    listenAddress: () => ({ host: '127.0.0.1', port: 0 }),
    dialRaw: (address) => dial(address, secureContext),
    dialIdle: (address) => dial(address, undefined),
    listenRaw: async () => {
      const listener = await listenRaw(secured)
      raw.push({
        destroy: () => {
          void listener.close()
          for (const stream of listener.streams) stream.destroy()
        },
      })
      return listener
    },
    deadAddress: async (): Promise<Address> => {
      const listener = await listenRaw(undefined)
      await listener.close()
      return listener.address
    },
    advance: async (ms) => {
      await sleep(ms)
    },
    waitFor: async (condition, what) => {
      const untilMs = performance.now() + WAIT_MS_MAX
      while (!condition()) {
        if (performance.now() > untilMs) throw new Error(`waited ${WAIT_MS_MAX} ms for ${what}`)
        await sleep(POLL_MS)
      }
    },
    settle: (promise) => promise,
    openDescriptors: () => readdirSync('/proc/self/fd').length,
    dispose: async () => {
      for (const each of raw) each.destroy()
    },
  }
}
