/**
 * The observing half: asks subjects for beats, feeds their detectors, and raises suspicion, trust and stalls as
 * edges. Detectors read a clock from which our own pauses are subtracted.
 */
import type { Uid } from '../../core/address.js'
import { PhiAkkaDetector } from '../../detectors/phi-akka.js'
import { encodeWatch } from '../../wire/frame.js'
import type { Peer } from './peers.js'
import type { PlaneContext } from './plane-context.js'
import type { Target } from './targets.js'
import { Watch } from './watch.js'

export class Watcher {
  private readonly watches = new Map<Uid, Watch>()

  /** `reschedule` is asked to look at a target again because what its watches want has changed. */
  constructor(
    private readonly context: PlaneContext,
    private readonly reschedule: (target: Target) => void,
  ) {}

  get(uid: Uid): Watch | undefined {
    return this.watches.get(uid)
  }

  all(): IterableIterator<Watch> {
    return this.watches.values()
  }

  /** A new watch. The caller has made sure that there is none for this peer. */
  start(peer: Peer, target: Target): Watch {
    const watch = new Watch(peer, target, (self) => () => this.onDeadline(self))
    this.watches.set(peer.uid, watch)
    if (peer.link === undefined) {
      const { acceptablePauseMs } = this.context.options.heartbeat
      this.context.deadlines.set(watch.deadline, this.context.nowMs + acceptablePauseMs)
    } else {
      this.askForBeats(watch)
    }
    return watch
  }

  stop(watch: Watch): void {
    this.watches.delete(watch.uid)
    this.context.deadlines.clear(watch.deadline)
    if (watch.peer.link !== undefined) this.context.write(watch.peer.link, encodeWatch(0))
  }

  /** A socket has become the pair's link. */
  onLinkUp(peer: Peer): void {
    const watch = this.watches.get(peer.uid)
    if (watch === undefined) return
    watch.goneRaised = false
    watch.redial = false
    this.askForBeats(watch)
  }

  onBeat(peer: Peer, loopAgeMs: number): void {
    const watch = this.watches.get(peer.uid)
    if (watch?.detector === undefined) return
    const { detectorMs } = this.context
    const wasSuspected = watch.suspected
    if (wasSuspected) this.raiseTrust(watch, watch.detector)
    watch.detector.heartbeat(detectorMs, !wasSuspected && !watch.awaitsFirstBeat)
    watch.awaitsFirstBeat = false
    // The old socket carries beats again: the dial beside it is no longer needed.
    if (watch.redial) {
      watch.redial = false
      this.reschedule(watch.target)
    }
    this.rearm(watch)
    this.onLoopAge(peer, loopAgeMs)
  }

  /** The peer's loop age, from a beat or an echo. */
  onLoopAge(peer: Peer, loopAgeMs: number): void {
    const watch = this.watches.get(peer.uid)
    if (watch === undefined) return
    const stalled = loopAgeMs >= this.context.options.heartbeat.stalledAfterMs
    if (stalled === watch.stalled) return
    watch.stalled = stalled
    this.context.emit({ type: 'stalled', uid: watch.uid, stalled, loopAgeMs })
  }

  /** The process is no longer there; raised once per loss of the link. */
  onGone(watch: Watch): void {
    if (watch.goneRaised) return
    watch.goneRaised = true
    watch.suspectedGone = true
    this.raiseSuspicion(watch, 'gone')
  }

  /** After a pause of our own: every detector's clock has been set back. */
  onPause(): void {
    for (const watch of this.watches.values()) {
      if (watch.detector !== undefined) this.rearm(watch)
    }
  }

  private askForBeats(watch: Watch): void {
    watch.awaitsFirstBeat = true
    this.context.write(watch.peer.link!, encodeWatch(this.context.options.heartbeat.intervalMs))
    if (watch.detector === undefined) this.startDetector(watch)
  }

  /** As if a beat had just arrived. */
  private startDetector(watch: Watch): void {
    const { heartbeat } = this.context.options
    watch.detector = new PhiAkkaDetector({ ...heartbeat, expectedIntervalMs: heartbeat.intervalMs })
    watch.detector.heartbeat(this.context.detectorMs)
    this.rearm(watch)
  }

  private rearm(watch: Watch): void {
    const { deadlines, pausedMs } = this.context
    // One deadline at the moment when phi will cross the threshold, instead of asking for phi all the time.
    if (watch.suspectedSilent) deadlines.clear(watch.deadline)
    else deadlines.set(watch.deadline, watch.detector!.suspectAtMs() + pausedMs)
  }

  private onDeadline(watch: Watch): void {
    if (watch.detector === undefined) {
      this.startDetector(watch)
      return
    }
    watch.suspectedSilent = true
    this.raiseSuspicion(watch, 'silence')
    if (watch.peer.link !== undefined) watch.redial = true
    this.reschedule(watch.target)
  }

  /** Reports phi and the silence as they were when the beat ended them. */
  private raiseTrust(watch: Watch, detector: PhiAkkaDetector): void {
    const { detectorMs } = this.context
    watch.suspectedSilent = false
    watch.suspectedGone = false
    const phi = detector.phi(detectorMs)
    const silentMs = detector.silentMs(detectorMs)
    this.context.emit({
      type: 'suspicion',
      uid: watch.uid,
      suspected: false,
      cause: 'silence',
      phi,
      silentMs,
    })
  }

  private raiseSuspicion(watch: Watch, cause: 'silence' | 'gone'): void {
    const { detectorMs } = this.context
    const measured = watch.detector?.phi(detectorMs) ?? 0
    // The deadline is the threshold's own inverse: rounding must not make the report fall short of it.
    const phi =
      cause === 'silence' ? Math.max(measured, this.context.options.heartbeat.phiThreshold) : measured
    const silentMs = watch.detector?.silentMs(detectorMs) ?? 0
    this.context.emit({ type: 'suspicion', uid: watch.uid, suspected: true, cause, phi, silentMs })
  }
}
