/**
 * Hello, helloAck, ready: who may become a link or a data lane. Both roles check a hello alike; the acceptor answers
 * what it does not take with a refusal, the dialler closes.
 */
import { NO_UID, type Uid } from '../../core/address.js'
import {
  decodeRefusal,
  encodeFrame,
  encodeRefusal,
  type Frame,
  FrameKind,
  QuarantineReason,
  type RefusalBody,
  RefusalReason,
} from '../../wire/frame.js'
import {
  type AckProofs,
  appendProofs,
  decodeAckProofs,
  decodeHello,
  encodeHelloBody,
  type Hello,
  hasHelloMagic,
} from '../../wire/hello.js'
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from '../limits.js'
import type { BadInputReason, RefusalReason as RefusalName } from '../transport.js'
import { type Connection, peerHello } from './connection.js'
import type { Dialler } from './dialler.js'
import type { Lanes } from './lanes.js'
import type { Links } from './links.js'
import { nextDial, type PeerTable } from './peers.js'
import type { PlaneContext } from './plane-context.js'

/** Why a hello is not taken; the same names refuse and count. */
type HelloFault = 'versionUnsupported' | 'clusterMismatch' | 'sameUid' | 'unauthenticated' | 'quarantined'

const NO_BYTES = new Uint8Array(0)

export class Handshake {
  constructor(
    private readonly context: PlaneContext,
    private readonly peers: PeerTable,
    private readonly dialler: Dialler,
    private readonly links: Links,
    private readonly lanes: Lanes,
    private readonly closeForBadInput: (connection: Connection, reason: BadInputReason) => void,
  ) {}

  /** A dial has connected: our hello goes out. */
  onOpened(connection: Connection): void {
    const { context } = this
    if (connection.lane === undefined) this.drawDial(connection)
    connection.phase = 'helloSent'
    const hello = encodeHelloBody(context.ownHello(connection, connection.address!))
    if (context.admission !== undefined) connection.transcript = { hello, ack: NO_BYTES }
    context.write(connection, encodeFrame(FrameKind.hello, hello))
  }

  /** A frame to an acceptor that has answered nothing yet; its magic and CRC are right. */
  onHelloFrame(connection: Connection, frame: Frame): void {
    if (frame.kind !== FrameKind.hello) return this.closeForBadInput(connection, 'unexpectedFrame')
    const hello = decodeHello(frame.body)
    if (hello === undefined) {
      this.context.countBadInput(connection.remote, 'badHello')
      return this.refuse(connection, 'malformed')
    }
    const canProve = this.context.admission === undefined || hello.nonce !== undefined
    const fault = this.faultOf(connection, hello, () => canProve)
    if (fault !== undefined) {
      this.context.countBadInput(connection.remote, fault)
      return this.refuse(connection, fault, hello.uid)
    }
    // Nothing is noted of an incarnation before it is complete: anybody could fill the table, or use up dial numbers, with hellos.
    const isLink = hello.lane === undefined
    if (isLink && !this.links.wouldWin(this.peers.get(hello.uid), hello.dial, hello.uid)) {
      return this.refuse(connection, 'superseded', hello.uid)
    }
    connection.hello = hello
    connection.lane = hello.lane
    connection.dial = hello.dial
    connection.dialUid = hello.uid
    connection.phase = 'awaitReady'
    this.acknowledge(connection, frame.body, hello)
  }

  /**
   * A frame to an acceptor that waits for `ready`. Only now is the handshake complete on this side: a dialler that
   * gave up meanwhile, because we were stopped, say, must not replace a link that lives.
   */
  onReadyFrame(connection: Connection, frame: Frame): void {
    switch (frame.kind) {
      case FrameKind.ready:
        return this.onReady(connection, frame)
      case FrameKind.quarantined: {
        // With secrets it would have to be believed of somebody who has proved nothing.
        const isAmiss = this.context.admission !== undefined || connection.lane !== undefined
        if (isAmiss) return this.closeForBadInput(connection, 'unexpectedFrame')
        const outcome = this.links.onQuarantined(connection, frame)
        return outcome === 'ok' ? undefined : this.closeForBadInput(connection, outcome)
      }
      case FrameKind.goodbye:
        return this.context.closeGracefully(connection, 'closing')
      default:
        return this.closeForBadInput(connection, 'unexpectedFrame')
    }
  }

