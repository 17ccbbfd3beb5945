/**
 * TLS 1.3 with mutual authentication, for both ends of a connection: each shows a certificate that the other's
 * authorities have signed. Whose name it has to bear is asked for the host that was dialled here, and for the host that a
 * hello advertises by `namesHost`.
 */
import { X509Certificate } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls'
import type { Address } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import type { TlsOptions } from '../transport.js'
import { type TlsFault, tlsFault } from './socket-errors.js'

/** What becomes of a connection that was let in: one call, or none when it is lost meanwhile. */
export interface TlsHandshake {
  /** Encrypted; whether the peer is to be trusted says its `authorized`. */
  onSecure(socket: TLSSocket): void
  /** The connection is about to close. */
  onFault(fault: TlsFault): void
}

const PEM_CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END [A-Z0-9 ]+-----/g

export class TlsEnds {
  private context: SecureContext
  /** Listens nowhere: it is given connections, and shakes hands on them. */
  private readonly server: Server
  private readonly handshakes = new Map<string, TlsHandshake>()

  /** Throws `ERR_SKEIN_INVALID_OPTION`. */
  constructor(tls: TlsOptions) {
    const options = contextOptions(tls)
    this.context = createContext(options)
    // Who has no certificate, or one that nobody here trusts, is let in as far as to be refused in words and counted; Node
    // would close without either. `onSecure` asks, before a byte of it is read.
    this.server = createServer({ ...options, requestCert: true, rejectUnauthorized: false })
    this.server.on('secureConnection', (socket) => {
      const handshake = this.take(socket)
      // Given up in the meantime.
      if (handshake === undefined) socket.destroy()
      else handshake.onSecure(withHalfOpen(socket))
    })
    this.server.on('tlsClientError', (error, socket) => {
      const fault = tlsFault(socket, error)
      if (fault !== undefined) this.take(socket)?.onFault(fault)
    })
  }

  /** For connections from now on. Throws `ERR_SKEIN_INVALID_OPTION`, and then nothing has changed. */
  replace(tls: TlsOptions): void {
    const options = contextOptions(tls)
    this.context = createContext(options)
    this.server.setSecureContext(options)
  }

  /** The peer must be called what it was dialled by. */
  dial({ host, port }: Address): TLSSocket {
    const socket = connect({
      host,
      port,
      // A literal address is no name to ask a server for.
      servername: isIP(host) === 0 ? host : '',
      secureContext: this.context,
      // Said in words, or an environment variable could turn it off.
      rejectUnauthorized: true,
      checkServerIdentity: (_, certificate) => identityError(certificate, host),
    })
    return withHalfOpen(socket)
  }

  /** For a socket without `allowHalfOpen`. */
  accept(socket: Socket, handshake: TlsHandshake): void {
    const path = pathOf(socket)
    // Gone before it was looked at; its `close` follows.
    if (path === undefined) return void socket.destroy()
    this.handshakes.set(path, handshake)
    socket.once('close', () => {
      if (this.handshakes.get(path) === handshake) this.handshakes.delete(path)
    })
    this.server.emit('connection', socket)
  }

  /** The server tells of its own sockets, not of those it was given: both have the same ends. */
  private take(socket: TLSSocket): TlsHandshake | undefined {
    const path = pathOf(socket)
    if (path === undefined) return undefined
    const handshake = this.handshakes.get(path)
    this.handshakes.delete(path)
    return handshake
  }
}

/** Whether the peer's certificate is one for this host: a name by its DNS names, a literal address by its addresses. */
export function namesHost(socket: TLSSocket, host: string): boolean {
  return identityError(socket.getPeerCertificate(), host) === undefined
}

/** Never throws: Node's check does for a certificate with names that it cannot read. */
function identityError(certificate: PeerCertificate, host: string): Error | undefined {
  try {
    // Which of our interfaces leads to a peer is nothing that its certificate could know.
    return checkServerIdentity(host.replace(/%.*$/, ''), certificate)
  } catch (error) {
    return error as Error
  }
}

/** Like the sockets without TLS: one that hangs up may still be written to. */
function withHalfOpen(socket: TLSSocket): TLSSocket {
  socket.allowHalfOpen = true
  return socket
}

function pathOf(socket: Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function contextOptions(tls: TlsOptions): SecureContextOptions {
  for (const name of ['cert', 'key', 'ca'] as const) {
    if (typeof tls?.[name] !== 'string' || tls[name] === '') throw invalid(`tls.${name} is no PEM text`)
  }
  const authorities = tls.ca.match(PEM_CERTIFICATE) ?? []
  // OpenSSL takes what it can read of a list of authorities, and would trust nobody, or not all that were meant.
  if (authorities.length === 0) throw invalid('tls.ca holds no certificate')
  for (const [index, authority] of authorities.entries()) {
    try {
      new X509Certificate(authority)
    } catch (cause) {
      throw invalid(`tls.ca: certificate ${index + 1} of ${authorities.length} cannot be read`, cause)
    }
  }
  return { cert: tls.cert, key: tls.key, ca: tls.ca, minVersion: 'TLSv1.3' }
}

function createContext(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options)
  } catch (cause) {
    throw invalid(`tls.cert or tls.key cannot be used (${(cause as Error).message})`, cause)
  }
}

function invalid(what: string, cause?: unknown): SkeinError {
  const message = `option ${what}. Nothing has changed; give the node's certificate, its key and its authorities as PEM`
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', message, { cause })
}
