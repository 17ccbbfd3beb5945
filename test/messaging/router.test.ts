import { describe, expect, it } from 'vitest'
import { MEMBER_STATUSES } from '../../src/core/model.js'
import { ROUTING_LIMITS } from '../../src/messaging/routing/limits.js'
import { resolveRouterOptions } from '../../src/messaging/routing/router-options.js'
import { ANSWER, failure, member, RouterRig, settle, stateOf } from './router-support.js'

const BYTES = Uint8Array.of(1)
const three = [member(1), member(2), member(3)]

function ids(rig: RouterRig): string[] {
  return rig.router.members().map((m) => m.nodeId)
}

describe('whom a router chooses from', () => {
  it('is the members of the role that are up and reachable, by address', () => {
    const all = [
      ...MEMBER_STATUSES.slice(0, -1).map((status, i) => member(10 + i, { status })),
      member(3, { reachability: 'unreachable' }),
      member(4, { reachability: 'stalled' }),
      member(5, { roles: ['web'] }),
      member(2, { roles: ['web', 'db'] }),
      member(1),
    ]
    expect(ids(new RouterRig(all))).toEqual(['n1', 'n2', 'n12'])
  })

  it('leaves this node out, unless it is asked for', () => {
    expect(ids(new RouterRig(three, {}, member(2)))).toEqual(['n1', 'n3'])
    expect(ids(new RouterRig(three, { includeSelf: true }, member(2)))).toEqual(['n1', 'n2', 'n3'])
  })

  it('follows every change at once, there and back', () => {
    const rig = new RouterRig(three)
    for (const traits of [
      { reachability: 'unreachable' },
      { reachability: 'stalled' },
      { status: 'leaving' },
      { status: 'exiting' },
      { status: 'down' },
    ] as const) {
      rig.change(2, traits)
      expect(ids(rig)).toEqual(['n1', 'n3'])
      rig.change(2, {})
      expect(ids(rig)).toEqual(['n1', 'n2', 'n3'])
    }
    rig.state = stateOf([member(1), member(4)])
    expect(ids(rig)).toEqual(['n1', 'n4'])
  })

  it('reads the state when it chooses: the change needs no event to be heard first', () => {
    const rig = new RouterRig([member(1), member(2)], { strategy: 'roundRobin' })
    rig.change(1, { reachability: 'unreachable' })
    for (let i = 0; i < 4; i++) rig.router.send('t', BYTES)
    expect(rig.called).toEqual(['n2', 'n2', 'n2', 'n2'])
  })

  it('is the same list until the state is another object', () => {
    let reads = 0
    const rig = new RouterRig(three)
    const { members } = rig.state
    rig.state = {
      ...rig.state,
      get members() {
        reads += 1
        return members
      },
    }
    for (let i = 0; i < 10; i++) rig.router.send('t', BYTES)
    expect(reads).toBe(1)
  })

  it('keeps unanswered requests in the count through an outage', async () => {
    const rig = new RouterRig([member(1), member(2)], { strategy: 'leastInFlight' })
    const ask = (times: number): readonly string[] => {
      const from = rig.calls.length
      for (let i = 0; i < times; i++) void rig.router.request('t', BYTES)
      return rig.called.slice(from)
    }
    expect([...ask(6)].filter((to) => to === 'n1')).toHaveLength(3)
    rig.change(1, { reachability: 'unreachable' })
    expect(ids(rig)).toEqual(['n2'])
    for (const call of rig.calls) if (call.to === 'n2') call.resolve(ANSWER)
    await settle()
    rig.change(1, {})
    expect(ask(3)).toEqual(['n2', 'n2', 'n2'])
  })
})