  /** The acceptor's answer to a dialler. */
  onAnswerFrame(connection: Connection, frame: Frame): void {
    switch (frame.kind) {
      case FrameKind.helloAck:
        return this.onAck(connection, frame)
      case FrameKind.refusal:
        return this.onRefusal(connection, frame)
      default:
        return this.closeForBadInput(connection, 'unexpectedFrame')
    }
  }

  /** Says why, then closes. The dial number lets a superseded dialler overtake the link that it did not know of. */
  refuse(connection: Connection, name: RefusalName, uid?: Uid): void {
    const reason = RefusalReason[name]
    const quarantine = uid === undefined ? undefined : this.peers.quarantineReason(uid)
    this.context.counters.refusedOut += 1
    this.context.write(
      connection,
      encodeRefusal({
        uid: this.context.uid,
        reason,
        versionMin: PROTOCOL_VERSION_MIN,
        versionMax: PROTOCOL_VERSION_MAX,
        detail: name === 'quarantined' && quarantine !== undefined ? QuarantineReason[quarantine] : 0,
        dial: name === 'superseded' && uid !== undefined ? (this.peers.get(uid)?.dialMax ?? 0) : 0,
      }),
    )
    this.context.closeGracefully(connection, 'closing')
  }

  /** Numbers a dial of a control link. */
  private drawDial(connection: Connection): void {
    const dial = nextDial(this.dialler.dialMaxFor(connection))
    connection.dial = dial
    // Noted before the answer: should this one fail half-way, the other side may know its number already.
    if (connection.expected !== undefined) this.peers.get(connection.expected)?.noteDial(dial)
  }

  private acknowledge(connection: Connection, helloBody: Uint8Array, hello: Hello): void {
    const { context } = this
    const { admission } = context
    let ack = encodeHelloBody(context.ownHello(connection, hello.dialed))
    if (admission !== undefined) {
      // A copy: the view would keep the whole receive buffer until `ready` comes.
      connection.transcript = { hello: helloBody.slice(), ack }
      ack = appendProofs(ack, admission.acceptorProofs(connection.transcript))
    }
    context.write(connection, encodeFrame(FrameKind.helloAck, ack))
  }

  private onReady(connection: Connection, frame: Frame): void {
    const { admission } = this.context
    const { transcript } = connection
    connection.transcript = undefined
    if (admission !== undefined && !admission.admits(transcript!, frame.body)) {
      this.context.countBadInput(connection.remote, 'unauthenticated')
      return this.refuse(connection, 'unauthenticated')
    }
    if (connection.lane === undefined) this.links.complete(connection)
    else this.lanes.complete(connection)
  }

  /** Whether an ack proves that its sender knows one of our secrets; then our own proof is made. */
  private answersProof(connection: Connection, ackBody: Uint8Array, answer: AckProofs | undefined): boolean {
    const { admission } = this.context
    if (admission === undefined) return true
    if (answer === undefined) return false
    const { hello } = connection.transcript!
    const transcript = { hello, ack: ackBody.subarray(0, answer.coveredBytes) }
    connection.proof = admission.diallerProof(transcript, answer.proofs)
    return connection.proof !== undefined
  }

  /** In the order of the page: what a peer is told first must not depend on which implementation it meets. */
  private faultOf(connection: Connection, hello: Hello, isAdmitted: () => boolean): HelloFault | undefined {
    const { options } = this.context
    const overlaps = hello.versionMin <= PROTOCOL_VERSION_MAX && hello.versionMax >= PROTOCOL_VERSION_MIN
    if (!overlaps) return 'versionUnsupported'
    if (hello.cluster !== options.identity.cluster) return 'clusterMismatch'
    if (hello.uid === this.context.uid) return 'sameUid'
    const isKnown = isAdmitted() && options.authorize?.(connection.id, hello) !== false
    if (!isKnown) return 'unauthenticated'
    return this.peers.quarantineReason(hello.uid) === undefined ? undefined : 'quarantined'
  }

