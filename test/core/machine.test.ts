import { describe, expect, it } from 'vitest'
import { makeUid } from '../../src/core/address.js'
import { keepMajority, manual } from '../../src/core/downing.js'
import { TestMachines } from './machines.js'

describe('membership machine', () => {
  it('founds a cluster alone and is up at once', () => {
    const net = new TestMachines()
    const node = net.start(1)
    expect(node.machine.state().members.map((m) => m.status)).toEqual(['up'])
    expect(node.machine.state().converged).toBe(true)
    expect(node.machine.state().leader?.nodeId).toBe('n1')
  })

  it('forms five nodes, all up everywhere, converged, with distinct upNumbers', () => {
    const net = new TestMachines()
    const nodes = net.form(5)
    net.run(2000)
    for (const node of nodes) {
      const state = node.machine.state()
      expect(state.converged).toBe(true)
      expect(new Set(state.members.map((m) => m.upNumber)).size).toBe(5)
      expect(state.leader?.nodeId).toBe('n1')
    }
  })

  it('downs, removes and quarantines a killed member after stableAfterMs, and not before', () => {
    const net = new TestMachines()
    const nodes = net.form(5)
    const victim = nodes[4]
    const rest = nodes.slice(0, 4)
    if (victim === undefined) throw new Error('five nodes')
    net.kill(victim)
    net.runUntil(() => rest.every((n) => n.machine.state().unreachable.length === 1), 1000)
    net.run(4500)
    for (const n of rest) expect(net.member(n, victim)?.status).toBe('up')
    net.runUntil(() => rest.every((n) => n.machine.state().members.length === 4), 3000)
    for (const n of rest) {
      expect(n.quarantined.has(victim.self.uid)).toBe(true)
      expect(n.machine.state().quarantined.map((q) => q.nodeId)).toEqual(['n5'])
    }
    expect(rest.flatMap((n) => n.events).filter((e) => e.type === 'downingDecision')).toHaveLength(1)
  })

  it('keeps an unreachable member a member under manual downing, and removes it on an operator word', () => {
    const net = new TestMachines({ downing: manual() })
    const nodes = net.form(3)
    const [first, second, victim] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
    net.kill(victim)
    net.run(60_000)
    expect(net.member(first, victim)?.status).toBe('up')
    expect(first.machine.state().blockers.map((b) => [b.nodeId, b.reason])).toEqual([['n3', 'unreachable']])
    net.input(second, { type: 'down', uid: victim.self.uid })
    net.runUntil(() => net.member(first, victim) === undefined, 2000)
  })

  it('lets a member leave through leaving and exiting, and quarantines nobody', () => {
    const net = new TestMachines()
    const nodes = net.form(4)
    const leaver = nodes[3] as (typeof nodes)[0]
    net.input(leaver, { type: 'leave', uid: leaver.self.uid })
    net.runUntil(() => leaver.terminated !== undefined, 5000)
    expect(leaver.terminated).toBe('left')
    net.run(5000)
    for (const n of nodes.slice(0, 3)) {
      expect(n.machine.state().members).toHaveLength(3)
      expect(n.machine.state().quarantined).toEqual([])
      expect(n.machine.state().converged).toBe(true)
    }
    const removed = nodes[0]?.events.find((e) => e.type === 'memberRemoved')
    expect(removed).toMatchObject({ cause: 'left' })
  })

  it('lets the leader itself leave', () => {
    const net = new TestMachines()
    const nodes = net.form(3)
    const leader = nodes[0] as (typeof nodes)[0]
    net.input(leader, { type: 'leave', uid: leader.self.uid })
    net.runUntil(() => leader.terminated !== undefined, 5000)
    net.run(3000)
    expect(nodes[1]?.machine.state().leader?.nodeId).toBe('n2')
    expect(nodes[1]?.machine.state().members).toHaveLength(2)
  })

  it('replaces a dead incarnation of the same nodeId without waiting for stableAfterMs', () => {
    const net = new TestMachines()
    const nodes = net.form(3)
    const victim = nodes[2] as (typeof nodes)[0]
    net.kill(victim)
    net.run(10)
    const again = net.start(3, { port: 2003 })
    net.runUntil(() => net.member(again, again)?.status === 'up' && net.allUp(3), 4000)
    expect(nodes[0]?.events.some((e) => e.type === 'memberDowned' && e.reason === 'replaced')).toBe(true)
  })

  it('refuses a second node with the nodeId of a living member, and leaves that one alone', () => {
    const net = new TestMachines()
    const nodes = net.form(3)
    const copy = net.start(9, { nodeId: 'n2' })
    net.runUntil(() => copy.terminated !== undefined, 5000)
    expect(copy.terminated).toBe('joinRefused')
    net.run(1000)
    expect(net.allUp(3)).toBe(true)
    expect(nodes.every((n) => n.machine.state().unreachable.length === 0)).toBe(true)
  })

  it('refuses a copy of itself at once: it need not ask whether it lives', () => {
    const net = new TestMachines()
    const [only] = net.form(1) as [(typeof net.nodes)[0]]
    const copy = net.start(9, { nodeId: 'n1' })
    net.runUntil(() => copy.terminated !== undefined, 100)
    expect(copy.terminated).toBe('joinRefused')
    expect(only.events.filter((e) => e.type === 'joinRejected')).toMatchObject([
      { reason: 'duplicateNodeId' },
    ])
    expect(only.probed).toEqual([])
  })

  it('cuts 3|2: the larger side stays, the smaller side goes down', () => {
    const net = new TestMachines()
    const nodes = net.form(5)
    const [a, b] = [nodes.slice(0, 3), nodes.slice(3)]
    for (const x of a) for (const y of b) net.cut(x, y)
    net.run(20_000)
    for (const n of a) expect(n.machine.state().members.map((m) => m.nodeId)).toEqual(['n1', 'n2', 'n3'])
    expect(b.map((n) => n.terminated)).toEqual(['downed', 'downed'])
  })

  it('reports one bad link as a link, not as a node', () => {
    const net = new TestMachines()
    const nodes = net.form(5)
    net.cut(nodes[1] as (typeof nodes)[0], nodes[3] as (typeof nodes)[0])
    net.run(30_000)
    for (const n of nodes) {
      expect(n.terminated).toBeUndefined()
      expect(n.machine.state().unreachable).toEqual([])
    }
    expect(nodes[0]?.events.some((e) => e.type === 'linkDegraded')).toBe(true)
  })

  it('ends when a member says that this incarnation is quarantined there, and ignores strangers who say so', () => {
    const net = new TestMachines({ downing: manual() })
    const nodes = net.form(3)
    const [first, second, lost] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
    net.cut(first, lost)
    net.cut(second, lost)
    net.run(2000)
    net.input(first, { type: 'down', uid: lost.self.uid })
    net.runUntil(() => second.quarantined.has(lost.self.uid), 3000)
    const stranger = { uid: makeUid(1, 1), address: { host: '10.9.9.9', port: 1 } }
    net.input(lost, { type: 'quarantinedBy', ...stranger, reason: 'removedAfterDown' })
    expect(lost.terminated).toBeUndefined()
    net.heal(first, lost)
    net.runUntil(() => lost.terminated !== undefined, 2000)
    expect(lost.terminated).toBe('quarantined')
    expect(lost.events.filter((e) => e.type === 'thisNodeQuarantined')).toHaveLength(1)
  })

  it('skips a stalled leader, names it as a blocker, and takes it back', () => {
    const net = new TestMachines()
    const nodes = net.form(3)
    const [leader, second, third] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
    const stall = { type: 'stalled', uid: leader.self.uid, stalled: true, loopAgeMs: 2000 } as const
    net.input(second, stall)
    net.input(third, stall)
    net.run(500)
    expect(second.machine.state().leader?.nodeId).toBe('n2')
    expect(second.machine.state().stalled.map((m) => m.nodeId)).toEqual(['n1'])
    net.input(second, { ...stall, stalled: false, loopAgeMs: 0 })
    net.input(third, { ...stall, stalled: false, loopAgeMs: 0 })
    net.run(500)
    expect(second.machine.state().leader?.nodeId).toBe('n1')
  })

  it('takes no welcome that it has not asked for', () => {
    const net = new TestMachines()
    const nodes = net.form(3)
    const [first, second] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    const stranger = { uid: 'ffffffffffffff00', nodeId: 'x', address: { host: '10.6.6.6', port: 6 } }
    const own = first.machine.state().self
    const entry = {
      ...second.self,
      roles: [],
      upNumber: 2,
      downReason: 'operator' as const,
      origin: stranger.uid,
    }
    const lie = { ...entry, status: 'removed' as const, cause: 'downed' as const, seq: 1 }
    const self = { ...lie, ...first.self, status: 'up' as const, cause: 'none' as const, seq: 2 }
    const state = { members: [lie, self], rows: [], presences: [], vector: [[stranger.uid, 2] as const] }
    net.input(first, { type: 'linkUp', peer: stranger, session: 9 })
    net.input(first, { type: 'message', from: stranger.uid, session: 9, message: { type: 'welcome', state } })
    expect(first.machine.state().members.map((m) => m.nodeId)).toEqual(['n1', 'n2', 'n3'])
    expect(first.machine.state().self).toBe(own)
    expect(first.events).toContainEqual({ type: 'messageDropped', from: stranger.uid, reason: 'unexpected' })
  })

  it('never founds a second cluster once a member has spoken, not even one that is closing', () => {
    const net = new TestMachines({ seeds: [1001, 1002].map((port) => ({ host: '10.0.0.1', port })) })
    const closing = { uid: 'ffffffffffffff01', nodeId: 'n2', address: { host: '10.0.0.1', port: 1002 } }
    const first = net.start(1)
    net.input(first, { type: 'linkUp', peer: closing, session: 1 })
    const message = { type: 'initJoinNack', reason: 'closing' } as const
    net.input(first, { type: 'message', from: closing.uid, session: 1, message })
    net.run(20_000)
    expect(first.machine.state().members).toEqual([])
    net.run(20_000)
    expect(first.terminated).toBe('joinTimeout')
  })

  it('comes to a decision though its loop is late again and again', () => {
    const net = new TestMachines({ downing: keepMajority({ stableAfterMs: 20_000 }) })
    const nodes = net.form(3)
    const victim = nodes[2] as (typeof nodes)[0]
    net.kill(victim)
    net.run(1000)
    for (let i = 0; i < 12; i++) {
      net.run(3000)
      // Nobody's loop turns for two seconds.
      net.nowMs += 2000
    }
    expect(nodes[0]?.machine.state().members).toHaveLength(2)
  })

  it('believes nothing of a member that it holds down', () => {
    const net = new TestMachines({ downing: manual() })
    const nodes = net.form(5)
    const [left, right] = [nodes.slice(0, 3), nodes.slice(3)]
    for (const a of left) for (const b of right) net.cut(a, b)
    net.run(3000)
    const [n1, n4] = [left[0] as (typeof nodes)[0], right[0] as (typeof nodes)[0]]
    net.input(n1, ...right.map((b) => ({ type: 'down' as const, uid: b.self.uid })))
    net.input(n4, ...left.map((a) => ({ type: 'down' as const, uid: a.self.uid })))
    net.run(3)
    for (const a of left) for (const b of right) net.heal(a, b)
    net.run(10_000)
    expect(left.map((n) => n.terminated)).toEqual([undefined, undefined, undefined])
  })
})
