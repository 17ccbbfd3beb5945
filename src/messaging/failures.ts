/** Why a message could not be sent or answered, as errors. */

import { formatAddress } from '../core/address.js'
import { SkeinError } from '../errors.js'
import type { AssociationEnd } from '../transport/data/association.js'
import { FailureCode } from '../wire/data-frame.js'
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
  const retryable = code === FailureCode.busy
  const said = retryable ? 'is busy' : 'failed'
  return new SkeinError('ERR_SKEIN_REMOTE_ERROR', `${JSON.stringify(topic)} ${said} on ${who}: ${text}`, {
    retryable,
  })
}
