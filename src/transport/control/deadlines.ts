/**
 * The engine's deadlines in one indexed heap: each owner holds its `Deadline` and moves it in O(log n) without
 * allocating. At one time, the one that was set first comes first, so that a run is repeatable.
 */

export class Deadline {
  atMs = Number.POSITIVE_INFINITY
  /** Place in the heap; -1 when not set. For the heap only. */
  index = -1
  order = 0

  constructor(readonly run: () => void) {}
}

function isBefore(a: Deadline, b: Deadline): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

export class DeadlineHeap {
  private readonly heap: Deadline[] = []
  private order = 0

  get size(): number {
    return this.heap.length
  }

  /** Time of the first deadline; Infinity when none is set. */
  get firstMs(): number {
    return this.heap[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  set(deadline: Deadline, atMs: number): void {
    deadline.atMs = atMs
    deadline.order = this.order
    this.order += 1
    if (deadline.index < 0) {
      deadline.index = this.heap.length
      this.heap.push(deadline)
    }
    this.siftDown(deadline, this.siftUp(deadline, deadline.index))
  }

  clear(deadline: Deadline): void {
    const index = deadline.index
    if (index < 0) return
    const last = this.heap.pop()!
    if (last !== deadline) this.siftDown(last, this.siftUp(last, index))
    deadline.index = -1
    deadline.atMs = Number.POSITIVE_INFINITY
  }

  /** Removes and returns the first deadline if it is due. */
  popDue(nowMs: number): Deadline | undefined {
    const first = this.heap[0]
    if (first === undefined || first.atMs > nowMs) return undefined
    this.clear(first)
    return first
  }

  private siftUp(deadline: Deadline, from: number): number {
    const heap = this.heap
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(deadline, heap[parent]!)) break
      this.place(heap[parent]!, at)
      at = parent
    }
    this.place(deadline, at)
    return at
  }

  private siftDown(deadline: Deadline, from: number): void {
    const heap = this.heap
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, deadline)) break
      this.place(heap[child]!, at)
      at = child
    }
    this.place(deadline, at)
  }

  private place(deadline: Deadline, at: number): void {
    this.heap[at] = deadline
    deadline.index = at
  }
}
