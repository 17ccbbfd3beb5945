/** Bounds of the membership codec that follow from its encoding; those of membership itself are CORE_LIMITS. */
import { CORE_LIMITS } from '../core/limits.js'

export const WIRE_LIMITS = {
  /** Sequences, roll calls, epochs and upNumbers are u32: 4.3e9 changes in the life of one incarnation. */
  counterMax: 0xffff_ffff,
  /** Distinct uids, strings and role lists of one message: references are u16, and 0 means none. */
  referencesMax: 0xffff,
  /** Entries of one kind in a delta: every member and every tombstone. */
  entriesMax: CORE_LIMITS.membersMax + CORE_LIMITS.tombstonesMax,
  /** Rows of all observers together: nobody watches more than 100 members, whatever the cluster's size. */
  rowsMax: 100 * CORE_LIMITS.membersMax,
  /** The longest string: a host or a nodeId. */
  stringBytesMax: Math.max(CORE_LIMITS.hostBytesMax, CORE_LIMITS.nodeIdBytesMax, CORE_LIMITS.roleBytesMax),
  /** Tables inside tables, for the verifier. */
  depthMax: 8,
} as const
