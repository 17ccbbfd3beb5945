/** The harness for the memory adapter: a virtual clock, one seed, no waiting. */
import type { Address } from '../../src/core/address.js'
import { VirtualClock } from '../../src/sim/clock.js'
import type { MemoryHost } from '../../src/transport/memory/memory-host.js'
import { MemoryNetwork } from '../../src/transport/memory/memory-network.js'
import type { MemoryStream } from '../../src/transport/memory/memory-stream.js'
import { type Harness, type RawListener, type RawStream, WAIT_MS_MAX } from './harness.js'

const STEP_MS = 5

class SimulatedStream implements RawStream {
  private chunks: Uint8Array[] = []
  opened = false
  ended = false
  closed = false
  stream: MemoryStream | undefined

  constructor(private readonly host: MemoryHost) {}

  readonly handler = {
    onOpened: () => {
      this.opened = true
    },
    onData: (bytes: Uint8Array) => {
      this.chunks.push(bytes.slice())
    },
    onEnded: () => {
      this.ended = true
    },
    onClosed: () => {
      this.closed = true
    },
    onWritten: () => {},
    onRefused: () => {
      this.closed = true
    },
  }

  get received(): Uint8Array {
    const whole = new Uint8Array(this.chunks.reduce((sum, chunk) => sum + chunk.length, 0))
    let at = 0
    for (const chunk of this.chunks) {
      whole.set(chunk, at)
      at += chunk.length
    }
    this.chunks = [whole]
    return whole
  }

  write(bytes: Uint8Array): void {
    this.stream!.write(bytes)
  }

  end(): void {
    this.stream!.end()
  }

  destroy(): void {
    this.stream!.destroy()
  }

  setReading(reading: boolean): void {
    if (reading) this.host.resume()
    else this.host.pause()
  }
}

export function memoryHarness(
  seed = 1,
): Harness & { readonly clock: VirtualClock; readonly network: MemoryNetwork } {
  const clock = new VirtualClock(1000)
  const network = new MemoryNetwork({ clock, seed })
  let hosts = 0
  const nextAddress = (): Address => {
    hosts += 1
    return { host: `10.1.${hosts >> 8}.${hosts & 0xff}`, port: 7000 }
  }
  /** Lets promises that were settled by an event run. */
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  return {
    clock,
    network,
    reportsStalls: true,
    patience: 1,
    createTransport: (options) => network.createTransport(options),
    listenAddress: nextAddress,
    dialRaw: (address) => {
      const host = network.addHost(nextAddress())
      const stream = new SimulatedStream(host)
      stream.stream = network.connect(host, address, stream.handler)
      return stream
    },
    listenRaw: async (): Promise<RawListener> => {
      const streams: SimulatedStream[] = []
      const host: MemoryHost = network.addHost(nextAddress(), (accepted) => {
        const stream = new SimulatedStream(host)
        stream.opened = true
        stream.stream = accepted
        accepted.handler = stream.handler
        streams.push(stream)
      })
      return { address: host.address, streams, close: async () => network.removeHost(host) }
    },
    deadAddress: async () => nextAddress(),
    advance: async (ms) => {
      clock.runFor(ms)
      await turn()
    },
    waitFor: async (condition, what) => {
      const untilMs = clock.nowMs() + WAIT_MS_MAX
      while (!condition()) {
        if (clock.nowMs() > untilMs) throw new Error(`waited ${WAIT_MS_MAX} ms for ${what}`)
        clock.runFor(STEP_MS)
        await turn()
      }
    },
    settle: async <T>(promise: Promise<T>): Promise<T> => {
      let settled = false
      const mark = () => {
        settled = true
      }
      promise.then(mark, mark)
      for (let step = 0; step < WAIT_MS_MAX / STEP_MS && !settled; step += 1) {
        await turn()
        if (!settled) clock.runFor(STEP_MS)
      }
      return promise
    },
    openDescriptors: () => undefined,
    dispose: async () => {},
  }
}
