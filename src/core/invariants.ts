/** What must hold after every step. A violation is a bug of ours, never of a peer, and therefore throws. */
import type { ReplicatedState } from './state.js'

export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation'
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new InvariantViolation(what)
}

/** Checks the replicated state of one node. */
export function checkInvariants(state: ReplicatedState): void {
  for (const [uid, entry] of state.members) {
    must(uid === entry.uid, `member ${uid} is filed under another uid`)
    must(
      (entry.status === 'removed') === (entry.cause !== 'none'),
      `member ${uid}: removed without a cause, or the reverse`,
    )
    must((state.vector.get(entry.origin) ?? 0) >= entry.seq, `member ${uid}: its stamp is not in the vector`)
  }
  for (const [uid, entry] of state.rows) {
    must(state.living(uid) !== undefined, `rows of ${uid}, who is not a member`)
    must((state.vector.get(uid) ?? 0) >= entry.seq, `rows of ${uid}: the stamp is not in the vector`)
    must(
      entry.rows.every((row) => row.subject !== uid),
      `${uid} accuses itself`,
    )
  }
  for (const [uid, entry] of state.presences) {
    must(state.living(uid) !== undefined, `presence of ${uid}, who is not a member`)
    must((state.vector.get(uid) ?? 0) >= entry.seq, `presence of ${uid}: the stamp is not in the vector`)
  }
}
