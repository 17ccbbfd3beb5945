/**
 * What a well-formed delta from an honest peer can contain. The wire's verifier has checked shapes and bounds; this
 * checks meaning, so that nothing a peer sends can break an invariant of the state.
 */
import { NO_UID, sameAddress, type Uid } from './address.js'
import { CORE_LIMITS } from './limits.js'
import type { Delta, MemberEntry } from './model.js'
import type { ReplicatedState } from './state.js'

export function isPlausible(state: ReplicatedState, delta: Delta): boolean {
  if (delta.members.length > CORE_LIMITS.membersMax + CORE_LIMITS.tombstonesMax) return false
  const claimed = new Map(delta.vector)
  // Nobody else can have a stamp of ours that we have not made.
  const own = state.vector.get(state.self) ?? 0
  // A stamp is known once the sender's vector, or what we know already, covers it: so knowledge never has holes.
  const covered = (origin: Uid, seq: number): boolean =>
    origin !== NO_UID &&
    seq > 0 &&
    seq <= (origin === state.self ? own : Number.MAX_SAFE_INTEGER) &&
    seq <= Math.max(claimed.get(origin) ?? 0, state.vector.get(origin) ?? 0)
  return (
    delta.vector.every(([, seq]) => seq <= CORE_LIMITS.sequenceMax) &&
    delta.members.every((entry) => covered(entry.origin, entry.seq) && isSound(state, entry)) &&
    delta.rows.every(
      (entry) => covered(entry.observer, entry.seq) && entry.rows.every((r) => r.subject !== entry.observer),
    ) &&
    delta.presences.every((entry) => covered(entry.uid, entry.seq))
  )
}

/** A removal has a cause and nothing else has; an incarnation never changes its node or its address. */
function isSound(state: ReplicatedState, entry: MemberEntry): boolean {
  if ((entry.status === 'removed') !== (entry.cause !== 'none')) return false
  const known = state.members.get(entry.uid)
  return known === undefined || (known.nodeId === entry.nodeId && sameAddress(known.address, entry.address))
}
