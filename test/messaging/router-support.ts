/** Members, states and a messaging port for tests of routers: what a request comes to is said by the test. */

import { makeUid } from '../../src/core/address.js'
import type { ClusterState, Member, MemberStatus, RowStatus } from '../../src/core/model.js'
import { SkeinError, type SkeinErrorCode } from '../../src/errors.js'
import type { RequestOptions } from '../../src/messaging/messaging.js'
import { Routee } from '../../src/messaging/routing/routee.js'
import { createRouter, type Router } from '../../src/messaging/routing/router.js'
import { type RouterOptions, resolveRouterOptions } from '../../src/messaging/routing/router-options.js'
import { createRandom } from '../../src/sim/random.js'

export interface MemberTraits {
  readonly status?: MemberStatus
  readonly reachability?: RowStatus
  readonly roles?: readonly string[]
}

/** Member number `n`, from 1: nodeId, address and uid all rise with it. */
export function member(n: number, traits: MemberTraits = {}): Member {
  return {
    uid: makeUid(1_700_000_000_000 + n, n),
    nodeId: `n${n}`,
    address: { host: '10.0.0.1', port: 7000 + n },
    roles: traits.roles ?? ['db'],
    status: traits.status ?? 'up',
    upNumber: n,
    reachability: traits.reachability ?? 'reachable',
  }
}

/** The state of a node that is none of them, unless `self` is given. */
export function stateOf(members: readonly Member[], self: Member = member(999, { roles: [] })): ClusterState {
  const sorted = [...members].sort((a, b) => a.address.port - b.address.port)
  return {
    cluster: 'test',
    self,
    members: sorted,
    unreachable: sorted.filter((m) => m.reachability === 'unreachable'),
    stalled: sorted.filter((m) => m.reachability === 'stalled'),
    leader: undefined,
    converged: true,
    blockers: [],
    quarantined: [],
  }
}

export function routees(count: number): Routee[] {
  return Array.from({ length: count }, (_, i) => new Routee(member(i + 1)))
}

export function failure(code: SkeinErrorCode): SkeinError {
  return new SkeinError(code, `said ${code}`, { retryable: true })
}

/** One request or send, as the port got it. */
export interface Call {
  readonly to: string
  readonly topic: string
  readonly atMs: number
  readonly options: RequestOptions
  resolve(bytes: Uint8Array): void
  reject(error: unknown): void
}

export const ANSWER = Uint8Array.of(42)

export class RouterRig {
  nowMs = 1000
  state: ClusterState
  readonly calls: Call[] = []
  readonly router: Router
  /** What a send to this member does: true, false, or what it throws. Absent: true. */
  readonly sends = new Map<string, boolean | SkeinError>()
  /** What a request to this member comes to at once. Absent: it waits for the test. */
  readonly answers = new Map<string, Uint8Array | Error>()

  constructor(members: readonly Member[], options: RouterOptions = {}, self?: Member) {
    this.state = stateOf(members, self)
    const random = createRandom(1)
    this.router = createRouter(resolveRouterOptions('db', options), {
      state: () => this.state,
      nowMs: () => this.nowMs,
      random,
      requestTimeoutMs: 10_000,
      messaging: {
        send: (to, topic, _bytes, sendOptions = {}) => this.#send(to, topic, sendOptions),
        request: (to, topic, _bytes, requestOptions = {}) => this.#request(to, topic, requestOptions),
      },
    })
  }

  get called(): readonly string[] {
    return this.calls.map(({ to }) => to)
  }

  /** The next state: what is not named stays the same object, as in the live cluster. */
  change(n: number, traits: MemberTraits): void {
    const uid = member(n).uid
    this.state = stateOf(
      this.state.members.map((m) => (m.uid === uid ? member(n, traits) : m)),
      this.state.self,
    )
  }

  #send(to: Member, topic: string, options: RequestOptions): boolean {
    this.calls.push({ to: to.nodeId, topic, atMs: this.nowMs, options, resolve() {}, reject() {} })
    const outcome = this.sends.get(to.nodeId) ?? true
    if (typeof outcome === 'boolean') return outcome
    throw outcome
  }

  #request(to: Member, topic: string, options: RequestOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.calls.push({ to: to.nodeId, topic, atMs: this.nowMs, options, resolve, reject })
      const outcome = this.answers.get(to.nodeId)
      if (outcome instanceof Error) reject(outcome)
      else if (outcome !== undefined) resolve(outcome)
    })
  }
}

/** Lets everything that is settled be seen. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
