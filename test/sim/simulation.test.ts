import { describe, expect, it } from 'vitest'
import { keepMajority, manual } from '../../src/core/downing.js'
import { type SimNode, Simulation } from '../../src/sim/simulation.js'

const names = (node: SimNode): string => node.state.members.map((m) => m.nodeId).join(' ')
const count = (nodes: readonly SimNode[], type: Parameters<SimNode['eventsOf']>[0]): number =>
  nodes.reduce((sum, n) => sum + n.eventsOf(type).length, 0)

describe('simulated cluster', () => {
  it('forms from three seeds that start together, and one cluster only', () => {
    const sim = new Simulation({ seed: 1 })
    const nodes = sim.form(5)
    expect(new Set(nodes.map((n) => names(n))).size).toBe(1)
    sim.runFor(60_000)
    expect(count(nodes, 'unreachable') + count(nodes, 'stalled')).toBe(0)
    expect(nodes.every((n) => n.state.converged)).toBe(true)
  })

  it('repeats itself exactly for one seed', () => {
    const run = (seed: number) => {
      const sim = new Simulation({ seed })
      const nodes = sim.form(5)
      sim.crash(nodes[2] as SimNode)
      sim.runFor(12_000)
      return JSON.stringify(nodes.map((n) => n.events))
    }
    expect(run(7)).toBe(run(7))
    expect(run(7)).not.toBe(run(8))
  })

  it('sees a killed process at once, and removes it only after stableAfterMs', () => {
    const sim = new Simulation({ seed: 2 })
    const nodes = sim.form(5)
    const victim = nodes[3] as SimNode
    sim.runFor(3000)
    const killedMs = sim.nowMs
    sim.crash(victim)
    sim.runUntil(
      () => sim.running.every((n) => n.state.unreachable.length === 1),
      300,
      'unreachable everywhere',
    )
    sim.runUntil(() => sim.running.every((n) => n.state.members.length === 4), 8000, 'removed everywhere')
    for (const node of sim.running) {
      const removed = node.events.find(({ event }) => event.type === 'memberRemoved')
      expect(removed?.atMs ?? 0).toBeGreaterThan(killedMs + 5000)
      expect(node.state.quarantined.map((q) => q.uid)).toEqual([victim.uid])
    }
    expect(count(nodes, 'downingDecision')).toBe(1)
  })

  it('lets a killed node come back under its nodeId at another port, as a new incarnation', () => {
    const sim = new Simulation({ seed: 3 })
    const nodes = sim.form(5)
    sim.crash(nodes[4] as SimNode)
    const again = sim.start({ nodeId: 'n5', port: 7100 })
    sim.runUntil(() => again.state.self.status === 'up' && sim.agree(5), 4000, 'the new incarnation is up')
    expect(again.uid > (nodes[4] as SimNode).uid).toBe(true)
  })

  it('lets it come back at the same address too', () => {
    const sim = new Simulation({ seed: 4 })
    const nodes = sim.form(3)
    sim.crash(nodes[2] as SimNode)
    const again = sim.start({ nodeId: 'n3', port: 7002 })
    sim.runUntil(() => again.state.self.status === 'up' && sim.agree(3), 4000, 'the new incarnation is up')
  })

  it('heals a pause without touching membership', () => {
    const sim = new Simulation({ seed: 5 })
    const nodes = sim.form(5)
    const sleeper = nodes[1] as SimNode
    sim.runFor(2000)
    sim.pause(sleeper)
    const others = nodes.filter((n) => n !== sleeper)
    sim.runUntil(() => others.every((n) => n.state.unreachable.length === 1), 6000, 'unreachable everywhere')
    sim.resume(sleeper)
    sim.runUntil(() => sim.agree(5), 2000, 'reachable again')
    sim.runFor(20_000)
    expect(sim.agree(5)).toBe(true)
    expect(count(nodes, 'memberDowned') + count(nodes, 'memberRemoved')).toBe(0)
    expect(sleeper.eventsOf('selfPaused').length).toBeGreaterThan(0)
    expect(sleeper.eventsOf('unreachable')).toEqual([])
  })

  it('calls a blocked loop stalled, never unreachable, until maxLoopStallMs', () => {
    const sim = new Simulation({ seed: 6 })
    const nodes = sim.form(5)
    const busy = nodes[0] as SimNode
    const others = nodes.slice(1)
    sim.blockLoop(busy)
    sim.runFor(5000)
    expect(others.every((n) => n.state.stalled.length === 1)).toBe(true)
    expect(others.every((n) => n.state.leader?.nodeId === 'n2')).toBe(true)
    sim.unblockLoop(busy)
    sim.runUntil(() => sim.agree(5), 2000, 'recovered')
    expect(count(nodes, 'unreachable')).toBe(0)
    for (const node of others) expect(node.eventsOf('stalled').length).toBe(1)
  })

  it('reports a loop that never turns again as unreachable after maxLoopStallMs, and downs it', () => {
    const sim = new Simulation({ seed: 16 })
    const nodes = sim.form(5)
    sim.blockLoop(nodes[2] as SimNode)
    const others = nodes.filter((_, i) => i !== 2)
    sim.runFor(28_000)
    expect(others.every((n) => n.state.unreachable.length === 0)).toBe(true)
    sim.runUntil(() => others.every((n) => n.state.members.length === 4), 15_000, 'removed')
  })

  it.each([3, 4, 5, 9])(
    'cuts %i nodes: one side survives, and it is the majority or holds the lowest address',
    (size) => {
      const sim = new Simulation({ seed: 100 + size })
      const nodes = sim.form(size)
      const half = Math.floor(size / 2)
      const [minority, majority] = [nodes.slice(0, half), nodes.slice(half)]
      sim.partition(minority, majority)
      sim.runFor(20_000)
      const [winners, losers] = size === half * 2 ? [minority, majority] : [majority, minority]
      for (const node of winners) expect(names(node)).toBe(winners.map((n) => n.nodeId).join(' '))
      for (const node of losers) expect(node.ended).toBe('downed')
      sim.network.healAll()
      sim.runFor(5000)
      expect(sim.agree(winners.length)).toBe(true)
    },
  )

  it('survives a cut shorter than stableAfterMs with membership unchanged', () => {
    const sim = new Simulation({ seed: 8 })
    const nodes = sim.form(5)
    sim.partition(nodes.slice(0, 2), nodes.slice(2))
    sim.runUntil(() => nodes.every((n) => n.state.unreachable.length > 0), 8000, 'both sides see it')
    sim.network.healAll()
    sim.runUntil(() => sim.agree(5), 4000, 'healed')
    sim.runFor(20_000)
    expect(sim.agree(5)).toBe(true)
    expect(count(nodes, 'memberDowned')).toBe(0)
  })

  it('reports one bad link as a link', () => {
    const sim = new Simulation({ seed: 9 })
    const nodes = sim.form(5)
    sim.network.cut((nodes[0] as SimNode).address, (nodes[3] as SimNode).address)
    sim.runFor(40_000)
    expect(sim.agree(5)).toBe(true)
    expect(count(nodes, 'unreachable')).toBe(0)
    expect(count(nodes, 'linkDegraded')).toBeGreaterThan(0)
    sim.network.healAll()
    sim.runFor(10_000)
    expect(count(nodes, 'linkRestored')).toBe(count(nodes, 'linkDegraded'))
  })

  it('convicts nobody on the word of a node that hears no one, even among three', () => {
    const sim = new Simulation({ seed: 10 })
    const nodes = sim.form(3)
    const deaf = nodes[2] as SimNode
    for (const other of nodes.slice(0, 2)) sim.network.cut(other.address, deaf.address, { oneWay: true })
    sim.runFor(4500)
    for (const node of nodes.slice(0, 2)) {
      const accused = node.eventsOf('unreachable').flatMap((e) => e.members.map((m) => m.nodeId))
      expect(accused.filter((id) => id !== 'n3')).toEqual([])
    }
  })

  it('refuses a copy of a living nodeId and leaves the member alone', () => {
    const sim = new Simulation({ seed: 11 })
    sim.form(3)
    const copy = sim.start({ nodeId: 'n2' })
    sim.runUntil(() => copy.ended !== undefined, 5000, 'refused')
    expect(copy.ended).toBe('joinRefused')
    sim.runFor(5000)
    expect(sim.agree(3)).toBe(true)
  })

  it('ends a node that was downed behind a cut as soon as it is told', () => {
    const sim = new Simulation({ seed: 12, downing: manual() })
    const nodes = sim.form(3)
    const lost = nodes[2] as SimNode
    const [first] = nodes as [SimNode]
    sim.partition(nodes.slice(0, 2), [lost])
    sim.runUntil(() => first.state.unreachable.length === 1, 6000, 'unreachable')
    sim.command(first, { type: 'down', uid: lost.uid })
    sim.runUntil(() => first.state.members.length === 2, 2000, 'removed')
    sim.network.healAll()
    sim.runUntil(() => lost.ended !== undefined, 5000, 'told')
    // What was in flight arrives first: the word that it is down.
    expect(lost.ended).toBe('downed')
    sim.runUntil(() => sim.agree(2), 1000, 'the two agree')
  })

  it('lets one leave: leaving, exiting, removed, nobody quarantined', () => {
    const sim = new Simulation({ seed: 13 })
    const nodes = sim.form(5)
    const leaver = nodes[0] as SimNode
    sim.command(leaver, { type: 'leave', uid: leaver.uid })
    sim.runUntil(() => leaver.ended === 'left' && sim.agree(4), 5000, 'left')
    sim.runFor(10_000)
    expect(sim.agree(4)).toBe(true)
    expect(count(nodes, 'quarantined') + count(nodes, 'unreachable')).toBe(0)
  })

  it('forms thirty nodes on a sparse overlay, and the roll call finds who only the other side watches', () => {
    const sim = new Simulation({ seed: 14, settings: { observersMax: 4 } })
    const nodes = sim.form(30, 30_000)
    const [minority, majority] = [nodes.slice(0, 12), nodes.slice(12)]
    sim.partition(minority, majority)
    sim.runUntil(
      () => majority.every((n) => n.state.unreachable.length === 12),
      10_000,
      'all twelve are unreachable',
    )
    sim.runFor(20_000)
    expect(sim.agree(18)).toBe(true)
    for (const node of minority) expect(node.ended).toBe('downed')
  })

  it('does not let a stream of joins starve the earlier ones', () => {
    const sim = new Simulation({ seed: 15 })
    sim.form(5)
    const joined: { node: SimNode; atMs: number }[] = []
    for (let i = 0; i < 20; i++) {
      joined.push({ node: sim.start(), atMs: sim.nowMs })
      sim.runFor(100)
    }
    sim.runUntil(() => sim.agree(25), 5000, 'all up')
    for (const { node, atMs } of joined) {
      const up = node.events.find(({ event }) => event.type === 'memberUp' && event.member.uid === node.uid)
      expect((up?.atMs ?? Number.POSITIVE_INFINITY) - atMs).toBeLessThan(3000)
    }
  })

  it.each([1, 2, 3, 4, 5, 6])('lets no stalled witness keep both sides of a cut alive (seed %i)', (seed) => {
    const sim = new Simulation({ seed, settings: { observersMax: 4 } })
    const nodes = sim.form(11, 30_000)
    const [minority, majority] = [nodes.slice(0, 5), nodes.slice(5)]
    const staller = minority[1 + (seed % 4)] as SimNode
    sim.partition(minority, majority)
    sim.runFor(2500 + (seed % 5) * 600)
    sim.blockLoop(staller)
    sim.runFor(28_000)
    const deciders = nodes.filter((n) =>
      n.eventsOf('downingDecision').some((e) => e.decision === 'downUnreachable'),
    )
    expect(deciders.every((n) => majority.includes(n))).toBe(true)
    for (const node of minority) expect(node === staller || node.ended === 'downed', node.nodeId).toBe(true)
    expect(sim.running.filter((n) => n !== staller)).toEqual(majority)
  })

  it('keeps roll calls valid after the node that opened most of them has left', () => {
    const sim = new Simulation({ seed: 14, settings: { observersMax: 3 } })
    const nodes = sim.form(15, 30_000)
    const deaf = nodes[14] as SimNode
    for (let flap = 0; flap < 4; flap++) {
      for (const other of nodes.slice(0, 14)) sim.network.cut(other.address, deaf.address, { oneWay: true })
      sim.runFor(6000)
      sim.network.healAll()
      sim.runFor(3000)
    }
    sim.command(deaf, { type: 'leave', uid: deaf.uid })
    sim.runFor(8000)
    const [minority, majority] = [nodes.slice(0, 6), nodes.slice(6, 14)]
    sim.partition(minority, majority)
    sim.runFor(40_000)
    expect(minority.map((n) => n.ended)).toEqual(minority.map(() => 'downed'))
    expect(sim.running).toEqual(majority)
    expect(sim.agree(8)).toBe(true)
  })

  it('never founds a second cluster when the seed that was asked dies', () => {
    const sim = new Simulation({ seed: 17, downing: keepMajority({ stableAfterMs: 20_000 }) })
    const nodes = sim.form(5)
    const [n1, , , , n5] = nodes as [SimNode, SimNode, SimNode, SimNode, SimNode]
    sim.crash(n5)
    sim.crash(n1)
    sim.runFor(50)
    const again = sim.start({ nodeId: 'n1', port: 7000 })
    sim.runFor(7000)
    for (const node of sim.running) {
      if (node !== again && node.address.port === 7001) sim.crash(node)
    }
    sim.runFor(20_000)
    const founded = again.state.members.length === 1 && again.state.self.status === 'up'
    expect(founded).toBe(false)
  })

  it('calls in the first seed that restarts in place while no other seed can be reached', () => {
    const sim = new Simulation({ seed: 18 })
    const nodes = sim.form(6)
    const [n1, n2, n3] = nodes as [SimNode, SimNode, SimNode]
    sim.crash(n2)
    sim.crash(n3)
    sim.runUntil(() => sim.agree(4), 10_000, 'two seeds are removed')
    sim.crash(n1)
    const again = sim.start({ nodeId: 'n1', port: 7000 })
    sim.runUntil(() => sim.agree(4), 6000, 'it is up in the old cluster')
    expect(again.state.self.upNumber).toBeGreaterThan(1)
  })
})
