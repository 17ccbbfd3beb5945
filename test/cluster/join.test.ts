import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Cluster } from '../../src/cluster/cluster.js'
import type { StreamItem } from '../../src/cluster/events.js'
import { joinCluster } from '../../src/cluster/join.js'
import { keepMajority, manual } from '../../src/core/downing.js'
import {
  at,
  eventTypes,
  NATIVE_MISSING,
  Nodes,
  nodeIds,
  statuses,
  type TransportName,
  waitFor,
} from './support.js'

let nodes: Nodes

afterEach(async () => {
  await nodes?.end()
})

const TRANSPORTS: readonly TransportName[] = ['native', 'net', 'memory']

for (const transport of TRANSPORTS) {
  const missing = transport === 'native' && NATIVE_MISSING
  describe.skipIf(missing)(`nodes over the ${transport} transport`, () => {
    it('a node alone founds a cluster and leads it', async () => {
      nodes = new Nodes(transport)
      const node = await nodes.join({ nodeId: 'n1', roles: ['api'] })
      expect(node.self).toMatchObject({ nodeId: 'n1', status: 'up', upNumber: 1, roles: ['api'] })
      expect(node.self.address.port).toBeGreaterThan(0)
      await waitFor(() => node.state.converged)
      expect(node.state.leader?.uid).toBe(node.self.uid)
      expect(node.state).toBe(node.state)
    })

    it('three nodes see each other up, agree on the leader, and the state is one object until it changes', async () => {
      nodes = new Nodes(transport)
      const all = await nodes.form(3)
      await waitFor(() => all.every((node) => node.state.converged))
      const leaders = new Set(all.map((node) => node.state.leader?.uid))
      expect(leaders.size).toBe(1)
      for (const node of all) {
        expect(nodeIds(node.state)).toBe('n1,n2,n3')
        expect(node.state.unreachable).toEqual([])
        expect(node.state).toBe(node.state)
      }
    })

    it('leave: leaving, exiting, removed at the others; nobody quarantined; the node is closed', async () => {
      nodes = new Nodes(transport)
      const [a, b, c] = (await nodes.form(3)) as [Cluster, Cluster, Cluster]
      const seen = eventTypes(a)
      await c.leave()
      expect(await c.closed).toMatchObject({ reason: 'left' })
      await waitFor(() => [a, b].every((node) => nodeIds(node.state) === 'n1,n2'))
      await waitFor(() => seen.includes('memberRemoved'))
      expect(seen.filter((type) => type.startsWith('member'))).toEqual([
        'memberLeft',
        'memberExited',
        'memberRemoved',
      ])
      expect(a.state.quarantined).toEqual([])
      await expect(c.leave()).resolves.toBeUndefined()
      expect(c.peers()).toEqual([])
    })

    it('an abrupt close is unreachable and still a member; down makes it removed and quarantined', async () => {
      nodes = new Nodes(transport)
      const [a, b, c] = (await nodes.form(3, { downing: manual() })) as [Cluster, Cluster, Cluster]
      const { uid } = c.self
      await c.close()
      await waitFor(() => [a, b].every((node) => node.state.unreachable.some((m) => m.uid === uid)))
      for (const node of [a, b]) expect(statuses(node.state)).toBe('up,up,up')
      a.down('n3')
      await waitFor(() => [a, b].every((node) => nodeIds(node.state) === 'n1,n2'))
      for (const node of [a, b]) {
        expect(node.state.quarantined).toMatchObject([{ uid, nodeId: 'n3', reason: 'removedAfterDown' }])
      }
      const again = await nodes.join({ nodeId: 'n3' }, [a])
      expect(again.self.uid > uid).toBe(true)
      await waitFor(() => [a, b].every((node) => statuses(node.state) === 'up,up,up'))
    })

    it('a duplicate nodeId is refused, and the member undisturbed', async () => {
      nodes = new Nodes(transport)
      const [a, b] = (await nodes.form(2)) as [Cluster, Cluster]
      const seen = [...[a, b].map(eventTypes)]
      const error = await nodes.join({ nodeId: 'n2' }, [a]).catch((reason) => reason)
      expect(error).toMatchObject({ code: 'ERR_SKEIN_DUPLICATE_NODE_ID', retryable: false })
      expect(error.message).toContain('n2')
      await waitFor(() => seen.some((types) => types.includes('joinRejected')))
      expect(statuses(a.state)).toBe('up,up')
      expect(seen.flat()).not.toContain('unreachable')
      expect(seen.flat()).not.toContain('memberDowned')
    })

    it('a strategy removes what stays away, after it has waited', async () => {
      nodes = new Nodes(transport)
      const downing = keepMajority({ stableAfterMs: 1000 })
      const [a, b, c] = (await nodes.form(3, { downing })) as [Cluster, Cluster, Cluster]
      const seen = [eventTypes(a), eventTypes(b)]
      await c.close()
      await waitFor(() => [a, b].every((node) => nodeIds(node.state) === 'n1,n2'))
      await waitFor(() => seen.every((types) => types.includes('memberRemoved')))
      for (const types of seen) {
        const order = types.filter((type) => ['unreachable', 'memberDowned', 'memberRemoved'].includes(type))
        expect(order).toEqual(['unreachable', 'memberDowned', 'memberRemoved'])
      }
      expect(seen.flat()).toContain('downingDecision')
    })

    it('an aborted join leaves nothing behind', async () => {
      nodes = new Nodes(transport)
      const a = await nodes.join({ nodeId: 'n1' })
      const abort = new AbortController()
      const nowhere = { ...nodes.options(), seeds: ['127.0.0.1:1'], signal: abort.signal }
      const joining = joinCluster(nowhere).catch((reason) => reason)
      await new Promise((resolve) => setTimeout(resolve, 50))
      abort.abort(new Error('changed my mind'))
      expect(await joining).toMatchObject({
        code: 'ERR_SKEIN_ABORTED',
        cause: { message: 'changed my mind' },
      })
      const early = joinCluster({ ...nodes.options([a]), signal: AbortSignal.abort() }).catch(
        (reason) => reason,
      )
      expect(await early).toMatchObject({ code: 'ERR_SKEIN_ABORTED' })
      expect(statuses(a.state)).toBe('up')
    })

    it('a join that nobody answers times out and says what became of each seed', async () => {
      nodes = new Nodes(transport)
      const options = { nodeId: 'n9', seeds: ['127.0.0.1:1'], joinTimeoutMs: 600 }
      const error = await nodes.join(options).catch((reason) => reason)
      expect(error).toMatchObject({ code: 'ERR_SKEIN_JOIN_TIMEOUT', retryable: true })
      expect(error.message).toMatch(/n9.*600 ms.*127\.0\.0\.1:1: connection refused/)
    })

    it('another cluster name is told apart', async () => {
      nodes = new Nodes(transport)
      const a = await nodes.join({ nodeId: 'n1' })
      const options = { name: 'another', nodeId: 'n9', joinTimeoutMs: 600 }
      const error = await nodes.join(options, [a]).catch((reason) => reason)
      expect(error.code).toBe('ERR_SKEIN_JOIN_TIMEOUT')
      expect(error.message).toContain('cluster of another name')
      expect(statuses(a.state)).toBe('up')
      expect(a.counters()['badInput.clusterMismatch']).toBeGreaterThan(0)
      expect(a.counters()['events.connectionRejected']).toBeGreaterThan(0)
    })
  })
}

