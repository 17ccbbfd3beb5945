/** Checks of options that every transport makes alike, before anything is started. */
import { SkeinError } from '../errors.js'
import { TRANSPORT_LIMITS } from './limits.js'
import type { TransportKind, TransportOptions } from './transport.js'

/** Throws `ERR_SKEIN_INVALID_OPTION`, which never quotes a secret. */
export function checkSecrets(secrets: TransportOptions['secrets']): void {
  if (secrets === undefined) return
  const { secretsMax, secretBytesMin, secretBytesMax } = TRANSPORT_LIMITS
  if (!Array.isArray(secrets) || secrets.length === 0 || secrets.length > secretsMax) {
    const what = Array.isArray(secrets) ? `has ${secrets.length} items` : 'is no list'
    throw invalid(`secrets ${what}, expected 1 to ${secretsMax}`)
  }
  for (const [index, secret] of secrets.entries()) {
    if (!(secret instanceof Uint8Array)) throw invalid(`secrets[${index}] is no Uint8Array`)
    if (secret.length < secretBytesMin || secret.length > secretBytesMax) {
      const expected = `${secretBytesMin} to ${secretBytesMax}`
      throw invalid(`secrets[${index}] is ${secret.length} bytes long, expected ${expected}`)
    }
  }
}

/** For transports without TLS. Throws `ERR_SKEIN_INVALID_OPTION`. */
export function refuseTls(tls: TransportOptions['tls'], kind: TransportKind): void {
  if (tls !== undefined)
    throw invalid(`tls is given, and the ${kind} transport has none; use transport 'net'`)
}

function invalid(what: string): SkeinError {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `option ${what}. Nothing was started`)
}
