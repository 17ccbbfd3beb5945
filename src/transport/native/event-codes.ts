/** Codes that cross from the addon, in the order of the enums in `native/core/events.h` and of the wire. */
import { BAD_INPUT_REASONS } from '../control/counters.js'
import type { DataLane, LinkDownReason, QuarantineReason, RefusalReason } from '../transport.js'

export const EventCode = {
  linkUp: 1,
  linkDown: 2,
  message: 3,
  gated: 4,
  refused: 5,
  suspicion: 6,
  stalled: 7,
  identityChanged: 8,
  probed: 9,
  quarantinedBy: 10,
  paused: 11,
  badInput: 12,
  started: 13,
  startFailed: 14,
  closed: 15,
  laneOpened: 16,
  laneFailed: 17,
} as const

export const LINK_DOWN_REASONS = [
  'closedByPeer',
  'resetByPeer',
  'superseded',
  'goodbye',
  'badInput',
  'quarantined',
  'disconnected',
  'outboxFull',
  'ioError',
] as const satisfies readonly LinkDownReason[]

export const GATED_REASONS = ['refused', 'timeout', 'unreachable', 'handshake'] as const
export const LANE_FAILED_REASONS = ['noLink', ...GATED_REASONS] as const
export const SUSPICION_CAUSES = ['silence', 'gone'] as const
export const PROBE_OUTCOMES = ['alive', 'gone', 'unknown'] as const
export const SEND_RESULTS = ['sent', 'noLink', 'outboxFull'] as const
export { BAD_INPUT_REASONS }

/** By wire code; 0 is none and never crosses. */
export const REFUSAL_REASONS: readonly (RefusalReason | undefined)[] = [
  undefined,
  'clusterMismatch',
  'versionUnsupported',
  'quarantined',
  'superseded',
  'sameUid',
  'malformed',
  'busy',
  'shuttingDown',
  'unauthenticated',
]

/** By wire code; 0 is the control lane. */
export const DATA_LANES: readonly (DataLane | undefined)[] = [undefined, 'ordinary', 'large']

export const QUARANTINE_REASONS: readonly (QuarantineReason | undefined)[] = [
  undefined,
  'removedAfterDown',
  'reliableDeliveryFailed',
  'deathWatch',
  'operator',
]