describe('errors and their state', () => {
  it.each(NATIVE_MISSING ? ['net' as const] : ['net' as const, 'native' as const])(
    'BIND over %s: the port is taken',
    async (transport) => {
      nodes = new Nodes(transport)
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      const error = await nodes.join({ listen: { host: '127.0.0.1', port } }).catch((reason) => reason)
      server.close()
      expect(error).toMatchObject({ code: 'ERR_SKEIN_BIND' })
      expect(error.message).toContain(String(port))
    },
  )

  it('INVALID_OPTION rejects, it does not throw', async () => {
    const joining = joinCluster({ name: '', listen: '127.0.0.1:0' })
    await expect(joining).rejects.toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', path: 'name' })
  })

  it('NOT_MEMBER lists the members; nothing changed', async () => {
    nodes = new Nodes('memory')
    const [a] = (await nodes.form(2)) as [Cluster, Cluster]
    const down = () => a.down('n7')
    expect(down).toThrowError(/no member is called "n7".*n1 at .*n2 at /)
    await expect(a.leave('n7')).rejects.toMatchObject({ code: 'ERR_SKEIN_NOT_MEMBER' })
    expect(statuses(a.state)).toBe('up,up')
  })

  it('CLOSED: commands on a closed node', async () => {
    nodes = new Nodes('memory')
    const node = await nodes.join()
    await node.close()
    await node.close()
    expect(await node.closed).toEqual({ reason: 'closed', detail: '' })
    expect(() => node.down(node.self)).toThrowError(expect.objectContaining({ code: 'ERR_SKEIN_CLOSED' }))
    await expect(node.leave(node.self)).rejects.toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
    await expect(node.leave()).resolves.toBeUndefined()
    expect(node.counters()['events.closed']).toBe(1)
  })

  it('LEAVE_TIMEOUT: somebody is unreachable; the message names who', async () => {
    nodes = new Nodes('memory')
    const [a, b, c] = (await nodes.form(3)) as [Cluster, Cluster, Cluster]
    await c.close()
    await waitFor(() => [a, b].every((node) => node.state.unreachable.length === 1))
    const error = await b.leave({ timeoutMs: 300 }).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_SKEIN_LEAVE_TIMEOUT', retryable: true })
    expect(error.message).toContain('n3')
    expect(b.self.status).toBe('leaving')
    const leaving = b.leave()
    a.down('n3')
    await leaving
    expect(await b.closed).toMatchObject({ reason: 'left' })
  })

  it('a leave is rejected when the node ends otherwise meanwhile', async () => {
    nodes = new Nodes('memory')
    const [a, b, c] = (await nodes.form(3)) as [Cluster, Cluster, Cluster]
    await c.close()
    await waitFor(() => [a, b].every((node) => node.state.unreachable.length === 1))
    const leaving = b.leave().catch((reason) => reason)
    a.down('n2')
    expect(await leaving).toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
    expect(await b.closed).toMatchObject({ reason: 'downed' })
  })

  it('a join that waits for an unreachable member times out, names it, and leaves no ghost', async () => {
    nodes = new Nodes('memory')
    const [a, b, c] = (await nodes.form(3)) as [Cluster, Cluster, Cluster]
    await c.close()
    await waitFor(() => [a, b].every((node) => node.state.unreachable.length === 1))
    const error = await nodes.join({ nodeId: 'n4', joinTimeoutMs: 1000 }, [a]).catch((reason) => reason)
    expect(error.code).toBe('ERR_SKEIN_JOIN_TIMEOUT')
    expect(error.message).toMatch(/let in.*n3.*unreachable/)
    await waitFor(() => a.state.members.every((m) => m.nodeId !== 'n4' || m.status === 'down'))
    a.down('n3')
    await waitFor(() => [a, b].every((node) => nodeIds(node.state) === 'n1,n2'))
  })

  it('asking another member to leave waits for its removal', async () => {
    nodes = new Nodes('memory')
    const [a, b] = (await nodes.form(2)) as [Cluster, Cluster]
    await a.leave('n2')
    expect(nodeIds(a.state)).toBe('n1')
    expect(await b.closed).toMatchObject({ reason: 'left' })
  })
})

