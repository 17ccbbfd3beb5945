/**
 * Every error skein raises has a stable code, says what happened, in which state it leaves the caller, and what to
 * do. A brand, not `instanceof`, recognises them across duplicate copies of the package.
 */

/** Stable codes. Each message names the value at fault and the way out. */
export type SkeinErrorCode =
  /** An option is wrong: the message has its path, its value and what was expected. Nothing was started. */
  | 'ERR_SKEIN_INVALID_OPTION'
  /** `transport: 'native'` and no binary fits. Nothing was started. */
  | 'ERR_SKEIN_ADDON_LOAD'
  /** The listen address cannot be bound. Nothing was started. */
  | 'ERR_SKEIN_BIND'
  /** No seed let this node in within `joinTimeoutMs`. The node is closed. */
  | 'ERR_SKEIN_JOIN_TIMEOUT'
  /** A seed refused this node for good. The node is closed. */
  | 'ERR_SKEIN_JOIN_REFUSED'
  /** A living member holds this nodeId. The member is undisturbed; this node is closed. */
  | 'ERR_SKEIN_DUPLICATE_NODE_ID'
  /** A message is larger than a frame, or than a large message, may be. Nothing was sent. */
  | 'ERR_SKEIN_FRAME_TOO_LARGE'
  /** The outbox to a peer is full: it takes less than is sent. Nothing was queued. */
  | 'ERR_SKEIN_OUTBOX_FULL'
  /** The peer cannot be reached now. A request may have been handled, unless it was never sent. */
  | 'ERR_SKEIN_UNREACHABLE'
  /** The peer's incarnation is quarantined here, or this one there: nothing goes between them ever again. */
  | 'ERR_SKEIN_QUARANTINED'
  /** No answer within `timeoutMs`. The request may have been handled. */
  | 'ERR_SKEIN_TIMEOUT'
  /** The peer has no handler for the topic. The request was not handled. */
  | 'ERR_SKEIN_NO_HANDLER'
  /** The peer has too much to do, and did not handle the request. */
  | 'ERR_SKEIN_BUSY'
  /** The peer's handler threw, or answered what this side cannot take. */
  | 'ERR_SKEIN_REMOTE_ERROR'
  /** The other end ended a stream before it was complete. */
  | 'ERR_SKEIN_STREAM_RESET'
  /** The cluster refers to no such member. Nothing changed. */
  | 'ERR_SKEIN_NOT_MEMBER'
  /** `leave` was not completed in time. The node is still leaving. */
  | 'ERR_SKEIN_LEAVE_TIMEOUT'
  /** An event iterator fell behind its bound and was ended. The cluster is unaffected. */
  | 'ERR_SKEIN_EVENTS_OVERFLOW'
  /** The node is closed. */
  | 'ERR_SKEIN_CLOSED'
  /** The caller's AbortSignal fired. The node is closed, if it was joining. */
  | 'ERR_SKEIN_ABORTED'

const BRAND = Symbol.for('skein.error')

export interface SkeinErrorDetails {
  readonly cause?: unknown
  /** True when the same call may succeed later without a change of its arguments. Default false. */
  readonly retryable?: boolean
}

export class SkeinError extends Error {
  readonly code: SkeinErrorCode
  readonly retryable: boolean

  constructor(code: SkeinErrorCode, message: string, details: SkeinErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'SkeinError'
    this.code = code
    this.retryable = details.retryable ?? false
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** True for any skein error, also one made by another copy of the package. */
export function isSkeinError(value: unknown): value is SkeinError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[BRAND] === true
}
