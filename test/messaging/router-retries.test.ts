import { describe, expect, it } from 'vitest'
import type { SkeinErrorCode } from '../../src/errors.js'
import { ROUTING_LIMITS } from '../../src/messaging/routing/limits.js'
import { ANSWER, failure, member, RouterRig, settle } from './router-support.js'

const BYTES = Uint8Array.of(1)
const three = [member(1), member(2), member(3)]

/** All of them fail so; how often a request is tried, and what it comes to. */
async function tried(
  codes: readonly SkeinErrorCode[],
  idempotent: boolean,
  members = three,
): Promise<{ called: readonly string[]; error: unknown }> {
  // By key, so that nothing but the rules of retries leads away from the first choice.
  const rig = new RouterRig(members, { strategy: 'rendezvous' })
  for (const [i, m] of members.entries()) rig.answers.set(m.nodeId, failure(codes[i % codes.length]!))
  const error = await rig.router.request('t', BYTES, { idempotent, key: 'k' }).catch((e: unknown) => e)
  return { called: rig.called, error }
}

describe('a request', () => {
  it('resolves with the answer, and leaves nothing in flight', async () => {
    const rig = new RouterRig([member(1), member(2)], { strategy: 'leastInFlight' })
    rig.change(1, { reachability: 'unreachable' })
    for (const outcome of [ANSWER, failure('ERR_SKEIN_REMOTE_ERROR'), new TypeError('bug')]) {
      rig.answers.set('n2', outcome)
      const answer = rig.router.request('t', BYTES)
      if (outcome === ANSWER) expect(await answer).toBe(ANSWER)
      else await expect(answer).rejects.toBe(outcome)
    }
    rig.change(1, {})
    rig.answers.clear()
    // Whatever had been left of the three would send both to n1.
    void rig.router.request('t', BYTES)
    void rig.router.request('t', BYTES)
    expect([...rig.called.slice(3)].sort()).toEqual(['n1', 'n2'])
  })

  it('hands on topic, lane, signal and the whole of its time', () => {
    const rig = new RouterRig([member(1)])
    const { signal } = new AbortController()
    void rig.router.request('a', BYTES)
    void rig.router.request('b', BYTES, { lane: 'large', signal, timeoutMs: 70, idempotent: true, key: 'k' })
    expect(rig.calls.map(({ topic, options }) => [topic, options])).toEqual([
      ['a', { timeoutMs: 10_000 }],
      ['b', { timeoutMs: 70, lane: 'large', signal }],
    ])
  })

  it.each([
    ['timeoutMs', 0],
    ['timeoutMs', Number.NaN],
    ['timeoutMs', 2 ** 31],
    ['attemptTimeoutMs', 0],
    ['attemptTimeoutMs', 1.5],
  ])('refuses %s: %s and sends nothing', async (path, value) => {
    const rig = new RouterRig(three)
    const request = rig.router.request('t', BYTES, { [path]: value })
    await expect(request).rejects.toMatchObject({ code: 'ERR_SKEIN_INVALID_OPTION', path })
    expect(rig.calls).toEqual([])
  })
})

