/** Names and start values of a transport's counters. Every adapter has at least these; all only ever rise. */
import type { BadInputReason } from '../transport.js'

export const BAD_INPUT_REASONS: readonly BadInputReason[] = [
  'frameTooLarge',
  'frameTooShort',
  'badCrc',
  'badMagic',
  'badHello',
  'unknownKind',
  'unexpectedFrame',
  'truncatedFrame',
  'handshakeTimeout',
  'clusterMismatch',
  'versionUnsupported',
  'quarantined',
  'sameUid',
  'tooManyConnections',
  'unauthenticated',
]

const COUNTER_NAMES = [
  'framesIn',
  'framesOut',
  'bytesIn',
  'bytesOut',
  'beatsIn',
  'beatsOut',
  'beatsSkipped',
  'echoesIn',
  'dials',
  'dialsFailed',
  'dialsAbandoned',
  'accepts',
  'handshakesCompleted',
  'linksUp',
  'linksDown',
  'superseded',
  'refusedOut',
  'refusedIn',
  'messagesIn',
  'messagesOut',
  /** Messages on a connection that was no link here, or no longer. */
  'messagesDropped',
  'sendNoLink',
  'sendOutboxFull',
  /** Data lanes handed over, dialled by either side. */
  'lanesOpened',
  'laneDialsFailed',
  'inboxFull',
  'selfPauses',
  'selfPausedMs',
  'quarantinedFramesDropped',
  /** Quarantined incarnations forgotten because too many were remembered. */
  'quarantinedForgotten',
  /** Commands for more addresses than may be wanted at once. */
  'wantedRefused',
  'wakeups',
] as const

export type CounterName = (typeof COUNTER_NAMES)[number]
export type Counters = Record<CounterName | `badInput.${BadInputReason}`, number>

export function createCounters(): Counters {
  const names = [...COUNTER_NAMES, ...BAD_INPUT_REASONS.map((reason) => `badInput.${reason}` as const)]
  return Object.fromEntries(names.map((name) => [name, 0])) as Counters
}
