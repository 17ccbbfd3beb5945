/** Requests: each is answered, refused or given up, once, and whoever waits is told which. */
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { copyBytes, type Handler } from '../../src/messaging/messaging.js'
import { DataFlag, DataKind, FailureCode } from '../../src/wire/data-frame.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addPlane } from '../transport/data/plane-world.js'
import { addOffice, bytesOf, eventsOf, type OfficeNode, pattern, textOf } from './office-world.js'

const NO_BYTES = new Uint8Array(0)

function pair(options = {}) {
  const world = new LaneWorld()
  return { world, a: addOffice(world, 0, options), b: addOffice(world, 1, options) }
}

const handle = (node: OfficeNode, topic: string, handler: Handler) =>
  node.office.topics.handle(topic, handler)

async function failure(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; retryable: boolean }> {
  return promise.then(
    (value) => {
      throw new Error(`expected a failure, got ${String(value)}`)
    },
    (error) => error,
  )
}

/** A handler whose answers come when the test says. */
function later(node: OfficeNode, topic = 't') {
  const calls: {
    answer: (bytes?: Uint8Array) => void
    fail: (error: unknown) => void
    signal: AbortSignal
  }[] = []
  handle(
    node,
    topic,
    (_, { signal }) =>
      new Promise((answer, fail) => {
        calls.push({ answer, fail, signal })
      }),
  )
  return calls
}

describe('a request', () => {
  it('is answered with what its handler returns, at once or later, or with nothing', async () => {
    const { world, a, b } = pair()
    handle(b, 'at once', (bytes) => bytesOf(`<${textOf(bytes)}>`))
    handle(b, 'later', async (bytes) => {
      const copy = copyBytes(bytes)
      await null
      return copy
    })
    handle(b, 'nothing', () => {})
    handle(b, 'later nothing', async () => {})
    handle(b, 'its own bytes', (bytes) => bytes)
    const ask = async (topic: string, text: string) =>
      textOf(await world.settle(a.to(b).request(topic, bytesOf(text))))
    expect(await ask('at once', 'x')).toBe('<x>')
    expect(await ask('later', 'y')).toBe('y')
    expect(await ask('nothing', 'z')).toBe('')
    expect(await ask('later nothing', 'z')).toBe('')
    expect(await ask('its own bytes', 'same')).toBe('same')
  })

  it('has an answer that is the caller’s to keep', async () => {
    const { world, a, b } = pair()
    handle(b, 'echo', (bytes) => bytes)
    const answers = []
    for (let index = 0; index < 20; index += 1)
      answers.push(await world.settle(a.to(b).request('echo', pattern(100 + index, index))))
    answers.forEach((answer, index) => {
      expect(answer).toEqual(pattern(100 + index, index))
    })
  })

  it('is told apart from others, however they are answered', async () => {
    const { world, a, b } = pair()
    const calls: { text: string; answer: (bytes: Uint8Array) => void }[] = []
    handle(b, 't', (bytes) => {
      const text = textOf(bytes)
      return new Promise((answer) => calls.push({ text, answer }))
    })
    const asked = Array.from({ length: 50 }, (_, index) => a.to(b).request('t', bytesOf(`${index}`)))
    await world.pass(10)
    for (const { text, answer } of calls.reverse()) answer(bytesOf(`to ${text}`))
    const answers = await world.settle(Promise.all(asked))
    expect(answers.map(textOf)).toEqual(asked.map((_, index) => `to ${index}`))
  })

  it('that nobody handles says so', async () => {
    const { world, a, b } = pair()
    expect(await failure(world.settle(a.to(b).request('nobody', NO_BYTES)))).toMatchObject({
      code: 'ERR_SKEIN_NO_HANDLER',
      retryable: false,
    })
    expect(b.office.counters.requestsFailedIn).toBe(1)
    expect(b.events).toEqual([])
  })

  const failing: Record<string, Handler> = {
    'at once': () => {
      throw new Error('no luck')
    },
    later: async () => {
      throw new Error('no luck')
    },
  }
  it.each(Object.keys(failing))('whose handler fails %s hears its text', async (how) => {
    const { world, a, b } = pair()
    handle(b, 't', failing[how]!)
    const error = await failure(world.settle(a.to(b).request('t', NO_BYTES)))
    expect(error.code).toBe('ERR_SKEIN_REMOTE_ERROR')
    expect(error.message).toContain('no luck')
    expect(eventsOf(b, 'handlerFailed')).toMatchObject([{ topic: 't', error: { message: 'no luck' } }])
  })

  it('whose handler fails with a text that is too long, or with none, hears as much as fits', async () => {
    const { world, a, b } = pair()
    // Three bytes each: the bound falls into the midst of one.
    handle(b, 'long', () => {
      throw new Error('日'.repeat(1000))
    })
    handle(b, 'none', async () => {
      throw Object.create(null)
    })
    const long = await failure(world.settle(a.to(b).request('long', NO_BYTES)))
    expect(long.message).toContain('日'.repeat(Math.floor(MESSAGING_LIMITS.errorTextBytesMax / 3)))
    expect(long.message).not.toContain('日'.repeat(342))
    expect(long.message).not.toContain('\ufffd')
    expect((await failure(world.settle(a.to(b).request('none', NO_BYTES)))).code).toBe(
      'ERR_SKEIN_REMOTE_ERROR',
    )
  })

  it.each([
    ['a text', 'answer'],
    ['a number', 7],
    ['an object', { length: 3 }],
  ])('whose handler returns %s fails; the lane goes on', async (_, value) => {
    const { world, a, b } = pair()
    handle(b, 'wrong', () => value as unknown as Uint8Array)
    handle(b, 'wrong later', async () => value as unknown as Uint8Array)
    handle(b, 'right', () => bytesOf('right'))
    for (const topic of ['wrong', 'wrong later'])
      expect((await failure(world.settle(a.to(b).request(topic, NO_BYTES)))).code).toBe(
        'ERR_SKEIN_REMOTE_ERROR',
      )
    expect(textOf(await world.settle(a.to(b).request('right', NO_BYTES)))).toBe('right')
  })

  it('of what is not bytes, or not a topic, is refused', async () => {
    const { world, a, b } = pair()
    const codes: string[] = []
    for (const bytes of ['text', undefined, null, 7, { length: 3 }, [1]])
      codes.push((await failure(a.to(b).request('t', bytes as unknown as Uint8Array))).code)
    for (const topic of ['', 'x'.repeat(256), undefined as unknown as string])
      codes.push((await failure(a.to(b).request(topic, NO_BYTES))).code)
    for (const timeoutMs of [0, -1, 1.5, Number.NaN, 2 ** 31])
      codes.push((await failure(a.to(b).request('t', NO_BYTES, { timeoutMs }))).code)
    expect(new Set(codes)).toEqual(new Set(['ERR_SKEIN_INVALID_OPTION']))
    await world.pass(100)
    expect(b.office.counters.requestsIn).toBe(0)
  })
})