describe('a failed attempt', () => {
  const maybeHandled = [
    'ERR_SKEIN_UNREACHABLE',
    'ERR_SKEIN_TIMEOUT',
    'ERR_SKEIN_CLOSED',
    'ERR_SKEIN_QUARANTINED',
  ] as const
  const notHandled = ['ERR_SKEIN_OUTBOX_FULL', 'ERR_SKEIN_NO_HANDLER', 'ERR_SKEIN_NOT_MEMBER'] as const
  const final = [
    'ERR_SKEIN_REMOTE_ERROR',
    'ERR_SKEIN_ABORTED',
    'ERR_SKEIN_FRAME_TOO_LARGE',
    'ERR_SKEIN_INVALID_OPTION',
    'ERR_SKEIN_STREAM_RESET',
  ] as const

  it.each(maybeHandled)('with %s is repeated elsewhere if it is idempotent, and only then', async (code) => {
    const again = await tried([code], true)
    expect(new Set(again.called).size).toBe(3)
    expect(again.called).toHaveLength(3)
    expect(again.error).toMatchObject({ code })
    expect((await tried([code], false)).called).toHaveLength(1)
  })

  it.each(notHandled)('with %s is repeated elsewhere in any case, never on the same member', async (code) => {
    for (const idempotent of [true, false]) {
      const { called, error } = await tried([code], idempotent)
      expect(new Set(called).size).toBe(3)
      expect(called).toHaveLength(3)
      expect(error).toMatchObject({ code })
      expect((await tried([code], idempotent, [member(1)])).called).toEqual(['n1'])
    }
  })

  it.each(final)('with %s is final', async (code) => {
    expect((await tried([code], true)).called).toHaveLength(1)
  })

  it('with an error that is not ours is final, and comes out as it is', async () => {
    const rig = new RouterRig(three)
    const bug = new TypeError('bug')
    for (const n of [1, 2, 3]) rig.answers.set(`n${n}`, bug)
    expect(await rig.router.request('t', BYTES, { idempotent: true }).catch((e: unknown) => e)).toBe(bug)
    expect(rig.calls).toHaveLength(1)
  })

  it('is answered by the first member that can', async () => {
    const rig = new RouterRig(three, { strategy: 'roundRobin' })
    rig.answers.set('n1', failure('ERR_SKEIN_UNREACHABLE'))
    rig.answers.set('n2', ANSWER).set('n3', ANSWER)
    for (let i = 0; i < 4; i++)
      expect(await rig.router.request('t', BYTES, { idempotent: true })).toBe(ANSWER)
    expect(rig.called.filter((to) => to === 'n1').length).toBeLessThanOrEqual(1)
  })

  it('is repeated on the only member where that can help, not where it cannot', async () => {
    const only = [member(1)]
    for (const code of ['ERR_SKEIN_UNREACHABLE', 'ERR_SKEIN_TIMEOUT', 'ERR_SKEIN_CLOSED'] as const) {
      expect((await tried([code], true, only)).called).toEqual(['n1', 'n1', 'n1'])
    }
    expect((await tried(['ERR_SKEIN_QUARANTINED'], true, only)).called).toEqual(['n1'])
  })

  it('goes to those that have not failed first, then back to another than the last', async () => {
    const rig = new RouterRig([member(1), member(2)], { strategy: 'rendezvous', attemptsMax: 4 })
    for (const n of [1, 2]) rig.answers.set(`n${n}`, failure('ERR_SKEIN_TIMEOUT'))
    await expect(rig.router.request('t', BYTES, { idempotent: true, key: 'k' })).rejects.toThrow(
      'failed 4 times',
    )
    const [first, second] = rig.called
    expect(rig.called).toEqual([first, second, first, second])
    expect(first).not.toBe(second)
  })

  it('never goes back to one without the handler, though others fail too', async () => {
    const rig = new RouterRig([member(1), member(2)], { strategy: 'roundRobin', attemptsMax: 5 })
    rig.answers.set('n1', failure('ERR_SKEIN_NO_HANDLER')).set('n2', failure('ERR_SKEIN_TIMEOUT'))
    for (let i = 0; i < 2; i++) {
      const from = rig.calls.length
      await expect(rig.router.request('t', BYTES, { idempotent: true })).rejects.toThrow()
      expect(rig.called.slice(from).filter((to) => to === 'n1').length).toBe(1)
    }
  })

  it('finds who has become reachable meanwhile, and nobody who has gone', async () => {
    const rig = new RouterRig([member(1), member(2, { reachability: 'unreachable' })])
    const answer = rig.router.request('t', BYTES, { idempotent: true })
    rig.change(2, {})
    rig.change(1, { reachability: 'unreachable' })
    rig.calls[0]!.reject(failure('ERR_SKEIN_UNREACHABLE'))
    await settle()
    expect(rig.called).toEqual(['n1', 'n2'])
    rig.change(2, { status: 'leaving' })
    rig.calls[1]!.reject(failure('ERR_SKEIN_UNREACHABLE'))
    await expect(answer).rejects.toMatchObject({ code: 'ERR_SKEIN_UNREACHABLE' })
    expect(rig.calls).toHaveLength(2)
  })

  it('of a key goes to the next by weight, and the key comes home', async () => {
    const rig = new RouterRig(three, { strategy: 'rendezvous' })
    rig.router.send('t', BYTES, { key: 'k' })
    const owner = rig.called[0]!
    rig.answers.set(owner, failure('ERR_SKEIN_UNREACHABLE'))
    for (const { nodeId } of three) if (nodeId !== owner) rig.answers.set(nodeId, ANSWER)
    for (let i = 0; i < 2; i++) await rig.router.request('t', BYTES, { key: 'k', idempotent: true })
    const [, first, heir, second, again] = rig.called
    expect([first, second]).toEqual([owner, owner])
    expect(heir).not.toBe(owner)
    expect(again).toBe(heir)
  })
})

