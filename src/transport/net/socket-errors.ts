/** What the errors of Node's sockets mean to the engine, to lanes and to whoever reads the counters. */
import type { TLSSocket } from 'node:tls'
import type { DialFailure } from '../control/io.js'

/** What ends a connection before TLS is up; the rest are failures of the network. */
export type TlsFault = 'unauthenticated' | 'badMagic'

const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])
/** OpenSSL's words, in codes and messages, for what is wrong with a certificate or with the key behind it. */
const CERTIFICATE_WORDS = /cert|unknown.ca|signature/i

export function dialFailure(error: NodeJS.ErrnoException | undefined): DialFailure {
  if (error?.code === 'ECONNREFUSED') return 'refused'
  return error?.code === 'ETIMEDOUT' ? 'timeout' : 'unreachable'
}

export function isReset(error: NodeJS.ErrnoException): boolean {
  return RESET_CODES.has(error.code ?? '')
}

/** Why a handshake of TLS failed; undefined when the connection was lost meanwhile, which is nobody's fault. */
export function tlsFault(socket: TLSSocket, error: NodeJS.ErrnoException): TlsFault | undefined {
  // Set where the peer's chain or name is not what it should be.
  if (socket.authorizationError) return 'unauthenticated'
  const code = error.code ?? ''
  // OpenSSL's own; whatever it is, it is not TLS as spoken here.
  if (!code.startsWith('ERR_SSL_') && code !== 'EPROTO') return undefined
  return CERTIFICATE_WORDS.test(`${code} ${error.message}`) ? 'unauthenticated' : 'badMagic'
}
