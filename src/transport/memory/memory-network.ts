/**
 * A simulated network: hosts by address, latencies, and the faults that a test or the simulator injects. Driven by
 * the clock and the seed handed in: under a virtual clock one seed gives one run.
 *
 * A node is named by the address it listens on. All faults may be injected and ended at any time.
 */
import { type Address, formatAddress } from '../../core/address.js'
import { SkeinError } from '../../errors.js'
import type { Clock } from '../../sim/clock.js'
import { createRandom, forkRandom, type Random } from '../../sim/random.js'
import type { Transport, TransportOptions } from '../transport.js'
import { MemoryHost } from './memory-host.js'
import { type Fabric, MemoryStream, type Pipe, type StreamHandler } from './memory-stream.js'
import { MemoryTransport } from './memory-transport.js'

export interface LatencyRange {
  /** One way, in milliseconds. */
  readonly minMs: number
  readonly maxMs: number
}

export interface MemoryNetworkOptions {
  readonly clock: Clock
  /** Default 1. */
  readonly seed?: number
  /** One-way latency of every segment, uniform. Default 0.1 to 0.5 ms. */
  readonly latency?: LatencyRange
}

export interface DialHandler extends StreamHandler {
  onRefused(): void
}

const EPHEMERAL_PORT_MIN = 49_152
const PORT_MAX = 65_535

