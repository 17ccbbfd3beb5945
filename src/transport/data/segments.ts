/** Memory of outboxes: pieces of a few sizes, used again once the peer has acknowledged what lay in them. */
import { DATA_LIMITS } from '../limits.js'

const { segmentBytes, segmentPoolBytesMax } = DATA_LIMITS

/** Whole frames one after the other, as they lie in the stream from position `base` on. */
export class Segment {
  /** Stream position of the first byte. */
  base = 0
  /** Bytes used. */
  end = 0
  readonly view: DataView

  constructor(
    readonly bytes: Uint8Array,
    readonly size: number,
  ) {
    this.view = new DataView(bytes.buffer)
  }
}

export class SegmentPool {
  private readonly free: Segment[][] = segmentBytes.map(() => [])
  private freeBytes = 0

  /** The smallest piece not below `size` (an index into `segmentBytes`) that holds `bytes`. */
  take(size: number, bytes: number): Segment {
    let at = size
    while (at < segmentBytes.length - 1 && segmentBytes[at]! < bytes) at += 1
    const kept = this.free[at]!.pop()
    if (kept === undefined) return new Segment(new Uint8Array(segmentBytes[at]!), at)
    this.freeBytes -= kept.bytes.length
    return kept
  }

  give(segment: Segment): void {
    if (this.freeBytes + segment.bytes.length > segmentPoolBytesMax) return
    this.freeBytes += segment.bytes.length
    segment.end = 0
    this.free[segment.size]!.push(segment)
  }
}
