/** Messaging without membership: a transport of its own, peers by address. */
import { EventEmitter } from 'node:events'
import { type Address, formatAddress, parseAddress, type Uid } from '../core/address.js'
import { integer, logger, text } from '../options/checks.js'
import { InvalidOptionError } from '../options/invalid-option.js'
import {
  admissionOf,
  readAdmission,
  readDial,
  readHeartbeat,
  readPlace,
  readTransport,
  silent,
} from '../options/network.js'
import { Reader } from '../options/reader.js'
import type { AddressOption, Logger, TransportFactory } from '../options/types.js'
import { chooseTransport } from '../transport/choice.js'
import { systemClock } from '../transport/clock.js'
import { nextUid } from '../transport/incarnation.js'
import { TRANSPORT_LIMITS } from '../transport/limits.js'
import { nativeAvailable } from '../transport/native/load.js'
import type {
  DialOptions,
  HeartbeatOptions,
  PeerStatus,
  TlsOptions,
  Transport,
  TransportEvent,
  TransportKind,
} from '../transport/transport.js'
import { readMessaging } from './check-options.js'
import { MESSAGING_LIMITS } from './limits.js'
import { LiveOffice } from './live-office.js'
import type { Messaging, Sender } from './messaging.js'
import { Messenger } from './messenger.js'
import type { MessagingEvent, Office } from './office.js'
import type { MessagingOptions } from './options.js'
import type { PeerLink } from './peer-link.js'

export interface MessageTransportOptions {
  readonly listen: AddressOption
  /** The address others dial and name. Default: the address bound. */
  readonly advertise?: AddressOption | undefined
  /** Transports of another name are refused, 1 to 255 bytes. Default `transport`. */
  readonly name?: string | undefined
  /** Default: the advertised `host:port`; with port 0 a name for this incarnation only. */
  readonly nodeId?: string | undefined
  /** Default `auto`: `native` if its binary loads, else `net`. */
  readonly transport?: 'auto' | 'native' | 'net' | TransportFactory | undefined
  readonly heartbeat?: Partial<HeartbeatOptions> | undefined
  readonly dial?: Partial<DialOptions> | undefined
  /** Shared secrets, see `JoinOptions.secret`. */
  readonly secret?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  readonly tls?: TlsOptions | undefined
  readonly messaging?: MessagingOptions | undefined
  readonly logger?: Logger | undefined
}

/** What a standalone transport tells: of messages, and of its links. */
export type MessageTransportEvent =
  | MessagingEvent
  | Exclude<TransportEvent, { type: 'message' | 'laneOpened' | 'laneFailed' }>

export type MessageTransportEventOf<T extends MessageTransportEvent['type']> = Extract<
  MessageTransportEvent,
  { type: T }
>

/** A peer by the address that it advertises, or the `from` of one of its messages. */
export type PeerAddress = AddressOption | Sender

export interface MessageTransport extends Messaging<PeerAddress>, AsyncDisposable {
  readonly kind: TransportKind
  readonly uid: Uid
  readonly nodeId: string
  /** As others dial it. */
  readonly address: Address
  on<T extends MessageTransportEvent['type']>(
    type: T,
    listener: (event: MessageTransportEventOf<T>) => void,
  ): this
  off<T extends MessageTransportEvent['type']>(
    type: T,
    listener: (event: MessageTransportEventOf<T>) => void,
  ): this
  /** Never exchanges anything with this incarnation again. */
  quarantine(uid: Uid): void
  /** What is known of each linked peer. */
  peers(): readonly PeerStatus[]
  /** Monotonic counters of the messaging layer, the lanes and the transport. */
  counters(): Readonly<Record<string, number>>
  /** New certificates for connections from now on; `net` with `tls` only. */
  setTls(tls: TlsOptions): void
  /** Sends what is queued, says goodbye, closes. Idempotent. */
  close(): Promise<void>
}

/**
 * Starts a transport without membership; resolves once it listens. Rejects with `ERR_SKEIN_INVALID_OPTION`,
 * `ERR_SKEIN_ADDON_LOAD` or `ERR_SKEIN_BIND`, and nothing is started then.
 *
 * ```ts
 * const a = await createTransport({ listen: '127.0.0.1:7355' })
 * a.handle('echo', (bytes) => copyBytes(bytes))
 * ```
 */