export class MemoryNetwork implements Fabric {
  readonly clock: Clock
  private readonly random: Random
  private readonly latency: LatencyRange
  private readonly hosts = new Map<string, MemoryHost>()
  private readonly transports = new Map<string, MemoryTransport>()
  /** `from>to` of ways that are cut. */
  private readonly cuts = new Set<string>()
  private readonly latencies = new Map<string, LatencyRange>()
  private readonly held = new Set<Pipe>()
  private nextPort = EPHEMERAL_PORT_MIN

  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock
    this.random = createRandom(options.seed ?? 1)
    this.latency = options.latency ?? { minMs: 0.1, maxMs: 0.5 }
  }

  /** A transport on this network; it comes to life with `start`. */
  createTransport(options: TransportOptions): Transport {
    return new MemoryTransport(options, this, forkRandom(this.random), (address, transport) =>
      this.transports.set(formatAddress(address), transport),
    )
  }

  /** Both ways between two nodes; with `oneWay`, only from the first to the second. Connects time out, bytes in flight wait. */
  cut(a: Address, b: Address, options: { readonly oneWay?: boolean } = {}): void {
    this.cuts.add(wayKey(formatAddress(a), formatAddress(b)))
    if (options.oneWay !== true) this.cuts.add(wayKey(formatAddress(b), formatAddress(a)))
  }

  /** Both ways, however they were cut. What waited is delivered, in order. */
  heal(a: Address, b: Address): void {
    this.cuts.delete(wayKey(formatAddress(a), formatAddress(b)))
    this.cuts.delete(wayKey(formatAddress(b), formatAddress(a)))
    this.releaseHeld()
  }

  /** Cuts every way between the two groups. */
  partition(groupA: readonly Address[], groupB: readonly Address[]): void {
    for (const a of groupA) for (const b of groupB) this.cut(a, b)
  }

  healAll(): void {
    this.cuts.clear()
    this.releaseHeld()
  }

  /** SIGSTOP: timers and deliveries freeze; the kernel goes on accepting and buffering. */
  pause(node: Address): void {
    this.hosts.get(formatAddress(node))?.pause()
  }

  /** SIGCONT: everything that waited is delivered. */
  resume(node: Address): void {
    this.hosts.get(formatAddress(node))?.resume()
  }

  /** SIGKILL: its sockets are closed by its kernel, later connects are refused, its transport does nothing more. */
  crash(node: Address): void {
    const key = formatAddress(node)
    this.transports.get(key)?.crash()
    this.hosts.get(key)?.crash()
    this.hosts.delete(key)
    this.transports.delete(key)
  }

  /** The node's JavaScript does not turn: it beats with a growing loop age, and its sink hears nothing. */
  blockLoop(node: Address): void {
    this.transports.get(formatAddress(node))?.blockLoop()
  }

  unblockLoop(node: Address): void {
    this.transports.get(formatAddress(node))?.unblockLoop()
  }

  isPaused(node: Address): boolean {
    return this.hosts.get(formatAddress(node))?.isPaused ?? false
  }

  /** Latency of one link, both ways, instead of the network's. */
  setLatency(a: Address, b: Address, latency: LatencyRange): void {
    this.latencies.set(wayKey(formatAddress(a), formatAddress(b)), latency)
    this.latencies.set(wayKey(formatAddress(b), formatAddress(a)), latency)
  }

  /**
   * A process that listens; port 0 draws one. Without `onAccept` connects to it are refused.
   * Throws `ERR_SKEIN_BIND` when the address is taken.
   */
  addHost(address: Address, onAccept?: (stream: MemoryStream) => void): MemoryHost {
    const bound = address.port === 0 ? { host: address.host, port: this.drawPort(address.host) } : address
    const key = formatAddress(bound)
    if (this.hosts.has(key)) {
      throw new SkeinError('ERR_SKEIN_BIND', `cannot listen on ${key}: the address is in use on this network`)
    }
    const host = new MemoryHost(bound, key, this.clock, onAccept)
    this.hosts.set(key, host)
    return host
  }

  removeHost(host: MemoryHost): void {
    if (this.hosts.get(host.key) !== host) return
    this.hosts.delete(host.key)
    this.transports.delete(host.key)
  }

  /** A TCP connect. Refused when nobody listens; nothing is heard when the way is cut. */
  connect(from: MemoryHost, address: Address, handler: DialHandler): MemoryStream {
    const key = formatAddress(address)
    const stream = new MemoryStream(from, key, undefined)
    stream.handler = handler
    const unknown = new MemoryHost(address, key, this.clock, undefined)
    const outMs = this.latencyMs(from, unknown)
    this.clock.schedule(outMs, () => this.onSyn(stream, this.hosts.get(key) ?? unknown, handler))
    return stream
  }

  latencyMs(from: MemoryHost, to: MemoryHost): number {
    const override = this.latencies.size === 0 ? undefined : this.latencies.get(wayKey(from.key, to.key))
    const { minMs, maxMs } = override ?? this.latency
    return minMs + this.random() * (maxMs - minMs)
  }

  isCut(from: MemoryHost, to: MemoryHost): boolean {
    return this.cuts.size > 0 && this.cuts.has(wayKey(from.key, to.key))
  }

  hold(pipe: Pipe): void {
    this.held.add(pipe)
  }

  /** The connect has reached the other host, unless the way is cut; so does the answer come back. */
  private onSyn(stream: MemoryStream, host: MemoryHost, handler: DialHandler): void {
    if (stream.isDead || this.isCut(stream.host, host)) return
    const { listener } = host
    const accepted = listener !== undefined && !host.isCrashed
    if (accepted && !host.takeBacklogPlace()) return
    this.clock.schedule(this.latencyMs(host, stream.host), () => {
      if (stream.isDead || this.isCut(host, stream.host)) return
      stream.host.whenAwake(() => {
        if (stream.isDead) return
        if (!accepted || host.isCrashed) {
          stream.destroy()
          handler.onRefused()
          return
        }
        const acceptor = new MemoryStream(host, stream.host.key, listener)
        MemoryStream.connectPair(this, stream, acceptor)
        stream.open()
      })
    })
  }

  private releaseHeld(): void {
    for (const pipe of [...this.held]) {
      if (this.isCut(pipe.from.host, pipe.to.host)) continue
      this.held.delete(pipe)
      pipe.heal()
    }
  }

  private drawPort(host: string): number {
    for (let tried = EPHEMERAL_PORT_MIN; tried <= PORT_MAX; tried += 1) {
      const port = this.nextPort
      this.nextPort = port === PORT_MAX ? EPHEMERAL_PORT_MIN : port + 1
      if (!this.hosts.has(formatAddress({ host, port }))) return port
    }
    throw new SkeinError('ERR_SKEIN_BIND', `cannot listen on ${host}: no port is free on this network`)
  }
}

function wayKey(from: string, to: string): string {
  return `${from}>${to}`
}
