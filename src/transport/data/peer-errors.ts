/** Why there can be no association with a peer. */
import type { Uid } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import { DATA_LIMITS } from '../limits.js'

export function tooManyPeers(): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_OUTBOX_FULL',
    `something is under way with ${DATA_LIMITS.associationsMax} peers, the most there may be; nothing was queued. Wait until some of it is done`,
    { retryable: true },
  )
}

export function goneForGood(uid: Uid): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_QUARANTINED',
    `the incarnation ${uid} has left or is quarantined, and nothing is exchanged with it any more; nothing was queued. Ask its next one`,
  )
}
