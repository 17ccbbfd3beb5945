/** Safety rules over everything that every node of a simulation says. The first violation throws. */
import type { Uid } from '../core/address.js'
import type { ClusterEvent, Member } from '../core/model.js'
import { statusRank } from '../core/state.js'

export interface CheckedNode {
  readonly nodeId: string
  readonly uid: Uid
}

export class SafetyViolation extends Error {
  override readonly name = 'SafetyViolation'
}

export class SafetyChecker {
  /** Highest status each node has reported of each incarnation. */
  private readonly ranks = new Map<string, number>()
  /** Incarnations that a node has seen removed. */
  private readonly removed = new Set<string>()

  check(node: CheckedNode, event: ClusterEvent): void {
    switch (event.type) {
      case 'memberJoined':
      case 'memberWeaklyUp':
      case 'memberUp':
      case 'memberLeft':
      case 'memberExited':
      case 'memberDowned':
        return this.moved(node, event.member)
      case 'memberRemoved':
        this.moved(node, event.member)
        this.removed.add(`${node.uid} ${event.member.uid}`)
        return
      case 'reachable':
      case 'unreachable':
      case 'stalled':
      case 'recovered':
        for (const member of event.members) this.spokenOf(node, member, event.type)
        return
      case 'quarantined':
        if (event.node.uid === node.uid) throw new SafetyViolation(`${node.nodeId} quarantines itself`)
        return
    }
  }

  /** A status only moves up, and nothing removed ever returns. */
  private moved(node: CheckedNode, member: Member): void {
    this.spokenOf(node, member, member.status)
    const key = `${node.uid} ${member.uid}`
    const rank = statusRank(member.status)
    const before = this.ranks.get(key) ?? -1
    if (rank < before)
      throw new SafetyViolation(`${node.nodeId} saw ${member.nodeId} fall back to ${member.status}`)
    this.ranks.set(key, rank)
  }

  private spokenOf(node: CheckedNode, member: Member, what: string): void {
    if (!this.removed.has(`${node.uid} ${member.uid}`)) return
    throw new SafetyViolation(`${node.nodeId} heard of the removed ${member.nodeId} (${member.uid}): ${what}`)
  }
}
