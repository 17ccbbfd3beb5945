/** One watched peer: its detector and the verdicts raised about it. Data only; `watcher.ts` decides. */
import type { Uid } from '../../core/address.js'
import type { PhiAkkaDetector } from '../../detectors/phi-akka.js'
import { Deadline } from './deadlines.js'
import type { Peer } from './peers.js'
import type { Target } from './targets.js'

export class Watch {
  /** Undefined until the first link, or until the peer has been silent for long enough without one. */
  detector: PhiAkkaDetector | undefined
  suspectedSilent = false
  suspectedGone = false
  /** `gone` was raised since the link was last complete. */
  goneRaised = false
  /** Suspected by silence with a link: dial beside it, until a link is complete or a beat arrives. */
  redial = false
  /** No beat has come on the current session: the interval that the next one ends measures the dial. */
  awaitsFirstBeat = true
  stalled = false
  /** The detector's start, then the moment at which silence becomes suspicious. */
  readonly deadline: Deadline

  constructor(
    readonly peer: Peer,
    public target: Target,
    makeRun: (watch: Watch) => () => void,
  ) {
    this.deadline = new Deadline(makeRun(this))
  }

  get uid(): Uid {
    return this.peer.uid
  }

  get suspected(): boolean {
    return this.suspectedSilent || this.suspectedGone
  }

  /** Whether a dial to its address would serve it. */
  get wantsDial(): boolean {
    return this.peer.link === undefined || this.redial
  }
}
