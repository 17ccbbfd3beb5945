/** A cluster of plausible size and names as one delta: what a welcome or a healed cut carries. */
import { makeUid } from '../../src/core/address.js'
import type { Delta } from '../../src/core/model.js'

const STARTED_AT_MS = 1_700_000_000_000

/** `count` members on distinct hosts, one per host, each with a presence; every 50th holds two rows against others. */
export function sampleDelta(count: number): Delta {
  const uids = Array.from({ length: count }, (_, i) =>
    makeUid(STARTED_AT_MS + i * 7919, (i * 2_654_435) & 0x3fffff),
  )
  const at = (i: number): string => uids[i % count] as string
  return {
    members: uids.map((uid, i) => ({
      uid,
      nodeId: `orders-${i}`,
      address: { host: `10.${i >> 8}.${i & 255}.17`, port: 7355 },
      roles: i % 3 === 0 ? ['api'] : ['worker', 'gpu'],
      status: 'up',
      upNumber: i + 1,
      cause: 'none',
      downReason: 'none',
      origin: at(i >> 5),
      seq: i + 3,
    })),
    rows: uids
      .filter((_, i) => i % 50 === 0)
      .map((observer, i) => ({
        observer,
        seq: i + 1,
        rollCall: 4,
        rows: [
          { subject: at(i * 50 + 1), status: 'unreachable' },
          { subject: at(i * 50 + 2), status: 'stalled' },
        ],
      })),
    presences: uids.map((uid, i) => ({
      uid,
      seq: i + 2,
      rollCall: 4,
      cut: i === 0 ? 9 : 0,
      reportNumber: 9,
      reportLeader: at(0),
      exitConfirmed: false,
    })),
    vector: uids.map((uid, i) => [uid, i + 3] as const),
  }
}
