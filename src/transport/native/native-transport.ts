/**
 * The transport contract on the addon's control thread: links, beats and verdicts go on whatever this loop does. Here
 * are only the start, the hand-over of events out of the ring, and the end.
 */
import { randomBytes } from 'node:crypto'
import { type Address, formatAddress, isUid, type Uid } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import { FRAME_HEADER_BYTES } from '../../wire/frame.js'
import { NATIVE_LIMITS, TRANSPORT_LIMITS } from '../limits.js'
import { checkSecrets, refuseTls } from '../option-checks.js'
import type {
  DataLane,
  PeerStatus,
  QuarantineReason,
  SendResult,
  Transport,
  TransportCounters,
  TransportEvent,
  TransportOptions,
} from '../transport.js'
import type { NativeHandle, NativeOptions } from './addon.js'
import { DATA_LANES, QUARANTINE_REASONS, SEND_RESULTS } from './event-codes.js'
import { EventDecoder, type LaneHandOver, type LifecycleEvent, type NativeEvent } from './event-decoder.js'
import { LaneSockets } from './lane-sockets.js'
import { loadAddon } from './load.js'

const MESSAGE_BYTES_MAX = TRANSPORT_LIMITS.controlFrameBytesMax - FRAME_HEADER_BYTES

type Sink = (batch: readonly TransportEvent[]) => void

/** Throws `ERR_SKEIN_ADDON_LOAD` without a binary and `ERR_SKEIN_INVALID_OPTION` for what no hello can carry, and for TLS. */
export function createNativeTransport(options: TransportOptions): Transport {
  return new NativeTransport(options)
}

class NativeTransport implements Transport {
  readonly kind = 'native'
  readonly reportsStalls = true
  private readonly native: NativeHandle
  private readonly lanes: LaneSockets
  private decoder: EventDecoder | undefined
  /** Ring position up to which events were decoded. */
  private position = 0
  private delivering = false
  private sink: Sink | undefined
  /** Commands from before the start, in order. */
  private early: (() => void)[] | undefined = []
  private starting: Promise<Address> | undefined
  private closing: Promise<void> | undefined
  private onStarted: ((event: LifecycleEvent) => void) | undefined
  private onClosed: (() => void) | undefined
  /** Incarnations whose messages may still lie in the ring; the oldest is forgotten first. */
  private readonly quarantined = new Set<Uid>()
  private quarantinedDropped = 0

  constructor(private readonly options: TransportOptions) {
    const addon = loadAddon()
    this.native = new addon.NativeTransport(toNative(options))
    this.lanes = LaneSockets.of(addon)
  }

  start(sink: Sink): Promise<Address> {
    if (this.closing !== undefined) {
      return Promise.reject(new SkeinError('ERR_SKEIN_CLOSED', 'this transport is closed; make a new one'))
    }
    this.starting ??= this.listen(sink)
    return this.starting
  }

  connect(address: Address, uid?: Uid): void {
    this.command(() => this.native.connect(address.host, address.port, uid ?? ''))
  }

  disconnect(address: Address): void {
    this.command(() => this.native.disconnect(address.host, address.port))
  }

  send(uid: Uid, bytes: Uint8Array): SendResult {
    if (bytes.length > MESSAGE_BYTES_MAX) {
      throw new SkeinError(
        'ERR_SKEIN_FRAME_TOO_LARGE',
        `message to ${uid} is ${bytes.length} bytes long, at most ${MESSAGE_BYTES_MAX} fit a control frame; nothing was sent`,
      )
    }
    return SEND_RESULTS[this.native.send(uid, bytes)]!
  }

  watch(uid: Uid, address: Address): void {
    this.command(() => this.native.watch(uid, address.host, address.port))
  }

  unwatch(uid: Uid): void {
    this.command(() => this.native.unwatch(uid))
  }

  probe(uid: Uid, address: Address): void {
    this.command(() => this.native.probe(uid, address.host, address.port))
  }

  openLane(uid: Uid, lane: DataLane, dial: number): void {
    const code = DATA_LANES.indexOf(lane)
    if (code < 1) throw invalid('lane', lane, `'ordinary' or 'large'; none was opened`)
    this.command(() => this.native.openLane(uid, code, dial))
  }

  quarantine(uid: Uid, reason: QuarantineReason): void {
    this.quarantined.add(uid)
    if (this.quarantined.size > TRANSPORT_LIMITS.quarantinedMax) {
      this.quarantined.delete(this.quarantined.values().next().value!)
    }
    this.command(() => this.native.quarantine(uid, QUARANTINE_REASONS.indexOf(reason)))
  }

  drain(): void {
    // Called from inside the sink: the loop below goes on by itself.
    if (this.delivering) return
    this.delivering = true
    try {
      this.deliverRounds()
    } finally {
      this.delivering = false
      // More than one turn may take, or the sink threw: the rest comes with another turn.
      if (this.native.available() > this.position) this.native.rewake()
    }
  }

