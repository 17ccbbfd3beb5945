/**
 * The observed half: beats on the links whose peers asked for them, at their interval, and echoes to beats that
 * want one. At most one beat and one echo is ever unsent on a link.
 */
import { decodeHeartbeat, encodeEcho, encodeHeartbeat, type Frame, FrameFlag } from '../../wire/frame.js'
import { CONTROL_LINK_LIMITS } from '../limits.js'
import type { Connection } from './connection.js'
import { Deadline } from './deadlines.js'
import type { PlaneContext } from './plane-context.js'

const US_PER_MS = 1000

export class Beats {
  constructor(private readonly context: PlaneContext) {}

  /** The peer wants beats at this interval; 0 ends them. */
  onWatch(connection: Connection, intervalMs: number): void {
    const { deadlines, nowMs } = this.context
    connection.beatDeadline ??= new Deadline(() => this.onDeadline(connection))
    if (intervalMs === 0) {
      connection.beatIntervalMs = 0
      deadlines.clear(connection.beatDeadline)
      return
    }
    connection.beatIntervalMs = Math.max(intervalMs, CONTROL_LINK_LIMITS.beatIntervalMinMs)
    // At once, but a peer that asks again and again does not get beats faster than the floor.
    const earliestMs = connection.lastBeatMs + CONTROL_LINK_LIMITS.beatIntervalMinMs
    connection.beatDueMs = Math.max(nowMs, earliestMs)
    deadlines.set(connection.beatDeadline, connection.beatDueMs)
  }

  /** Answers a beat that wants it, unless an earlier answer has not left yet. */
  onBeat(connection: Connection, frame: Frame): void {
    if ((frame.flags & FrameFlag.echoWanted) === 0 || connection.hasUnsentEcho) return
    this.context.write(connection, encodeEcho(frame, this.context.loopAgeMs))
    connection.noteEchoQueued()
  }

  /** Round-trip time of an echo in milliseconds; undefined when it answers no beat of this connection. */
  roundTripMs(connection: Connection, frame: Frame): number | undefined {
    const body = decodeHeartbeat(frame.body)
    if (body === undefined || frame.sequence === 0 || frame.sequence > connection.beatSequence)
      return undefined
    // The time is our own, but the peer carried it: it may have made it up.
    const elapsedUs = this.context.nowMs * US_PER_MS - body.sentUs
    return elapsedUs < -US_PER_MS ? undefined : Math.max(0, elapsedUs) / US_PER_MS
  }

  private onDeadline(connection: Connection): void {
    const { nowMs, deadlines, counters } = this.context
    if (connection.hasUnsentBeat) counters.beatsSkipped += 1
    else this.beat(connection)
    // The next beat is due one interval after this one was, so that the interval does not grow by our lateness.
    const dueMs = connection.beatDueMs + connection.beatIntervalMs
    connection.beatDueMs = dueMs > nowMs ? dueMs : nowMs + connection.beatIntervalMs
    deadlines.set(connection.beatDeadline!, connection.beatDueMs)
  }

  private beat(connection: Connection): void {
    const { nowMs, options, loopAgeMs, counters } = this.context
    connection.lastBeatMs = nowMs
    connection.beatSequence += 1
    const sequence = connection.beatSequence
    const sentUs = Math.round(nowMs * US_PER_MS)
    const intervalMs = connection.beatIntervalMs
    const echoWanted = sequence % options.heartbeat.echoEvery === 0
    this.context.write(connection, encodeHeartbeat({ sentUs, loopAgeMs, intervalMs }, sequence, echoWanted))
    connection.noteBeatQueued()
    counters.beatsOut += 1
  }
}