describe('a router without anybody to send to', () => {
  it('says at once why each member of the role cannot be chosen', async () => {
    const rig = new RouterRig(
      [
        member(1, { reachability: 'unreachable' }),
        member(2, { reachability: 'stalled' }),
        member(3, { status: 'leaving' }),
        member(4),
        member(5, { roles: ['web'] }),
      ],
      {},
      member(4),
    )
    const error = await rig.router.request('jobs', BYTES).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'ERR_SKEIN_UNREACHABLE', retryable: true })
    expect(String(error)).toContain('n1 at 10.0.0.1:7001 is unreachable')
    expect(String(error)).toContain('n2 at 10.0.0.1:7002 is stalled')
    expect(String(error)).toContain('n3 at 10.0.0.1:7003 is leaving')
    expect(String(error)).toContain('n4 at 10.0.0.1:7004 is this node')
    expect(String(error)).not.toContain('n5')
    expect(() => rig.router.send('jobs', BYTES)).toThrow(
      expect.objectContaining({ code: 'ERR_SKEIN_UNREACHABLE' }),
    )
    expect(rig.calls).toEqual([])
    expect(rig.router.counters()).toMatchObject({ withoutMember: 2, retries: 0 })
  })

  it('says so when nobody has the role, and names no more than its bound', async () => {
    const empty = new RouterRig([member(1, { roles: ['web'] })])
    await expect(empty.router.request('t', BYTES)).rejects.toThrow('no member has it')
    const count = ROUTING_LIMITS.namedMembersMax + 1
    const many = Array.from({ length: count }, (_, i) => member(i + 1, { reachability: 'unreachable' }))
    const error = await new RouterRig(many).router.request('t', BYTES).catch((e: unknown) => e)
    expect(String(error).match(/is unreachable/g)).toHaveLength(ROUTING_LIMITS.namedMembersMax)
    expect(String(error)).toContain('; and 1 more')
  })
})

describe('send', () => {
  it('passes on what the member says, and the lane', () => {
    const rig = new RouterRig([member(1)])
    expect(rig.router.send('t', BYTES, { lane: 'large' })).toBe(true)
    rig.sends.set('n1', false)
    expect(rig.router.send('u', BYTES)).toBe(false)
    expect(rig.calls.map(({ topic, options }) => [topic, options])).toEqual([
      ['t', { lane: 'large' }],
      ['u', {}],
    ])
  })

  it('goes to another member while an outbox is full, and stays away from it for a while', () => {
    const rig = new RouterRig(three, { strategy: 'roundRobin' })
    rig.sends.set('n2', failure('ERR_SKEIN_OUTBOX_FULL'))
    for (let i = 0; i < 6; i++) expect(rig.router.send('t', BYTES)).toBe(true)
    expect(rig.called.filter((to) => to === 'n2')).toHaveLength(1)
    expect(ids(rig)).toEqual(['n1', 'n3'])
    rig.sends.clear()
    rig.nowMs += ROUTING_LIMITS.setAsideMs - 1
    expect(ids(rig)).toEqual(['n1', 'n3'])
    rig.nowMs += 1
    expect(ids(rig)).toEqual(['n1', 'n2', 'n3'])
  })

  it('throws when all are full, after attemptsMax of them, and tries the same again next time', () => {
    const rig = new RouterRig([...three, member(4)], { attemptsMax: 3 })
    for (const n of [1, 2, 3, 4]) rig.sends.set(`n${n}`, failure('ERR_SKEIN_OUTBOX_FULL'))
    const full = expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL' })
    expect(() => rig.router.send('t', BYTES)).toThrow(full)
    expect(new Set(rig.called).size).toBe(3)
    expect(rig.calls).toHaveLength(3)
    expect(() => rig.router.send('t', BYTES)).toThrow(full)
    rig.sends.clear()
    expect(rig.router.send('t', BYTES)).toBe(true)
  })

  it('is never repeated after anything that leaves open whether it was queued', () => {
    for (const code of ['ERR_SKEIN_CLOSED', 'ERR_SKEIN_FRAME_TOO_LARGE', 'ERR_SKEIN_UNREACHABLE'] as const) {
      const rig = new RouterRig(three)
      for (const n of [1, 2, 3]) rig.sends.set(`n${n}`, failure(code))
      expect(() => rig.router.send('t', BYTES)).toThrow(expect.objectContaining({ code }))
      expect(rig.calls).toHaveLength(1)
    }
  })

  it('does not leave the member of its key, however full it is', () => {
    const rig = new RouterRig(three, { strategy: 'rendezvous' })
    rig.router.send('t', BYTES, { key: 'a' })
    const owner = rig.called[0]!
    rig.sends.set(owner, failure('ERR_SKEIN_OUTBOX_FULL'))
    for (let i = 0; i < 3; i++) {
      expect(() => rig.router.send('t', BYTES, { key: 'a' })).toThrow(
        expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL' }),
      )
    }
    expect(new Set(rig.called)).toEqual(new Set([owner]))
    expect(ids(rig)).toEqual(['n1', 'n2', 'n3'])
  })
})