  peers(): readonly PeerStatus[] {
    return this.closing === undefined ? this.native.peers() : []
  }

  counters(): TransportCounters {
    const counters = this.native.counters()
    counters['quarantinedFramesDropped']! += this.quarantinedDropped
    return counters
  }

  close(): Promise<void> {
    this.closing ??= this.shutdown()
    return this.closing
  }

  private command(run: () => void): void {
    if (this.closing !== undefined) return
    if (this.early === undefined) run()
    else this.early.push(run)
  }

  private listen(sink: Sink): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.onStarted = (event) => {
        this.onStarted = undefined
        if (event.type === 'started') return resolve(event.address)
        this.native.dispose()
        const why = event.type === 'startFailed' ? event.message : 'closed meanwhile'
        const where = formatAddress(this.options.listen)
        const message = `cannot listen on ${where}: ${why}. Nothing was started; choose a free address of this machine`
        reject(new SkeinError('ERR_SKEIN_BIND', message, { retryable: true }))
      }
      this.sink = sink
      const ring = new ArrayBuffer(NATIVE_LIMITS.ringBytes)
      this.decoder = new EventDecoder(ring)
      if (!this.native.start(ring, () => this.drain()))
        return this.onStarted({ type: 'startFailed', message: 'no control thread' })
      const early = this.early ?? []
      this.early = undefined
      for (const run of early) run()
    })
  }

  private async shutdown(): Promise<void> {
    this.sink = undefined
    this.early = undefined
    const started = await this.starting?.then(
      () => true,
      () => false,
    )
    if (started !== true) return
    await new Promise<void>((resolve) => {
      this.onClosed = resolve
      this.native.close()
    })
    this.native.dispose()
  }

  /** Everything that is in the ring and behind it, as one batch a round. */
  private deliverRounds(): void {
    let end = this.native.available()
    for (let round = 0; round < NATIVE_LIMITS.drainRoundsMax && end > this.position; round += 1) {
      const batch: TransportEvent[] = []
      const unreadable = this.decoder!.decode(this.position, end, (event) => this.collect(event, batch))
      this.position = end
      end = this.native.consume(end)
      if (batch.length > 0) this.sink?.(batch)
      // Told once: what came after it has been delivered, and goes on to be.
      if (unreadable !== undefined) throw unreadable
    }
  }

  private collect(event: NativeEvent, batch: TransportEvent[]): void {
    switch (event.type) {
      case 'started':
      case 'startFailed':
        return this.onStarted?.(event)
      case 'closed':
        return this.onClosed?.()
      case 'message':
        if (!this.quarantined.has(event.uid)) batch.push(event)
        else this.quarantinedDropped += 1
        return
      case 'laneHandOver':
        return this.takeLane(event, batch)
      default:
        batch.push(event)
    }
  }

  private takeLane(event: LaneHandOver, batch: TransportEvent[]): void {
    // Nobody would own it: the addon closes what was not taken over.
    if (this.sink === undefined) return
    const { peer, lane, dial, dialler, handOver } = event
    const socket = this.lanes.adopt(this.native, handOver)
    const wanted = !this.quarantined.has(peer.uid)
    if (socket !== undefined && wanted) {
      batch.push({ type: 'laneOpened', peer, lane, dial, dialler, socket })
      return
    }
    socket?.destroy()
    // The acceptor has asked for nothing: whoever dialled finds out by himself.
    if (dialler === this.options.identity.uid)
      batch.push({ type: 'laneFailed', uid: peer.uid, lane, dial, reason: 'handshake' })
  }
}

function toNative(options: TransportOptions): NativeOptions {
  const { identity, listen, advertise, heartbeat, dial } = options
  if (!isUid(identity.uid)) throw invalid('identity.uid', identity.uid, '16 lower-case hex digits')
  refuseTls(options.tls, 'native')
  checkSecrets(options.secrets)
  checkBytes('identity.cluster', identity.cluster, TRANSPORT_LIMITS.clusterNameBytesMax)
  checkBytes('identity.nodeId', identity.nodeId, TRANSPORT_LIMITS.nodeIdBytesMax)
  checkBytes('listen.host', listen.host, TRANSPORT_LIMITS.hostBytesMax)
  if (advertise !== undefined) checkBytes('advertise.host', advertise.host, TRANSPORT_LIMITS.hostBytesMax)
  return {
    ...identity,
    ...listen,
    ...(advertise === undefined ? {} : { advertisedHost: advertise.host, advertisedPort: advertise.port }),
    heartbeat,
    dial,
    randomSeed: randomBytes(8).toString('hex'),
    secrets: options.secrets ?? [],
  }
}

function checkBytes(path: string, text: string, bytesMax: number): void {
  if (Buffer.byteLength(text) > bytesMax) throw invalid(path, text, `at most ${bytesMax} bytes of UTF-8`)
}

function invalid(path: string, value: string, expected: string): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `${path} is ${JSON.stringify(value)}, expected ${expected}`,
  )
}
