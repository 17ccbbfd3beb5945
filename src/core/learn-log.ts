/**
 * The order in which a node learned what it knows. A link's cursor is a position in this log, and a push is
 * everything after it: so knowing a change implies knowing all that its author knew.
 * Learning something about an item again moves it to the end; the old place is dead and is compacted away.
 */
import type { Uid } from './address.js'

export const ITEM_KINDS = ['member', 'rows', 'presence', 'vector'] as const
export type ItemKind = (typeof ITEM_KINDS)[number]

export interface LogItem {
  readonly kind: ItemKind
  readonly uid: Uid
  readonly position: number
  /** The neighbour it was learned from, who need not be told; undefined for a change of our own. */
  readonly from: Uid | undefined
}

const COMPACT_SLACK = 64

export class LearnLog {
  private items: LogItem[] = []
  private next = 1
  private readonly latest: Record<ItemKind, Map<Uid, LogItem>> = {
    member: new Map(),
    rows: new Map(),
    presence: new Map(),
    vector: new Map(),
  }

  /** The cursor of a link that has been told everything. */
  get end(): number {
    return this.next
  }

  append(kind: ItemKind, uid: Uid, from: Uid | undefined): void {
    const item = { kind, uid, position: this.next++, from }
    this.items.push(item)
    this.latest[kind].set(uid, item)
    if (this.items.length > 2 * this.liveCount() + COMPACT_SLACK) this.compact()
  }

  forget(kind: ItemKind, uid: Uid): void {
    this.latest[kind].delete(uid)
  }

  /** Live items at or after `cursor`, oldest first, without those that came from `except`. */
  since(cursor: number, except: Uid): LogItem[] {
    const found: LogItem[] = []
    for (let i = this.lowerBound(cursor); i < this.items.length; i++) {
      const item = this.items[i] as LogItem
      if (item.from !== except && this.isLive(item)) found.push(item)
    }
    return found
  }

  private isLive(item: LogItem): boolean {
    return this.latest[item.kind].get(item.uid) === item
  }

  private liveCount(): number {
    return (
      this.latest.member.size + this.latest.rows.size + this.latest.presence.size + this.latest.vector.size
    )
  }

  private compact(): void {
    this.items = this.items.filter((item) => this.isLive(item))
  }

  private lowerBound(position: number): number {
    let low = 0
    let high = this.items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.items[middle] as LogItem).position < position) low = middle + 1
      else high = middle
    }
    return low
  }
}