export async function createTransport(options: MessageTransportOptions): Promise<MessageTransport> {
  const reader = new Reader(options, '', KNOWN, new Map())
  const name = reader.optional('name', text(TRANSPORT_LIMITS.clusterNameBytesMax), 'transport')
  const { listen, advertise, nodeId } = readPlace(reader)
  const admission = readAdmission(reader)
  const wanted = readTransport(reader, admission.tls)
  const onLoop = wanted === 'net' || (wanted === 'auto' && !nativeAvailable())
  const heartbeat = readHeartbeat(reader, onLoop)
  const dial = readDial(reader)
  const messaging = readMessaging(reader)
  const log = reader.optional('logger', logger, silent)
  const choice = chooseTransport(wanted)
  if (choice.fallbackReason !== undefined) log.warn({ name }, `native transport: ${choice.fallbackReason}`)
  const uid = nextUid()
  const identity = { cluster: name, nodeId: nodeId ?? `${advertise.host}/${uid}`, uid }
  const transport = choice.create({ identity, listen, advertise, heartbeat, dial, ...admissionOf(admission) })
  const node = new StandaloneNode(
    transport,
    identity,
    log,
    (self) =>
      new LiveOffice(
        messaging,
        { clock: systemClock, defer: (run) => process.nextTick(run), random: Math.random },
        transport,
        (event) => self.tell(event),
      ),
  )
  await node.start()
  return node
}

const KNOWN: readonly (keyof MessageTransportOptions)[] = [
  'listen',
  'advertise',
  'name',
  'nodeId',
  'transport',
  'heartbeat',
  'dial',
  'secret',
  'tls',
  'messaging',
  'logger',
]

const portCheck = integer(1, 65_535)

class StandaloneNode extends Messenger<PeerAddress> implements MessageTransport {
  readonly uid: Uid
  readonly nodeId: string
  private bound: Address | undefined
  private readonly emitter = new EventEmitter()
  private closing: Promise<void> | undefined
  private readonly live: LiveOffice
  private readonly office: Office

  constructor(
    private readonly transport: Transport,
    identity: { readonly uid: Uid; readonly nodeId: string },
    private readonly log: Logger,
    make: (self: StandaloneNode) => LiveOffice,
  ) {
    super()
    this.uid = identity.uid
    this.nodeId = identity.nodeId
    const live = make(this)
    this.live = live
    this.office = live.office
    this.serve(this.office.topics, (to) => this.linkTo(to))
  }

  get kind(): TransportKind {
    return this.transport.kind
  }

  get address(): Address {
    return this.bound!
  }

  async start(): Promise<void> {
    this.bound = await this.transport.start((batch) => {
      for (const event of batch) this.receive(event)
    })
    const { uid, nodeId, bound: address } = this
    this.live.introduce({ uid, nodeId, address, bind: address })
  }

  on(type: string, listener: (event: never) => void): this {
    this.emitter.on(type, listener as (event: MessageTransportEvent) => void)
    return this
  }

  off(type: string, listener: (event: never) => void): this {
    this.emitter.off(type, listener as (event: MessageTransportEvent) => void)
    return this
  }

  quarantine(uid: Uid): void {
    this.transport.quarantine(uid, 'operator')
    this.office.plane.endPeer(uid, 'quarantined')
  }

  peers(): readonly PeerStatus[] {
    return this.closing === undefined ? this.transport.peers() : []
  }

  counters(): Readonly<Record<string, number>> {
    return { ...this.transport.counters(), ...this.office.allCounters() }
  }

  setTls(tls: TlsOptions): void {
    if (this.transport.setTls === undefined)
      throw new InvalidOptionError('tls', '(not shown)', "nothing: only transport 'net' speaks TLS")
    this.transport.setTls(tls)
  }

  close(): Promise<void> {
    this.closing ??= this.shutdown()
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Listeners are told one by one; one that throws does not starve the others. */
  tell(event: MessageTransportEvent): void {
    this.log.debug({ nodeId: this.nodeId, event }, event.type)
    for (const listener of this.emitter.rawListeners(event.type)) {
      try {
        ;(listener as (event: MessageTransportEvent) => void)(event)
      } catch (error) {
        setImmediate(() => {
          throw error
        })
      }
    }
  }

  private async shutdown(): Promise<void> {
    await this.office.close(
      (delayMs, task) => systemClock.schedule(delayMs, task),
      MESSAGING_LIMITS.closeTimeoutMs,
    )
    await this.transport.close()
  }

  private receive(event: TransportEvent): void {
    this.office.plane.onTransportEvent(event)
    if (event.type !== 'message' && event.type !== 'laneOpened' && event.type !== 'laneFailed')
      this.tell(event)
  }

  private linkTo(to: PeerAddress): PeerLink {
    const { plane } = this.office
    if (typeof to === 'string') return (plane.getAt(to) ?? plane.ensureAt(addressOf(to))).client
    if ('uid' in to) return plane.ensure(to.uid, to.address, to.nodeId).client
    return plane.ensureAt(addressOf(to)).client
  }
}

function addressOf(to: AddressOption): Address {
  const parsed = typeof to === 'string' ? parseAddress(to) : to
  if (parsed === undefined) throw new InvalidOptionError('to', to, "'host:port' or { host, port }")
  portCheck(parsed.port, `to (${formatAddress(parsed)})`)
  return parsed
}
