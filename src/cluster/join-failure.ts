/** Why a node did not become a member, as an error that says what happened, what is left, and what to do. */
import { type Address, formatAddress, type Uid } from '../core/address.js'
import type { Blocker, TerminationReason } from '../core/model.js'
import { SkeinError } from '../errors.js'
import type { TransportEvent } from '../transport/transport.js'
import { blockersText, isJoinRefusal, joinRefusalText } from './event-text.js'

/** What became of the dials to each seed, for the message of a join that failed. */
export class JoinDiary {
  readonly #seeds: readonly Address[]
  readonly #last = new Map<string, string>()

  constructor(seeds: readonly Address[]) {
    this.#seeds = seeds
  }

  /** Remembers the newest word on each address. */
  note(event: TransportEvent): void {
    if (event.type === 'gated') {
      const tries = event.attempts === 1 ? '1 attempt' : `${event.attempts} attempts`
      // A refused handshake is told by its own reason; the gate that follows it adds nothing.
      if (event.reason !== 'handshake') this.#note(event.address, `${GATES[event.reason]} (${tries})`)
    } else if (event.type === 'refused') {
      this.#note(event.address, REFUSALS[event.reason] ?? event.reason)
    } else if (event.type === 'linkUp') {
      this.#note(event.peer.address, 'connected, and did not let this node in')
    }
  }

  #note(address: Address, text: string): void {
    this.#last.set(formatAddress(address), text)
  }

  toString(): string {
    return this.#seeds
      .map(formatAddress)
      .map((seed) => `${seed}: ${this.#last.get(seed) ?? 'no answer'}`)
      .join('; ')
  }
}

const GATES: Record<Extract<TransportEvent, { type: 'gated' }>['reason'], string> = {
  refused: 'connection refused',
  timeout: 'no answer in time',
  unreachable: 'host unreachable',
  handshake: 'handshake failed',
}

const REFUSALS: Partial<Record<Extract<TransportEvent, { type: 'refused' }>['reason'], string>> = {
  clusterMismatch: 'it belongs to a cluster of another name',
  versionUnsupported: 'it speaks no common protocol version',
  quarantined: 'it has quarantined this incarnation',
  sameUid: 'it is this node itself, under another name; list it as it is advertised',
}

export interface JoinAttempt {
  readonly cluster: string
  readonly nodeId: string
  readonly uid: Uid
  readonly address: Address
  readonly joinTimeoutMs: number
  readonly diary: JoinDiary
  /** Who keeps the cluster from admitting anybody, once this node has been let in. */
  readonly blockers: readonly Blocker[]
}

/** The error for a membership that ended before it began; the code follows from the reason. */
export function joinFailure(attempt: JoinAttempt, reason: TerminationReason, detail: string): SkeinError {
  const { cluster, nodeId } = attempt
  if (reason === 'joinTimeout') return joinTimeout(attempt)
  if (reason === 'joinRefused') return joinRefused(attempt, detail)
  const text = `node ${nodeId} was ${reason} while it joined cluster ${cluster}${detail === '' ? '' : ` (${detail})`}`
  return new SkeinError('ERR_SKEIN_JOIN_REFUSED', `${text}. It is closed; join again as a new incarnation`, {
    retryable: true,
  })
}

/** Two different stories: nobody let this node in, or somebody keeps the members from agreeing on it. */
function joinTimeout(attempt: JoinAttempt): SkeinError {
  const { cluster, nodeId, joinTimeoutMs, diary, blockers } = attempt
  const what = `node ${nodeId} did not become a member of cluster ${cluster} within ${joinTimeoutMs} ms`
  const why =
    blockers.length === 0
      ? `Seeds: ${diary}. Check that a seed is up and that the first seed lists itself first`
      : `It was let in and waited for the others to agree: ${blockersText(blockers)}. Bring them back or down them`
  return new SkeinError('ERR_SKEIN_JOIN_TIMEOUT', `${what}. ${why}. This node is closed`, { retryable: true })
}

/** `detail` begins with the name of the refusal. */
function joinRefused(attempt: JoinAttempt, detail: string): SkeinError {
  const { cluster, nodeId, uid, address } = attempt
  const name = /^[A-Za-z]+/.exec(detail)?.[0] ?? ''
  const way = isJoinRefusal(name) ? `: ${joinRefusalText(name)}` : ''
  if (name === 'duplicateNodeId') {
    return new SkeinError(
      'ERR_SKEIN_DUPLICATE_NODE_ID',
      `cluster ${cluster} refused node ${nodeId} at ${formatAddress(address)}: a living member has this nodeId. The ` +
        'member is undisturbed; this node is closed. Give each node its own nodeId, or stop the member first',
    )
  }
  return new SkeinError(
    'ERR_SKEIN_JOIN_REFUSED',
    `cluster ${cluster} refused node ${nodeId} (uid ${uid}) at ${formatAddress(address)}: ${detail}${way}. This node is closed`,
    { retryable: name === 'clusterFull' },
  )
}

/** `reason` is that of the signal; it becomes the cause. */
export function joinAborted(nodeId: string, reason: unknown): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_ABORTED',
    `joining was aborted by the caller's signal; node ${nodeId} is closed`,
    {
      cause: reason,
      retryable: true,
    },
  )
}
