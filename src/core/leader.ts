/** What a leader does once an epoch has converged, on the entries that the cut covers and on no others. */
import { compareAddress } from './address.js'
import type { Env } from './env.js'
import type { Epochs } from './epochs.js'
import type { MemberEntry } from './model.js'

/**
 * Moves newcomers up, leaving members to exiting, and removes what is down and unreachable, or exiting and done.
 * True when it changed something.
 */
export function actAsLeader(env: Env, epochs: Epochs): boolean {
  if (!epochs.isLeader || !epochs.hasConverged) return false
  const before = env.state.membersVersion
  const covered = env
    .living()
    .filter((m) => epochs.covers(m))
    .sort((a, b) => compareAddress(a.address, b.address))
  for (const member of covered) {
    if (member.status === 'down' || member.status === 'exiting') remove(env, member)
    else if (member.status === 'leaving') env.state.changeMember(member.uid, { status: 'exiting' })
  }
  for (const member of covered) {
    if (member.status === 'joining' || member.status === 'weaklyUp') moveUp(env, epochs, member)
  }
  return env.state.membersVersion !== before
}

/** Down and unreachable is removed as downed; exiting and confirmed, or unreachable, has left. */
function remove(env: Env, member: MemberEntry): void {
  const unreachable = env.isUnreachable(member.uid)
  if (member.status === 'down') {
    if (unreachable) env.state.changeMember(member.uid, { status: 'removed', cause: 'downed' })
    return
  }
  const confirmed = env.state.presences.get(member.uid)?.exitConfirmed ?? false
  if (confirmed || unreachable) env.state.changeMember(member.uid, { status: 'removed', cause: 'left' })
}

function moveUp(env: Env, epochs: Epochs, member: MemberEntry): void {
  const living = env.living()
  const namesake = living.some(
    (m) =>
      epochs.covers(m) &&
      m.nodeId === member.nodeId &&
      m.uid !== member.uid &&
      m.status !== 'down' &&
      holdsNodeId(m, member),
  )
  if (namesake) {
    // Two seeds let in two nodes of one nodeId at once: the one that came second is the copy.
    env.state.changeMember(member.uid, { status: 'down', downReason: 'replaced' })
    return
  }
  const highest = living.reduce((max, m) => Math.max(max, m.upNumber), 0)
  env.state.changeMember(member.uid, { status: 'up', upNumber: highest + 1 })
}

/** A member that is up holds its nodeId; among newcomers the lower incarnation does. */
function holdsNodeId(holder: MemberEntry, newcomer: MemberEntry): boolean {
  const entering = holder.status === 'joining' || holder.status === 'weaklyUp'
  return !entering || holder.uid < newcomer.uid
}
