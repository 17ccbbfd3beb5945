/**
 * Commands from a parent process, for tests and the demo. They come only through the IPC channel that
 * `child_process.fork` opens: an agent started any other way has no such door.
 */
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterState } from '../core/model.js'
import { isSkeinError } from '../errors.js'
import type { PeerStatus } from '../transport/transport.js'

/** What a parent may ask. Node references are those of `Cluster.down`. */
export type ControlCommand =
  | { readonly cmd: 'state' | 'counters' | 'peers' | 'leave' }
  | { readonly cmd: 'down'; readonly node: string }
  /** Keeps this process's JavaScript thread busy for `ms`, after the answer has been sent. */
  | { readonly cmd: 'block'; readonly ms: number }

/** `id` comes back in the reply; the parent chooses it. */
export type ControlRequest = ControlCommand & { readonly id: number }

/** Exactly one for each request, in order. */
export type ControlReply =
  | {
      readonly id: number
      readonly ok: true
      readonly state?: ClusterState
      readonly counters?: Readonly<Record<string, number>>
      readonly peers?: readonly PeerStatus[]
    }
  | { readonly id: number; readonly ok: false; readonly code: string; readonly message: string }

/** The longest a parent may block this process. */
const BLOCK_MS_MAX = 60_000

/** What the agent lets a parent do. */
export interface Controlled {
  /** Undefined until this agent has joined. */
  cluster(): Cluster | undefined
  /** Begins to leave; the end of the process is the answer. */
  leave(): void
}

/** Serves commands until stopped; without an IPC channel it does nothing. A parent that dies takes its agents along. */
export function serveControl(controlled: Controlled): { stop(): void } {
  if (process.send === undefined) return { stop: () => {} }
  const onMessage = (message: unknown) => {
    const request = message as ControlRequest
    if (typeof request !== 'object' || request === null || typeof request.id !== 'number') return
    const reply = answer(controlled, request)
    if (!process.connected) return
    process.send?.(reply, undefined, undefined, () => {
      if (reply.ok && request.cmd === 'block') block(request.ms)
    })
  }
  const onDisconnect = () => process.exit(1)
  process.on('message', onMessage)
  process.on('disconnect', onDisconnect)
  return {
    stop: () => {
      process.off('message', onMessage)
      process.off('disconnect', onDisconnect)
      if (process.connected) process.disconnect()
    },
  }
}

/** Synchronous, so that a state is that of one moment. Never throws. */
function answer(controlled: Controlled, request: ControlRequest): ControlReply {
  const { id } = request
  const cluster = controlled.cluster()
  if (cluster === undefined)
    return { id, ok: false, code: 'ERR_NOT_JOINED', message: 'this agent has not joined yet' }
  try {
    switch (request.cmd) {
      case 'state':
        return { id, ok: true, state: cluster.state }
      case 'counters':
        return { id, ok: true, counters: cluster.counters() }
      case 'peers':
        return { id, ok: true, peers: cluster.peers() }
      case 'down':
        cluster.down(request.node)
        return { id, ok: true }
      case 'leave':
        controlled.leave()
        return { id, ok: true }
      case 'block':
        return { id, ok: true }
      default:
        return { id, ok: false, code: 'ERR_UNKNOWN_COMMAND', message: 'no such command' }
    }
  } catch (error) {
    const code = isSkeinError(error) ? error.code : 'ERR_UNKNOWN'
    return { id, ok: false, code, message: error instanceof Error ? error.message : String(error) }
  }
}

/** The one fault an agent can only do to itself. */
function block(ms: number): void {
  const untilMs = performance.now() + Math.min(ms, BLOCK_MS_MAX)
  while (performance.now() < untilMs) {
    // Busy on purpose: this is the fault that the caller wants to see.
  }
}