describe('keys', () => {
  it('are required by rendezvous, and nothing is sent without', async () => {
    const rig = new RouterRig(three, { strategy: 'rendezvous' })
    const invalid = { code: 'ERR_SKEIN_INVALID_OPTION', path: 'key' }
    await expect(rig.router.request('t', BYTES)).rejects.toMatchObject(invalid)
    expect(() => rig.router.send('t', BYTES, { lane: 'large' })).toThrow(expect.objectContaining(invalid))
    expect(rig.calls).toEqual([])
  })

  it('stay with their member while it is there, and come back to it', () => {
    const rig = new RouterRig(three, { strategy: 'rendezvous' })
    const owners = () => {
      const from = rig.calls.length
      for (let i = 0; i < 30; i++) rig.router.send('t', BYTES, { key: `k${i}` })
      return rig.called.slice(from)
    }
    const before = owners()
    expect(new Set(before).size).toBe(3)
    rig.change(2, { reachability: 'unreachable' })
    const during = owners()
    expect(during).not.toContain('n2')
    for (const [i, owner] of before.entries()) if (owner !== 'n2') expect(during[i]).toBe(owner)
    rig.change(2, {})
    expect(owners()).toEqual(before)
  })
})

describe('close', () => {
  it('takes nothing more, and lets a request under way come to its end', async () => {
    const rig = new RouterRig(three)
    const under = rig.router.request('t', BYTES)
    rig.router.close()
    rig.router.close()
    await expect(rig.router.request('t', BYTES)).rejects.toMatchObject({ code: 'ERR_SKEIN_CLOSED' })
    expect(() => rig.router.send('t', BYTES)).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_CLOSED' }))
    expect(rig.router.members()).toEqual([])
    rig.calls[0]!.resolve(ANSWER)
    expect(await under).toBe(ANSWER)
    expect(rig.calls).toHaveLength(1)
  })

  it('makes no further attempt for what was under way', async () => {
    const rig = new RouterRig(three)
    const under = rig.router.request('t', BYTES, { idempotent: true })
    rig.router.close()
    rig.calls[0]!.reject(failure('ERR_SKEIN_UNREACHABLE'))
    await expect(under).rejects.toMatchObject({ code: 'ERR_SKEIN_UNREACHABLE' })
    expect(rig.calls).toHaveLength(1)
  })
})

describe('options', () => {
  it('have these defaults', () => {
    expect(resolveRouterOptions('db', {})).toEqual({
      role: 'db',
      strategy: 'powerOfTwoChoices',
      includeSelf: false,
      attemptsMax: 3,
      retryRatio: 0.2,
      retryPerSecondMin: 10,
      setAsideMs: 500,
    })
  })

  it.each([
    ['strategy', 'random'],
    ['includeSelf', 1],
    ['attemptsMax', 0],
    ['attemptsMax', ROUTING_LIMITS.attemptsCeiling + 1],
    ['retryRatio', -0.1],
    ['retryRatio', 1.1],
    ['retryPerSecondMin', -1],
    ['retryPerSecondMin', ROUTING_LIMITS.retryPerSecondCeiling + 1],
    ['setAsideMs', -1],
    ['setAsideMs', ROUTING_LIMITS.setAsideCeilingMs + 1],
    ['setAside', 5],
  ])('refuse %s: %s by its path', (path, value) => {
    const resolve = () => resolveRouterOptions('db', { [path]: value })
    expect(resolve).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION', path }))
  })

  it.each([
    ['attemptsMax', ROUTING_LIMITS.attemptsCeiling],
    ['retryRatio', 1],
    ['retryPerSecondMin', ROUTING_LIMITS.retryPerSecondCeiling],
    ['setAsideMs', ROUTING_LIMITS.setAsideCeilingMs],
    ['setAsideMs', 0],
  ])('take %s: %s', (path, value) => {
    expect(resolveRouterOptions('db', { [path]: value })).toMatchObject({ [path]: value })
  })

  it('refuse a role that no member could have', () => {
    for (const role of ['', 'x'.repeat(65), 'a\nb']) {
      expect(() => resolveRouterOptions(role, {})).toThrow(expect.objectContaining({ path: 'role' }))
    }
  })
})
