/** What a failed attempt says about the next one. */
import { isSkeinError, type SkeinErrorCode } from '../../errors.js'

export interface RetryRule {
  /** Whether the request may have been handled all the same; then only an idempotent one is tried again. */
  readonly maybeHandled: boolean
  /** Whether asking the same member again, where there is no other, can end otherwise. */
  readonly sameMember: boolean
}

/** Failures after which another attempt makes sense. All others are final: an answer, a wrong argument, a caller who gave up. */
const RULES: Partial<Record<SkeinErrorCode, RetryRule>> = {
  ERR_SKEIN_UNREACHABLE: { maybeHandled: true, sameMember: true },
  ERR_SKEIN_TIMEOUT: { maybeHandled: true, sameMember: true },
  ERR_SKEIN_CLOSED: { maybeHandled: true, sameMember: true },
  ERR_SKEIN_QUARANTINED: { maybeHandled: true, sameMember: false },
  ERR_SKEIN_OUTBOX_FULL: { maybeHandled: false, sameMember: false },
  ERR_SKEIN_BUSY: { maybeHandled: false, sameMember: true },
  ERR_SKEIN_NO_HANDLER: { maybeHandled: false, sameMember: false },
  ERR_SKEIN_NOT_MEMBER: { maybeHandled: false, sameMember: false },
}

/** Undefined: never again. */
export function retryRule(error: unknown): RetryRule | undefined {
  return isSkeinError(error) ? RULES[error.code] : undefined
}