  private onAck(connection: Connection, frame: Frame): void {
    if (!hasHelloMagic(frame.body)) return this.closeForBadInput(connection, 'badMagic')
    const hello = decodeHello(frame.body)
    const isAnswer = hello?.dial === connection.dial && hello.lane === connection.lane
    const answer = hello?.nonce === undefined ? undefined : decodeAckProofs(frame.body)
    // Without secrets nobody looks at what follows the names.
    const isCutShort =
      this.context.admission !== undefined && hello?.nonce !== undefined && answer === undefined
    if (hello === undefined || !isAnswer || isCutShort) return this.closeForBadInput(connection, 'badHello')
    const fault = this.faultOf(connection, hello, () => this.answersProof(connection, frame.body, answer))
    if (fault === 'quarantined' && connection.target !== undefined) {
      const { target } = connection
      // It hears of its quarantine when it dials us; here it only must not become a link.
      this.context.countBadInput(connection.remote, fault)
      this.context.closeGracefully(connection, 'closing')
      this.dialler.onAnswer(target, hello.uid)
      return this.dialler.onFinalRefusal(connection, hello.uid)
    }
    if (fault !== undefined) return this.closeForBadInput(connection, fault)
    connection.hello = hello
    connection.transcript = undefined
    if (connection.lane !== undefined) return this.lanes.onAck(connection)
    const known = this.peers.ensure(hello.uid)
    known.noteDial(hello.dial)
    if (connection.expected !== undefined && hello.uid !== connection.expected) {
      this.onOtherIncarnation(connection, hello)
      return
    }
    this.onExpectedAck(connection, hello)
  }

  private onOtherIncarnation(connection: Connection, hello: Hello): void {
    const target = connection.target!
    this.context.closeGracefully(connection, 'closing')
    const expected = connection.expected!
    const actual = peerHello(connection)
    this.context.emit({ type: 'identityChanged', address: target.address, expected, actual })
    this.dialler.onAnswer(target, hello.uid)
    this.dialler.onFailure(connection, 'handshake')
  }

  private onExpectedAck(connection: Connection, hello: Hello): void {
    const target = connection.target!
    const peer = this.peers.ensure(hello.uid)
    const probed = target.probes.has(hello.uid)
    this.dialler.onAnswer(target, hello.uid)
    const healthy = peer.link !== undefined && peer.watch?.suspected !== true
    target.lastUid = hello.uid
    // A probe asks; it does not replace a link that works.
    if ((probed && healthy) || !this.links.wouldWin(peer, connection.dial, connection.dialUid)) {
      this.context.closeGracefully(connection, 'closing')
      return this.dialler.onDialDone(connection)
    }
    this.context.write(connection, encodeFrame(FrameKind.ready, connection.proof))
    connection.proof = undefined
    target.dialing = undefined
    this.links.complete(connection)
    this.dialler.schedule(target)
  }

  private onRefusal(connection: Connection, frame: Frame): void {
    const refusal = decodeRefusal(frame.body)
    if (refusal === undefined) return this.closeForBadInput(connection, 'frameTooShort')
    this.context.counters.refusedIn += 1
    this.context.closeGracefully(connection, 'closing')
    if (connection.lane !== undefined) return this.lanes.onFailure(connection, 'handshake')
    const { target } = connection
    // Later versions may have more reasons; what is unknown is retried, as the mildest one is.
    const known = RefusalReason[refusal.reason]
    const reason = known === undefined || known === 'none' ? 'busy' : (known as RefusalName)
    if (reason !== 'superseded') {
      this.context.emit({ type: 'refused', address: target!.address, by: refusal.uid, reason })
    }
    if (refusal.uid !== NO_UID) this.dialler.onAnswer(target!, refusal.uid)
    this.afterRefusal(connection, reason, refusal)
  }

  private afterRefusal(connection: Connection, reason: RefusalName, refusal: RefusalBody): void {
    switch (reason) {
      case 'superseded':
        return this.dialler.onSuperseded(connection, refusal.uid, refusal.dial)
      case 'quarantined': {
        const { address } = connection.target!
        this.links.raiseQuarantinedBy(refusal.uid, address, refusal.detail)
        return this.dialler.onFinalRefusal(connection, refusal.uid)
      }
      case 'sameUid':
        return this.dialler.onFinalRefusal(connection, refusal.uid)
      default:
        return this.dialler.onFailure(connection, 'handshake')
    }
  }
}
