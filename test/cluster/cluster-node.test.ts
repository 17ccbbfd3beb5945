/** What the public surface cannot reach: closing while joining, an invariant that breaks, events before the start. */
import { afterEach, describe, expect, it } from 'vitest'
import { ClusterNode, type NodeParts } from '../../src/cluster/cluster-node.js'
import type { DrivenMachine } from '../../src/cluster/driver.js'
import type { JoinOptions } from '../../src/cluster/options.js'
import { resolveOptions } from '../../src/cluster/resolve-options.js'
import { Machine } from '../../src/core/machine.js'
import type { Input } from '../../src/core/machine-io.js'
import { MACHINE_DEFAULTS } from '../../src/core/settings.js'
import { RealClock } from '../../src/sim/clock.js'
import { MemoryNetwork } from '../../src/transport/memory/memory-network.js'
import type { TransportEvent } from '../../src/transport/transport.js'
import { decodeMessage, encodeMessage } from '../../src/wire/messages.js'
import { nextUncaught, recordingLogger, waitFor } from './support.js'

const opened: ClusterNode[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map((node) => node.close()))
})

/** A node whose machine can be told to break. */
function makeNode(extra: Partial<JoinOptions> = {}, early: readonly TransportEvent[] = []) {
  const clock = new RealClock()
  const network = new MemoryNetwork({ clock })
  const { lines, logger } = recordingLogger()
  const given: JoinOptions = { name: 'orders', listen: '127.0.0.1:7000', nodeId: 'n1', logger, ...extra }
  const { options } = resolveOptions(given, () => true)
  const identity = { nodeId: 'n1', uid: '00000000000000a1' }
  const { heartbeat, dial, listen } = options
  const transport = network.createTransport({
    identity: { cluster: 'orders', ...identity },
    listen,
    heartbeat,
    dial,
  })
  let sink: (batch: readonly TransportEvent[]) => void
  const start = transport.start.bind(transport)
  transport.start = (given) => {
    sink = given
    given(early)
    return start(given)
  }
  /** As if the transport had told it. */
  const tell = (event: TransportEvent) => sink([event])
  const bug = new Error('invariant')
  const flaw = { broken: false }
  const parts: NodeParts = {
    clock,
    transport,
    codec: { encode: encodeMessage, decode: decodeMessage },
    defer: (run) => process.nextTick(run),
    random: () => 0.5,
    makeMachine: (self, seeds): DrivenMachine => {
      const { roles, downing } = options
      const settings = {
        cluster: 'orders',
        self,
        roles,
        seeds,
        downing,
        ...MACHINE_DEFAULTS,
        random: () => 0.5,
      }
      const machine = new Machine(settings)
      return {
        handle: (batch: readonly Input[], nowMs: number) => {
          if (flaw.broken) throw bug
          return machine.handle(batch, nowMs)
        },
        nextDeadline: () => machine.nextDeadline(),
        state: () => machine.state(),
      }
    },
  }
  const node = new ClusterNode(options, identity, parts)
  opened.push(node)
  return { node, network, lines, bug, flaw, tell }
}

describe('a node that is closed while it joins', () => {
  it('rejects the join as CLOSED, whether it listens already or not', async () => {
    for (const waitMs of [0, 30]) {
      const { node } = makeNode({ seeds: ['127.0.0.1:1'] })
      const joining = node.join().catch((reason) => reason)
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      await node.close()
      expect(await joining).toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
      expect(await node.closed).toEqual({ reason: 'closed', detail: '' })
    }
  })

  it('frees its address', async () => {
    const { node, network } = makeNode({ seeds: ['127.0.0.1:1'] })
    const joining = node.join().catch((reason) => reason)
    await node.close()
    await joining
    expect(() => network.addHost({ host: '127.0.0.1', port: 7000 })).not.toThrow()
  })
})

/** A lane of somebody else, as it is handed over. */
function openedLane() {
  const socket = {
    hasUnwritten: false,
    attached: false,
    destroyed: false,
    attach: () => {
      socket.attached = true
    },
    write: (_: Uint8Array, from: number, to: number) => to - from,
    setReading: () => {},
    shutdown: () => {},
    destroy: () => {
      socket.destroyed = true
    },
  }
  const address = { host: '127.0.0.1', port: 7001 }
  const peer = { uid: '00000000000000b2', nodeId: 'n2', address, bind: address }
  const event = { type: 'laneOpened', peer, lane: 'ordinary', dial: 1, dialler: peer.uid, socket } as const
  return { socket, event }
}

describe('a lane that is opened to a node that ends', () => {
  it('before it has started is closed', async () => {
    const [early, late] = [openedLane(), openedLane()]
    const { node, tell } = makeNode({}, [early.event])
    const joining = node.join().catch((reason) => reason)
    expect(early.socket.destroyed).toBe(false)
    const closing = node.close()
    expect(early.socket.destroyed).toBe(true)
    tell(late.event)
    expect(late.socket.destroyed).toBe(true)
    await closing
    expect(await joining).toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
  })

  it('while it lingers is taken, and closed with it', async () => {
    const { node, tell } = makeNode()
    await node.join()
    const left = node.leave()
    await waitFor(() => {
      try {
        node.broadcast('note', new Uint8Array(1))
        return false
      } catch {
        return true
      }
    })
    const { socket, event } = openedLane()
    tell(event)
    expect(socket).toMatchObject({ attached: true, destroyed: false })
    await left
    expect(socket.destroyed).toBe(true)
  })
})

describe('a node whose invariants break', () => {
  it('closes, says so, and lets the process hear of it', async () => {
    const { node, lines, bug, flaw } = makeNode()
    await node.join()
    expect(node.self.status).toBe('up')
    flaw.broken = true
    const uncaught = nextUncaught()
    node.down(node.self)
    expect(await uncaught).toBe(bug)
    const { reason, detail } = await node.closed
    expect(reason).toBe('closed')
    expect(detail).toContain('internal fault: Error: invariant')
    expect(lines.some((line) => line.level === 'error' && line.message.includes('invariant'))).toBe(true)
  })

  it('rejects a join with the fault itself', async () => {
    const { node, bug, flaw } = makeNode()
    flaw.broken = true
    const uncaught = nextUncaught()
    expect(await node.join().catch((reason) => reason)).toBe(bug)
    expect(await uncaught).toBe(bug)
  })
})

describe('a node in its process', () => {
  it('installs no handlers of signals or exits', async () => {
    const hooks = [
      'SIGINT',
      'SIGTERM',
      'SIGHUP',
      'exit',
      'beforeExit',
      'uncaughtException',
      'unhandledRejection',
    ]
    const count = () => hooks.map((name) => process.listenerCount(name))
    const before = count()
    const { node } = makeNode()
    await node.join()
    expect(count()).toEqual(before)
    await node.close()
    expect(count()).toEqual(before)
  })

  it('a throwing listener leaves the node as it was', async () => {
    const { node } = makeNode()
    await node.join()
    const bug = new Error('listener')
    node.on('memberRemoved', () => {
      throw bug
    })
    const uncaught = nextUncaught()
    await node.leave()
    expect(await uncaught).toBe(bug)
    expect(await node.closed).toMatchObject({ reason: 'left' })
    await waitFor(() => node.counters()['eventListenerErrors'] === 1)
  })
})