describe('time', () => {
  it('is shared by all attempts, and none begins after it', async () => {
    const rig = new RouterRig(three, { attemptsMax: 16 })
    const answer = rig.router.request('t', BYTES, {
      idempotent: true,
      timeoutMs: 250,
      attemptTimeoutMs: 100,
    })
    const outcome = expect(answer).rejects.toMatchObject({ code: 'ERR_SKEIN_TIMEOUT' })
    for (const elapsedMs of [100.5, 100, 49.5]) {
      rig.nowMs += elapsedMs
      rig.calls.at(-1)!.reject(failure('ERR_SKEIN_TIMEOUT'))
      await settle()
    }
    await outcome
    expect(rig.calls.map(({ options }) => options.timeoutMs)).toEqual([100, 100, 49])
  })

  it('of less than a millisecond is too little for an attempt', async () => {
    const rig = new RouterRig(three)
    const answer = rig.router.request('t', BYTES, { idempotent: true, timeoutMs: 10 })
    rig.nowMs += 9.5
    rig.calls[0]!.reject(failure('ERR_SKEIN_UNREACHABLE'))
    await expect(answer).rejects.toThrow()
    expect(rig.calls).toHaveLength(1)
  })

  it('ends when the caller gives up', async () => {
    const rig = new RouterRig(three)
    const abort = new AbortController()
    const answer = rig.router.request('t', BYTES, { idempotent: true, signal: abort.signal })
    abort.abort()
    rig.calls[0]!.reject(failure('ERR_SKEIN_UNREACHABLE'))
    await expect(answer).rejects.toThrow()
    expect(rig.calls).toHaveLength(1)
  })
})

describe('the budget', () => {
  it('bounds the retries of all requests together, and says so', async () => {
    const rig = new RouterRig(three, { retryPerSecondMin: 1, retryRatio: 0.2, attemptsMax: 2, setAsideMs: 0 })
    for (const n of [1, 2, 3]) rig.answers.set(`n${n}`, failure('ERR_SKEIN_UNREACHABLE'))
    const requests = 100
    for (let i = 0; i < requests; i++) {
      await expect(rig.router.request('t', BYTES, { idempotent: true })).rejects.toThrow()
    }
    // 10 s of one a second, and a fifth of the requests.
    expect(rig.calls.length - requests).toBe(30)
    expect(rig.router.counters()).toEqual({
      requests,
      sends: 0,
      retries: 30,
      retriesOverBudget: 70,
      withoutMember: 0,
    })
  })

  it('is not touched by failures that are final', async () => {
    const rig = new RouterRig(three, { retryRatio: 0, retryPerSecondMin: 0.1 })
    for (const n of [1, 2, 3]) rig.answers.set(`n${n}`, failure('ERR_SKEIN_REMOTE_ERROR'))
    for (let i = 0; i < 5; i++) await expect(rig.router.request('t', BYTES)).rejects.toThrow()
    for (const n of [1, 2, 3]) rig.answers.set(`n${n}`, failure('ERR_SKEIN_NO_HANDLER'))
    await expect(rig.router.request('t', BYTES)).rejects.toThrow('failed 2 times')
    expect(rig.router.counters()).toMatchObject({ retries: 1, retriesOverBudget: 1 })
  })
})

describe('the error of several attempts', () => {
  it('names them all, and keeps the cause', async () => {
    const { called, error } = await tried(['ERR_SKEIN_UNREACHABLE'], true)
    for (const nodeId of called) expect(String(error)).toContain(`${nodeId} (ERR_SKEIN_UNREACHABLE)`)
    expect(error).toMatchObject({
      code: 'ERR_SKEIN_UNREACHABLE',
      retryable: true,
      cause: { message: 'said ERR_SKEIN_UNREACHABLE' },
    })
  })

  it('does not claim that nothing was handled after an attempt that may have been', async () => {
    const rig = new RouterRig([member(1), member(2)])
    const answer = rig.router.request('t', BYTES, { idempotent: true })
    rig.calls[0]!.reject(failure('ERR_SKEIN_TIMEOUT'))
    await settle()
    rig.calls[1]!.reject(failure('ERR_SKEIN_NO_HANDLER'))
    await settle()
    rig.calls[2]!.reject(failure('ERR_SKEIN_OUTBOX_FULL'))
    await expect(answer).rejects.toMatchObject({ code: 'ERR_SKEIN_TIMEOUT' })
  })

  it('is the answer, where the last attempt has got one', async () => {
    const rig = new RouterRig([member(1), member(2)])
    const first = rig.router.request('t', BYTES, { idempotent: true })
    rig.calls[0]!.reject(failure('ERR_SKEIN_TIMEOUT'))
    await settle()
    rig.calls[1]!.reject(failure('ERR_SKEIN_REMOTE_ERROR'))
    await expect(first).rejects.toThrow('said ERR_SKEIN_REMOTE_ERROR')
  })
})

