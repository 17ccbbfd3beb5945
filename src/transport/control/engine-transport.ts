/** What the transports that stand on the pure engine have in common: every command goes to its driver. */
import type { Address, Uid } from '../../core/address.js'
import type {
  DataLane,
  PeerStatus,
  QuarantineReason,
  SendResult,
  Transport,
  TransportCounters,
  TransportKind,
} from '../transport.js'
import type { ControlDriver, EventSink } from './driver.js'

export abstract class EngineTransport implements Transport {
  abstract readonly kind: TransportKind
  abstract readonly reportsStalls: boolean
  protected abstract readonly driver: ControlDriver
  protected closing: Promise<void> | undefined

  abstract start(sink: EventSink): Promise<Address>
  protected abstract shutdown(): Promise<void>

  connect(address: Address, uid?: Uid): void {
    this.driver.connect(address, uid)
  }

  disconnect(address: Address): void {
    this.driver.disconnect(address)
  }

  send(uid: Uid, bytes: Uint8Array): SendResult {
    return this.driver.send(uid, bytes)
  }

  openLane(uid: Uid, lane: DataLane, dial: number): void {
    this.driver.openLane(uid, lane, dial)
  }

  watch(uid: Uid, address: Address): void {
    this.driver.watch(uid, address)
  }

  unwatch(uid: Uid): void {
    this.driver.unwatch(uid)
  }

  probe(uid: Uid, address: Address): void {
    this.driver.probe(uid, address)
  }

  quarantine(uid: Uid, reason: QuarantineReason): void {
    this.driver.quarantine(uid, reason)
  }

  drain(): void {
    this.driver.drain()
  }

  peers(): readonly PeerStatus[] {
    return this.driver.peers()
  }

  counters(): TransportCounters {
    return this.driver.counters()
  }

  close(): Promise<void> {
    this.closing ??= this.shutdown()
    return this.closing
  }
}

/** What the hello names: the bound address, unless another is given; its port 0 means the port bound. */
export function advertisedAddress(bind: Address, advertise: Address | undefined): Address {
  if (advertise === undefined) return bind
  return { host: advertise.host, port: advertise.port === 0 ? bind.port : advertise.port }
}
