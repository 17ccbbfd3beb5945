/** Why a message could not be sent or answered, as errors. */

import { formatAddress } from '../core/address.js'
import { SkeinError } from '../errors.js'
import type { AssociationEnd } from '../transport/data/association.js'
import { FAILURE_BYTES, FailureCode } from '../wire/data-frame.js'
import { MESSAGING_LIMITS } from './limits.js'
import type { Sender } from './messaging.js'

export function peerText(peer: Sender): string {
  return peer.nodeId === '' ? formatAddress(peer.address) : `${peer.nodeId} at ${formatAddress(peer.address)}`
}

/** What waits for a peer whose association has ended. */
export function endError(peer: Sender, reason: AssociationEnd, what: string): SkeinError {
  const who = peerText(peer)
  switch (reason) {
    case 'quarantined':
      return new SkeinError(
        'ERR_SKEIN_QUARANTINED',
        `${what}: the incarnation ${peer.uid} of ${who} is quarantined; nothing is exchanged with it any more. Ask its next one`,
      )
    case 'closed':
      return new SkeinError('ERR_SKEIN_CLOSED', `${what}: this node is closed`)
    default:
      return unreachableError(peer, `${what}: ${REASONS[reason]} ${who}`)
  }
}

const REASONS: Record<Exclude<AssociationEnd, 'quarantined' | 'closed'>, string> = {
  unreachable: 'no connection to',
  left: 'left the cluster:',
  peerReset: 'another incarnation, or one that remembers nothing, took the place of',
}

export function unreachableError(peer: Sender, what: string): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_UNREACHABLE',
    `${what} (uid ${peer.uid || 'unknown'}). It may have been handled, unless it never left; try again later or elsewhere`,
    {
      retryable: true,
    },
  )
}

/** The error that a failure frame stands for. */
export function remoteFailure(peer: Sender, topic: string, code: number, text: string): SkeinError {
  const who = peerText(peer)
  if (code === FailureCode.noHandler)
    return new SkeinError(
      'ERR_SKEIN_NO_HANDLER',
      `${who} has no handler for topic ${JSON.stringify(topic)}; the request was not handled`,
    )
  if (code === FailureCode.busy)
    return new SkeinError(
      'ERR_SKEIN_BUSY',
      `${who} is busy and did not handle ${JSON.stringify(topic)}: ${text}. Try again later, or elsewhere`,
      { retryable: true },
    )
  return new SkeinError('ERR_SKEIN_REMOTE_ERROR', `${JSON.stringify(topic)} failed on ${who}: ${text}`)
}

/** What was thrown, as a text; anything may be thrown, also what has none. */
export function textOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return 'a thrown value without a text'
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Code, then text. */
export function failureBody(code: FailureCode, why: string): Uint8Array {
  const bytes = new Uint8Array(FAILURE_BYTES + MESSAGING_LIMITS.errorTextBytesMax)
  bytes[0] = code
  const { written } = encoder.encodeInto(why, bytes.subarray(FAILURE_BYTES))
  return bytes.subarray(0, FAILURE_BYTES + written)
}

/** What a failure's body says; an unknown code reads as `remoteError`. */
export function readFailure(
  bytes: Uint8Array,
  from: number,
  to: number,
): { code: FailureCode; text: string } {
  if (to - from < FAILURE_BYTES) return { code: FailureCode.remoteError, text: '' }
  const code = bytes[from]! | (bytes[from + 1]! << 8)
  const text = decoder.decode(
    bytes.subarray(
      from + FAILURE_BYTES,
      Math.min(to, from + FAILURE_BYTES + MESSAGING_LIMITS.errorTextBytesMax),
    ),
  )
  return { code: FailureCode[code] === undefined || code === 0 ? FailureCode.remoteError : code, text }
}