describe('a member that could not be sent to', () => {
  it('does not draw the traffic because it fails fast', async () => {
    const rig = new RouterRig(three, { strategy: 'leastInFlight' })
    rig.answers.set('n1', failure('ERR_SKEIN_UNREACHABLE'))
    const outcomes: Promise<unknown>[] = []
    for (let i = 0; i < 30; i++) {
      outcomes.push(rig.router.request('t', BYTES).catch(() => 'failed'))
      await settle()
    }
    expect(rig.called.filter((to) => to === 'n1')).toHaveLength(1)
    for (const call of rig.calls) call.resolve(ANSWER)
    expect((await Promise.all(outcomes)).filter((outcome) => outcome === 'failed')).toHaveLength(1)
  })

  it('is taken back at once when the cluster has news of it', async () => {
    const rig = new RouterRig(three)
    for (const n of [1, 2, 3]) rig.answers.set(`n${n}`, failure('ERR_SKEIN_UNREACHABLE'))
    await expect(rig.router.request('t', BYTES)).rejects.toThrow()
    const failed = Number(rig.called[0]!.slice(1))
    const ids = () => rig.router.members().map((m) => m.nodeId)
    expect(ids()).not.toContain(`n${failed}`)
    rig.change(failed, { reachability: 'unreachable' })
    rig.change(failed, {})
    expect(ids()).toContain(`n${failed}`)
  })

  it('is not set aside for a request that was older than the news', async () => {
    const rig = new RouterRig([member(1)])
    const old = rig.router.request('t', BYTES)
    rig.change(1, { reachability: 'unreachable' })
    expect(rig.router.members()).toEqual([])
    rig.state = { ...rig.state, members: [member(2), member(1)] }
    expect(rig.router.members()).toHaveLength(2)
    rig.calls[0]!.reject(failure('ERR_SKEIN_UNREACHABLE'))
    await expect(old).rejects.toThrow()
    expect(rig.router.members()).toHaveLength(2)
  })

  it('is still chosen when there is nobody else', async () => {
    const rig = new RouterRig([member(1)])
    rig.answers.set('n1', failure('ERR_SKEIN_UNREACHABLE'))
    await expect(rig.router.request('t', BYTES)).rejects.toThrow()
    rig.answers.set('n1', ANSWER)
    expect(await rig.router.request('t', BYTES)).toBe(ANSWER)
    expect(rig.router.members()).toHaveLength(1)
  })

  it('is set aside anew by each failure, each for its own time', async () => {
    const rig = new RouterRig(three, { attemptsMax: 1, setAsideMs: 100, strategy: 'roundRobin' })
    for (const n of [1, 2, 3]) rig.answers.set(`n${n}`, failure('ERR_SKEIN_UNREACHABLE'))
    const fail = () => expect(rig.router.request('t', BYTES)).rejects.toThrow()
    await fail()
    rig.nowMs += 60
    await fail()
    expect(rig.router.members()).toHaveLength(1)
    rig.nowMs += 40
    expect(rig.router.members()).toHaveLength(2)
    rig.nowMs += 60
    expect(rig.router.members()).toHaveLength(3)
  })

  it('is left out for good when it is quarantined, for every strategy', async () => {
    for (const strategy of ['rendezvous', 'roundRobin'] as const) {
      const rig = new RouterRig([member(1)], { strategy })
      rig.answers.set('n1', failure('ERR_SKEIN_QUARANTINED'))
      await expect(rig.router.request('t', BYTES, { key: 'k' })).rejects.toThrow()
      rig.nowMs += 10 * ROUTING_LIMITS.setAsideCeilingMs
      rig.change(1, { reachability: 'unreachable' })
      rig.change(1, {})
      expect(rig.router.members()).toEqual([])
      await expect(rig.router.request('t', BYTES, { key: 'k' })).rejects.toThrow(
        'n1 at 10.0.0.1:7001 is quarantined',
      )
    }
  })
})