describe('a request without an answer', () => {
  it('is given up at its time, and its handler is told', async () => {
    const { world, a, b } = pair()
    const calls = later(b)
    const startMs = world.clock.nowMs()
    const error = await failure(world.settle(a.to(b).request('t', NO_BYTES, { timeoutMs: 500 })))
    expect(error).toMatchObject({ code: 'ERR_SKEIN_TIMEOUT', retryable: true })
    const tookMs = world.clock.nowMs() - startMs
    expect(tookMs).toBeGreaterThanOrEqual(500)
    expect(tookMs).toBeLessThanOrEqual(500 + MESSAGING_LIMITS.sweepMs)
    await world.pass(10)
    expect(calls[0]!.signal.aborted).toBe(true)
    expect(a.office.counters.requestsTimedOut).toBe(1)
  })

  it('waits for the time that is set for all', async () => {
    const { world, a, b } = pair({ requestTimeoutMs: 300 })
    later(b)
    const startMs = world.clock.nowMs()
    expect((await failure(world.settle(a.to(b).request('t', NO_BYTES)))).code).toBe('ERR_SKEIN_TIMEOUT')
    expect(world.clock.nowMs() - startMs).toBeLessThanOrEqual(300 + MESSAGING_LIMITS.sweepMs)
  })

  it('leaves others their own times', async () => {
    const { world, a, b } = pair()
    later(b)
    const order: number[] = []
    const asked = [400, 100, 300, 200].map((timeoutMs) =>
      a
        .to(b)
        .request('t', NO_BYTES, { timeoutMs })
        .catch(() => order.push(timeoutMs)),
    )
    await world.settle(Promise.all(asked))
    expect(order).toEqual([100, 200, 300, 400])
  })

  it('does not take one that comes late; that is counted', async () => {
    const { world, a, b } = pair()
    const calls = later(b)
    const given = a.to(b).request('t', NO_BYTES, { timeoutMs: 100 })
    await failure(world.settle(given))
    // Its cancel is on its way: the answer is earlier.
    calls[0]!.answer(bytesOf('late'))
    const next = a.to(b).request('t', NO_BYTES)
    await world.pass(50)
    calls[1]!.answer(bytesOf('right'))
    expect(textOf(await world.settle(next))).toBe('right')
    expect(a.office.counters.answersLate).toBe(1)
  })

  it('whose handler answers when it was told of the end is not answered for', async () => {
    const { world, a, b } = pair()
    const calls = later(b)
    await failure(world.settle(a.to(b).request('t', NO_BYTES, { timeoutMs: 100 })))
    await world.pass(50)
    calls[0]!.answer(bytesOf('late'))
    await world.pass(50)
    expect(a.office.counters.answersLate).toBe(0)
  })
})

