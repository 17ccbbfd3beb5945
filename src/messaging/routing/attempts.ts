/** The failed attempts of one request, and the one error they come to. */

import type { Member } from '../../core/model.js'
import { isSkeinError, SkeinError } from '../../errors.js'
import { retryRule } from './retry-rules.js'
import type { Routee } from './routee.js'

export interface Attempt {
  readonly routee: Routee
  /** As the cluster knew it then. */
  readonly member: Member
  readonly error: unknown
}

/**
 * The only error itself; of several one with the code that says most of the outcome: an attempt that may have been handled weighs
 * more than one that was certainly not, and what ends the request for good (an answer, an abort) more than either.
 */
export function requestFailed(topic: string, role: string, failed: readonly Attempt[]): unknown {
  const last = failed.at(-1)!
  const rule = retryRule(last.error)
  if (failed.length === 1 || rule === undefined) return last.error
  const open = rule.maybeHandled
    ? last
    : (failed.findLast(({ error }) => retryRule(error)?.maybeHandled === true) ?? last)
  const { error } = open
  if (!isSkeinError(error)) return error
  const list = failed
    .map((attempt) => `${attempt.routee.member.nodeId} (${codeOf(attempt.error)})`)
    .join(', ')
  return new SkeinError(
    error.code,
    `request ${JSON.stringify(topic)} to the role ${JSON.stringify(role)} failed ${failed.length} times: ${list}. ${error.message}`,
    { cause: error, retryable: error.retryable },
  )
}

function codeOf(error: unknown): string {
  return isSkeinError(error) ? error.code : String(error)
}
