/**
 * The member table: one row for each incarnation, membership and reachability in separate columns, because they are
 * separate facts. Reachability is what all agents that can be asked say; membership is the first one's view.
 */
import { formatAddress } from '../../core/address.js'
import type { ClusterState, Member, MemberStatus, RemovalCause } from '../../core/model.js'

export interface MemberRow {
  readonly nodeId: string
  readonly address: string
  readonly uid: string
  readonly membership: MemberStatus
  /** `reachable`, or the worst verdict with how many of the others hold it; `-` for who is no member any more. */
  readonly reachability: string
  /** What else there is to know: `leader`, `quarantined`, `left`. */
  readonly note: string
}

/** A member that is gone, as its removal event told. */
export interface Departed {
  readonly member: Member
  readonly cause: RemovalCause
}

/** Rows by nodeId, then by incarnation. The first state is the viewpoint; none gives no rows. */
export function memberRows(states: readonly ClusterState[], departed: readonly Departed[]): MemberRow[] {
  const [view] = states
  if (view === undefined) return []
  const rows = view.members.map((member) => ({
    nodeId: member.nodeId,
    address: formatAddress(member.address),
    uid: member.uid,
    membership: member.status,
    reachability: verdict(states, member.uid),
    note: view.leader?.uid === member.uid ? 'leader' : '',
  }))
  const gone = departed
    .filter(({ member }) => !view.members.some((m) => m.uid === member.uid))
    .map(({ member, cause }) => ({
      nodeId: member.nodeId,
      address: formatAddress(member.address),
      uid: member.uid,
      membership: 'removed' as const,
      reachability: '-',
      note: view.quarantined.some((q) => q.uid === member.uid) ? 'quarantined' : cause,
    }))
  return [...rows, ...gone].sort((a, b) => compareText(a.nodeId, b.nodeId) || compareText(a.uid, b.uid))
}

/** A node is not asked about itself: everybody reaches themselves. */
function verdict(states: readonly ClusterState[], uid: string): string {
  const others = states.filter((state) => state.self.uid !== uid)
  const said = others.map((state) => state.members.find((m) => m.uid === uid)?.reachability)
  for (const status of ['unreachable', 'stalled'] as const) {
    const count = said.filter((s) => s === status).length
    if (count > 0) return `${status} (${count} of ${others.length})`
  }
  return 'reachable'
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const HEADINGS = ['node', 'address', 'incarnation', 'membership', 'reachability', 'note'] as const

export type Paint = (text: string, row: MemberRow, column: (typeof HEADINGS)[number]) => string

/** Lines of the table. `paint` may colour a cell that has already been padded. */
/** A heading and a line for each row, padded and without trailing blanks. */
export function tableLines(rows: readonly MemberRow[], paint: Paint = (text) => text): string[] {
  const cells = rows.map((row) => [
    row.nodeId,
    row.address,
    row.uid,
    row.membership,
    row.reachability,
    row.note,
  ])
  const widths = HEADINGS.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i]!.length)))
  const pad = (text: string, i: number) => text.padEnd(widths[i]!)
  const head = HEADINGS.map((heading, i) => pad(heading, i))
    .join('  ')
    .trimEnd()
  const body = rows.map((row, r) =>
    HEADINGS.map((heading, i) => paint(pad(cells[r]![i]!, i), row, heading))
      .join('  ')
      .trimEnd(),
  )
  return [head, ...body]
}