describe('a request with a signal', () => {
  it('is given up when it fires, and its handler is told', async () => {
    const { world, a, b } = pair()
    const calls = later(b)
    const controller = new AbortController()
    const asked = a.to(b).request('t', NO_BYTES, { signal: controller.signal })
    await world.pass(10)
    controller.abort()
    expect((await failure(asked)).code).toBe('ERR_SKEIN_ABORTED')
    expect(calls[0]!.signal.aborted).toBe(false)
    await world.pass(10)
    expect(calls[0]!.signal.aborted).toBe(true)
  })

  it('that has fired is not sent', async () => {
    const { world, a, b } = pair()
    const calls = later(b)
    const asked = a.to(b).request('t', NO_BYTES, { signal: AbortSignal.abort() })
    expect((await failure(asked)).code).toBe('ERR_SKEIN_ABORTED')
    await world.pass(100)
    expect(calls.length).toBe(0)
  })

  it('lets go of it when it is answered or refused', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => NO_BYTES)
    const { signal } = new AbortController()
    await world.settle(a.to(b).request('t', NO_BYTES, { signal }))
    await failure(world.settle(a.to(b).request('nobody', NO_BYTES, { signal })))
    await failure(a.to(b).request('t', 'text' as unknown as Uint8Array, { signal }))
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('whose handler asks for its own only after the abort finds it aborted', async () => {
    const { world, a, b } = pair()
    let isAborted: boolean | undefined
    handle(b, 't', async (_, context) => {
      await new Promise<void>((resolve) => world.clock.schedule(100, resolve))
      isAborted = context.signal.aborted
    })
    const controller = new AbortController()
    const asked = a.to(b).request('t', NO_BYTES, { signal: controller.signal })
    await world.pass(10)
    controller.abort()
    await failure(asked)
    await world.pass(200)
    expect(isAborted).toBe(true)
  })
})

describe('requests to a peer that cannot answer', () => {
  it('are refused at once while dials fail, and those that wait are too', async () => {
    const { world, a, b } = pair()
    world.cut(a.node, b.node)
    const first = failure(a.to(b).request('t', NO_BYTES))
    await world.pass(10)
    expect(await first).toMatchObject({ code: 'ERR_SKEIN_UNREACHABLE', retryable: true })
    expect((await failure(a.to(b).request('t', NO_BYTES))).code).toBe('ERR_SKEIN_UNREACHABLE')
    handle(b, 't', () => bytesOf('back'))
    world.heal(a.node, b.node)
    await world.pass(500)
    expect(textOf(await world.settle(a.to(b).request('t', NO_BYTES)))).toBe('back')
  })

  it.each([
    ['quarantined', 'ERR_SKEIN_QUARANTINED'],
    ['left', 'ERR_SKEIN_UNREACHABLE'],
    ['closed', 'ERR_SKEIN_CLOSED'],
  ] as const)('because it is %s end with %s, now and later', async (reason, code) => {
    const { world, a, b } = pair()
    const calls = later(b)
    const link = a.to(b)
    const asked = failure(link.request('t', NO_BYTES))
    await world.pass(10)
    a.office.plane.end(link.association, reason)
    expect((await asked).code).toBe(code)
    expect((await failure(link.request('t', NO_BYTES))).code).toBe(code)
    expect(calls[0]!.signal.aborted).toBe(false)
    // The peer finds out that nobody waits any more.
    b.office.plane.end(b.to(a).association, reason)
    expect(calls[0]!.signal.aborted).toBe(true)
    calls[0]!.answer(NO_BYTES)
    await world.pass(100)
    expect(eventsOf(b, 'handlerFailed')).toEqual([])
  })

  it('because it remembers nothing end, and its old answers answer no new ones', async () => {
    const { world, a, b } = pair()
    const calls = later(b)
    const asked = failure(a.to(b).request('t', bytesOf('old')))
    await world.pass(10)
    // The answer waits at the peer, and the one who asked begins anew.
    world.cut(a.node, b.node)
    calls[0]!.answer(bytesOf('old answer'))
    a.office.plane.end(a.to(b).association, 'left')
    expect((await asked).code).toBe('ERR_SKEIN_UNREACHABLE')
    await world.pass(10)
    world.heal(a.node, b.node)
    handle(b, 'new', () => bytesOf('new answer'))
    expect(textOf(await world.settle(a.to(b).request('new', NO_BYTES)))).toBe('new answer')
  })

  it('because this node closes are refused, and say so', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => NO_BYTES)
    await world.settle(a.to(b).request('t', NO_BYTES))
    a.office.plane.close(() => {})
    expect((await failure(a.to(b).request('t', NO_BYTES))).code).toBe('ERR_SKEIN_CLOSED')
    const closed = expect.objectContaining({ code: 'ERR_SKEIN_CLOSED' })
    expect(() => a.to(b).send('t', NO_BYTES)).toThrow(closed)
    expect(() => a.to(b).stream('t')).toThrow(closed)
  })
})