describe('what a node leaves behind', () => {
  it('no listener on the signal, whichever way the join ends', async () => {
    nodes = new Nodes('memory')
    const counts = { added: 0, removed: 0 }
    const controller = new AbortController()
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      counts.added += 1
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      counts.removed += 1
      remove(...args)
    }
    const node = await nodes.join({ signal })
    await nodes.join({ signal, seeds: ['127.0.0.1:1'], joinTimeoutMs: 600 }).catch(() => {})
    expect(counts).toEqual({ added: 2, removed: 2 })
    controller.abort()
    expect(node.self.status).toBe('up')
  })

  it('iterators end with the closed event, and on() hears it too', async () => {
    nodes = new Nodes('memory')
    const node = await nodes.join()
    const items: StreamItem[] = []
    const reading = (async () => {
      for await (const item of node.events()) items.push(item)
    })()
    const heard: string[] = []
    node.on('closed', (event) => heard.push(event.reason))
    {
      await using disposed = node
      expect(disposed).toBe(node)
    }
    await reading
    expect(items[0]).toMatchObject({ type: 'snapshot', state: { self: { uid: node.self.uid } } })
    expect(items.at(-1)).toEqual({ type: 'closed', reason: 'closed', detail: '' })
    expect(heard).toEqual(['closed'])
  })

  it('bufferMax is checked', async () => {
    nodes = new Nodes('memory')
    const node = await nodes.join()
    expect(() => node.events({ bufferMax: 0 })).toThrowError(expect.objectContaining({ path: 'bufferMax' }))
  })

  it('references: by uid, nodeId, address or member', async () => {
    nodes = new Nodes('memory')
    const [a, b] = (await nodes.form(2)) as [Cluster, Cluster]
    const { uid, address } = b.self
    const removed: string[] = []
    a.on('memberRemoved', ({ member }) => removed.push(member.uid))
    a.down(at(address))
    await b.closed
    await waitFor(() => removed.length === 1)
    expect(removed).toEqual([uid])
    expect(() => a.down({ uid })).toThrowError(/no member is called/)
  })
})
