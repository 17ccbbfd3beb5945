/** Routers over the membership that real machines agree on, on virtual time. */
import { describe, expect, it } from 'vitest'
import { SkeinError } from '../../src/errors.js'
import { createRouter, type Router } from '../../src/messaging/routing/router.js'
import { type RouterOptions, resolveRouterOptions } from '../../src/messaging/routing/router-options.js'
import { forkRandom } from '../../src/sim/random.js'
import { type SimNode, Simulation } from '../../src/sim/simulation.js'

const BYTES = Uint8Array.of(1)

/** A router on `node`; a request is answered by whoever runs, and fails at once where the process is gone. */
function routerOn(sim: Simulation, node: SimNode, options: RouterOptions = {}) {
  const called: string[] = []
  const router: Router = createRouter(resolveRouterOptions('worker', options), {
    state: () => node.state,
    nowMs: () => sim.nowMs,
    random: forkRandom(sim.random),
    requestTimeoutMs: 1000,
    messaging: {
      send: (to) => {
        called.push(to.nodeId)
        return true
      },
      request: async (to) => {
        called.push(to.nodeId)
        if (sim.running.some(({ uid }) => uid === to.uid)) return BYTES
        throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'gone', { retryable: true })
      },
    },
  })
  return { router, called }
}

function formed(seed: number): { sim: Simulation; nodes: SimNode[] } {
  const sim = new Simulation({ seed })
  const nodes = Array.from({ length: 5 }, () => sim.start({ roles: ['worker'] }))
  sim.runUntil(() => sim.agree(5), 20_000, 'five members are up')
  return { sim, nodes }
}

const ids = (router: Router): string =>
  router
    .members()
    .map((m) => m.nodeId)
    .join(' ')

describe('a router in a simulated cluster', () => {
  it('loses no idempotent request while a member is killed, found out and removed', async () => {
    const { sim, nodes } = formed(11)
    const { router, called } = routerOn(sim, nodes[0]!, { strategy: 'roundRobin' })
    const ask = async (times: number) => {
      for (let i = 0; i < times; i++)
        expect(await router.request('t', BYTES, { idempotent: true })).toBe(BYTES)
    }
    await ask(8)
    sim.crash(nodes[3]!)
    await ask(8)
    expect(called.filter((to) => to === 'n4').length).toBeGreaterThan(2)
    sim.runUntil(() => nodes[0]!.state.unreachable.length === 1, 3000, 'n4 is unreachable')
    expect(ids(router)).toBe('n2 n3 n5')
    const before = called.length
    await ask(30)
    expect(called.slice(before)).not.toContain('n4')
    expect(called).toHaveLength(before + 30)
    sim.runUntil(() => nodes[0]!.state.members.length === 4, 20_000, 'n4 is removed')
    expect(ids(router)).toBe('n2 n3 n5')
  })

  it.each([
    [
      'stalled',
      (sim: Simulation, node: SimNode) => sim.blockLoop(node),
      (sim: Simulation, node: SimNode) => sim.unblockLoop(node),
    ],
    [
      'unreachable',
      (sim: Simulation, node: SimNode) => sim.pause(node),
      (sim: Simulation, node: SimNode) => sim.resume(node),
    ],
  ] as const)(
    'skips a member with the event that calls it %s, and takes it back with the one that takes that back',
    (reachability, hold, release) => {
      const { sim, nodes } = formed(12)
      const self = nodes[0]!
      const { router, called } = routerOn(sim, self)
      sim.runFor(5000)
      expect(ids(router)).toBe('n2 n3 n4 n5')
      hold(sim, nodes[2]!)
      sim.runUntil(() => self.eventsOf(reachability).length > 0, 4900, `n3 is ${reachability}`)
      expect(ids(router)).toBe('n2 n4 n5')
      for (let i = 0; i < 100; i++) router.send('t', BYTES)
      expect(called).not.toContain('n3')
      release(sim, nodes[2]!)
      const back = reachability === 'stalled' ? 'recovered' : 'reachable'
      sim.runUntil(() => self.eventsOf(back).length > 0, 4900, `n3 is ${back}`)
      expect(ids(router)).toBe('n2 n3 n4 n5')
      for (let i = 0; i < 100; i++) router.send('t', BYTES)
      expect(called).toContain('n3')
    },
  )

  it('skips a member that leaves as soon as that is known', () => {
    const { sim, nodes } = formed(13)
    const { router } = routerOn(sim, nodes[0]!)
    sim.command(nodes[1]!, { type: 'leave', uid: nodes[1]!.uid })
    sim.runUntil(() => nodes[0]!.eventsOf('memberLeft').length > 0, 3000, 'n2 leaves')
    expect(ids(router)).toBe('n3 n4 n5')
  })
})