describe('requests at their bounds', () => {
  it('wait for answers up to a number', async () => {
    const { a, b } = pair()
    const { requestsInFlightMax } = MESSAGING_LIMITS
    const asked: Promise<unknown>[] = []
    for (let index = 0; index < requestsInFlightMax; index += 1)
      asked.push(
        a
          .to(b)
          .request('t', NO_BYTES)
          .catch(() => {}),
      )
    expect(await failure(a.to(b).request('t', NO_BYTES))).toMatchObject({
      code: 'ERR_SKEIN_OUTBOX_FULL',
      retryable: true,
    })
    a.office.plane.end(a.to(b).association, 'left')
    await Promise.all(asked)
  })

  it('are handled up to a number for one peer; those beyond hear that it is busy', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    const calls = later(b)
    const { inboundRequestsMax } = MESSAGING_LIMITS
    const ask = (id: number) => a.frame(b.node, DataKind.request, 0, 't', id, NO_BYTES, 'ordinary')
    for (let id = 0; id <= inboundRequestsMax; id += 1) ask(id)
    await world.pass(200)
    expect(calls.length).toBe(inboundRequestsMax)
    const failures = () => a.received.filter(({ kind }) => kind === DataKind.failure)
    expect(failures()).toMatchObject([{ correlation: inboundRequestsMax }])
    expect(failures()[0]!.body[0]).toBe(FailureCode.busy)
    // One that is given up is still being handled.
    a.frame(b.node, DataKind.cancel, 0, undefined, 7, NO_BYTES, 'ordinary')
    ask(100_001)
    await world.pass(100)
    expect(failures().length).toBe(2)
    expect(calls[7]!.signal.aborted).toBe(true)
    calls[7]!.answer()
    await world.pass(10)
    ask(100_002)
    await world.pass(100)
    expect(failures().length).toBe(2)
    expect(calls.length).toBe(inboundRequestsMax + 1)
  })

  it('of a peer that takes no answers are answered up to a number', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1, { outboxMessagesMax: 16 })
    a.frame(b.node, DataKind.request, 0, 'nobody', 1, NO_BYTES, 'ordinary')
    await world.pass(200)
    for (const { sockets } of world.lanes) sockets[1].takes = () => 0
    for (let id = 2; id < 100; id += 1)
      a.frame(b.node, DataKind.request, 0, 'nobody', id, NO_BYTES, 'ordinary')
    await world.pass(10)
    expect(b.office.plane.get(a.node.uid)!.ordinary!.outbox.unackedFrames).toBe(32)
    expect(b.office.counters.requestsFailedIn).toBe(99)
  })

  it('with frames that fit nothing are passed over', async () => {
    const world = new LaneWorld()
    const a = addPlane(world, 0)
    const b = addOffice(world, 1)
    for (const kind of [DataKind.response, DataKind.failure, DataKind.cancel, 99])
      for (const body of [NO_BYTES, Uint8Array.of(9), Uint8Array.of(255, 255, 0xff)])
        a.frame(b.node, kind, DataFlag.none, undefined, 5, body, 'ordinary')
    a.frame(b.node, DataKind.request, 0, undefined, 6, NO_BYTES, 'ordinary')
    await world.pass(100)
    expect(b.office.counters.answersLate).toBe(6)
    expect(a.received).toMatchObject([{ kind: DataKind.failure, correlation: 6 }])
    expect(eventsOf(b, 'laneRejected')).toEqual([])
  })
})
