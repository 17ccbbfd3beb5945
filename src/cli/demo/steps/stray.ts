/** Step 8: whatever a stray client sends, its connection is closed with a reason that is counted, and nothing else changes. */
import { connect } from 'node:net'
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from '../../../transport/limits.js'
import type { BadInputReason } from '../../../transport/transport.js'
import { FrameKind } from '../../../wire/frame.js'
import { encodeHello } from '../../../wire/hello.js'
import { wallClockMs } from '../../agent-lines.js'
import { type DemoContext, WAIT } from '../context.js'
import type { DemoAgent } from '../demo-agent.js'
import { StepFailure } from '../fleet.js'
import { MEMBERSHIP_CHANGES, must, mustNotHaveTold, SUSPICIONS, told } from '../observed.js'

interface Stray {
  readonly what: string
  readonly bytes: Uint8Array
  readonly reason: BadInputReason
  /** Ends its side after the bytes, as a client that dies does; else it waits to be closed. */
  readonly hangsUp: boolean
}

/** One after the other, against one agent; all agents are looked at before and after. */
export async function stray(ctx: DemoContext): Promise<void> {
  const { fleet, report, summary } = ctx
  const target = fleet.named('n1')
  const sinceMs = wallClockMs()
  const statesBefore = await memberships(fleet.alive)
  const before = badInput(await target.counters())
  const strays = straysFor(ctx, target)
  for (const one of strays) {
    const closedMs = await provoke(target.port, one)
    report.note(`${one.what}: closed after ${closedMs} ms`)
  }
  const rejections = () => told(target, ['connectionRejected'], sinceMs)
  await fleet.until('every rejection is told', WAIT.closeMs, () => rejections().length >= strays.length)
  const counted = difference(badInput(await target.counters()), before)
  const expected = Object.fromEntries(
    strays.map(({ reason }) => [reason, strays.filter((s) => s.reason === reason).length]),
  )
  summary.stray = counted
  must(
    sameCounts(counted, expected),
    `counted ${JSON.stringify(counted)} instead of ${JSON.stringify(expected)}`,
  )
  mustNotHaveTold(
    fleet.alive,
    [...SUSPICIONS, ...MEMBERSHIP_CHANGES],
    sinceMs,
    'nothing else should have changed',
  )
  const statesAfter = await memberships(fleet.alive)
  must(statesAfter === statesBefore, 'the state of the cluster changed')
  report.passed('each connection was closed and its reason counted; nothing else changed', { stray: counted })
}

/** Each with the reason it must be counted under. */
function straysFor({ clusterName }: DemoContext, target: DemoAgent): Stray[] {
  const own = hello(clusterName, target.port)
  return [
    {
      what: 'an HTTP request',
      bytes: ascii('GET / HTTP/1.1\r\nHost: skein\r\n\r\n'),
      reason: 'frameTooLarge',
      hangsUp: false,
    },
    { what: 'garbage', bytes: garbage(), reason: 'badMagic', hangsUp: false },
    {
      what: 'a truncated frame',
      bytes: own.subarray(0, own.length - 7),
      reason: 'truncatedFrame',
      hangsUp: true,
    },
    {
      what: 'a length of 4 GB',
      bytes: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4),
      reason: 'frameTooLarge',
      hangsUp: false,
    },
    {
      what: "another cluster's name",
      bytes: hello(`not-${clusterName}`, target.port),
      reason: 'clusterMismatch',
      hangsUp: false,
    },
  ]
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** A frame of plausible length whose content means nothing. */
function garbage(): Uint8Array {
  const bytes = Uint8Array.from({ length: 132 }, (_, i) => (i * 131 + 89) % 251)
  new DataView(bytes.buffer).setUint32(0, bytes.length - 4, true)
  return bytes
}

/** A well-formed hello of a node that does not exist. */
function hello(cluster: string, dialedPort: number): Uint8Array {
  const address = { host: '127.0.0.1', port: 1 }
  return encodeHello(FrameKind.hello, {
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
    uid: '0000000000abcdef',
    dial: 1,
    cluster,
    nodeId: 'stray',
    bind: address,
    advertised: address,
    dialed: { host: '127.0.0.1', port: dialedPort },
  })
}

/** Connects, sends, and waits until the agent has closed the connection. Resolves with the time it took. */
function provoke(port: number, { what, bytes, hangsUp }: Stray): Promise<number> {
  const sinceMs = performance.now()
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new StepFailure(`${what}: not closed within ${WAIT.closeMs} ms`))
    }, WAIT.closeMs)
    socket.on('connect', () => (hangsUp ? socket.end(bytes) : socket.write(bytes)))
    socket.resume()
    // Being reset is being closed; what matters is told by the agent's counters.
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(Math.round(performance.now() - sinceMs))
    })
  })
}

/** What everybody says of everybody, as a text to compare. */
async function memberships(agents: readonly DemoAgent[]): Promise<string> {
  const states = await Promise.all(agents.map((agent) => agent.state()))
  return JSON.stringify(states.map((s) => s.members.map((m) => [m.uid, m.status, m.reachability])))
}

/** Rejections by reason, as counted since the agent's start. */
function badInput(counters: Readonly<Record<string, number>>): Record<string, number> {
  const prefix = 'badInput.'
  const entries = Object.entries(counters).filter(([name]) => name.startsWith(prefix))
  return Object.fromEntries(entries.map(([name, count]) => [name.slice(prefix.length), count]))
}

/** What was added, without what stayed the same. */
function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const entries = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
  return Object.fromEntries(entries.filter(([, count]) => count !== 0))
}

function sameCounts(a: Record<string, number>, b: Record<string, number>): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every((name) => a[name] === b[name])
}
