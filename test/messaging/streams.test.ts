/** What streams promise: order, ends, failures, and who is told of them. */
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { MessageContext, StreamHandler } from '../../src/messaging/messaging.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addOffice, bytesOf, eventsOf, type OfficeNode, pattern, textOf } from './office-world.js'

function pair() {
  const world = new LaneWorld()
  const a = addOffice(world, 0)
  const b = addOffice(world, 1)
  return { world, a, b }
}

const handle = (node: OfficeNode, topic: string, handler: StreamHandler) =>
  node.office.topics.handleStream(topic, handler)

/** A source that says how it was used. */
class Source implements AsyncIterable<Uint8Array> {
  asked = 0
  returned = 0
  private readonly wakers: (() => void)[] = []

  constructor(
    private readonly values: Uint8Array[],
    private endless = false,
  ) {}

  give(value: Uint8Array): void {
    this.values.push(value)
    this.wakers.shift()?.()
  }

  finish(): void {
    this.endless = false
    this.wakers.shift()?.()
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: async () => {
        this.asked += 1
        if (this.values.length === 0 && this.endless)
          await new Promise<void>((resolve) => this.wakers.push(resolve))
        const value = this.values.shift()
        return value === undefined ? { done: true, value: undefined } : { done: false, value }
      },
      return: async () => {
        this.returned += 1
        return { done: true, value: undefined }
      },
    }
  }
}

const source = (...values: string[]) => new Source(values.map(bytesOf))

async function collect(from: AsyncIterable<Uint8Array>): Promise<string> {
  let all = ''
  for await (const chunk of from) all += textOf(chunk)
  return all
}

/** The error of what must not succeed. */
async function failure(promise: Promise<unknown>): Promise<{ code?: string; message: string }> {
  return promise.then(
    (value) => {
      throw new Error(`expected a failure, got ${String(value)}`)
    },
    (error) => error,
  )
}

describe('a stream', () => {
  it('carries chunks both ways', async () => {
    const { world, a, b } = pair()
    handle(b, 'echo', async function* (incoming) {
      for await (const chunk of incoming) yield chunk
    })
    const stream = a.to(b).stream('echo', source('one ', 'two ', 'three'))
    expect(await world.settle(collect(stream))).toBe('one two three')
    await world.settle(stream.sent)
    expect(a.office.counters.streamsOpened).toBe(1)
    expect(b.office.counters.streamsOpened).toBe(1)
    expect(a.office.counters.streamsReset + b.office.counters.streamsReset).toBe(0)
  })

  it('tells its handler who has opened it', async () => {
    const { world, a, b } = pair()
    const contexts: MessageContext[] = []
    handle(b, 'who', async (_, context) => {
      contexts.push(context)
    })
    await world.settle(a.to(b).stream('who').sent)
    const { uid, nodeId, address } = a.node.hello
    expect(contexts).toMatchObject([{ from: { uid, nodeId, address }, topic: 'who', lane: 'large' }])
  })

  it('without a source has ended its own half from the start', async () => {
    const { world, a, b } = pair()
    handle(b, 'numbers', async function* (incoming) {
      yield bytesOf(`got ${await collect(incoming)};`)
      yield bytesOf('done')
    })
    const stream = a.to(b).stream('numbers')
    expect(await world.settle(collect(stream))).toBe('got ;done')
    await world.settle(stream.sent)
  })

  it('goes both ways at once between the same two peers, under the same topic', async () => {
    const { world, a, b } = pair()
    for (const node of [a, b])
      handle(node, 'name', async function* (incoming) {
        yield bytesOf(`${node.node.hello.nodeId} heard ${await collect(incoming)}`)
      })
    const both = [a.to(b).stream('name', source('a')), b.to(a).stream('name', source('b'))]
    const [first, second] = await world.settle(Promise.all(both.map(collect)))
    expect([first, second]).toEqual(['node-1 heard a', 'node-0 heard b'])
  })

  it('is no message and no request: handlers of one topic do not meet', async () => {
    const { world, a, b } = pair()
    b.office.topics.handle('t', () => bytesOf('answer'))
    handle(b, 't', async function* () {
      yield bytesOf('stream')
    })
    expect(textOf(await world.settle(a.to(b).request('t', bytesOf(''))))).toBe('answer')
    expect(await world.settle(collect(a.to(b).stream('t')))).toBe('stream')
  })

  it('finds a handler that came after its topic was first used', async () => {
    const { world, a, b } = pair()
    expect((await failure(world.settle(collect(a.to(b).stream('late'))))).code).toBe('ERR_SKEIN_NO_HANDLER')
    const remove = handle(b, 'late', async function* () {
      yield bytesOf('here')
    })
    expect(await world.settle(collect(a.to(b).stream('late')))).toBe('here')
    remove()
    expect((await failure(world.settle(collect(a.to(b).stream('late'))))).code).toBe('ERR_SKEIN_NO_HANDLER')
  })

  it('gives chunks that are the receiver’s to keep', async () => {
    const { world, a, b } = pair()
    const kept: Uint8Array[] = []
    handle(b, 'keep', async (incoming) => {
      for await (const chunk of incoming) kept.push(chunk)
    })
    const given = [pattern(10, 1), pattern(5000, 2), pattern(100_000, 3), pattern(1, 4)]
    await world.settle(a.to(b).stream('keep', new Source(given.map((chunk) => chunk.slice()))).sent)
    await world.pass(1000)
    expect(Buffer.compare(Buffer.concat(kept), Buffer.concat(given))).toBe(0)
  })

  it('passes over empty chunks, and ends though there were no others', async () => {
    const { world, a, b } = pair()
    handle(b, 'echo', async function* (incoming) {
      yield new Uint8Array(0)
      for await (const chunk of incoming) {
        yield chunk
        yield new Uint8Array(0)
      }
    })
    const mixed = a.to(b).stream('echo', source('', 'a', '', '', 'b', ''))
    expect(await world.settle(collect(mixed))).toBe('ab')
    const empty = a.to(b).stream('echo', source('', '', ''))
    expect(await world.settle(collect(empty))).toBe('')
    await world.settle(Promise.all([mixed.sent, empty.sent]))
  })
})

describe('either side may end first:', () => {
  it('the opener, and goes on receiving', async () => {
    const { world, a, b } = pair()
    handle(b, 'after', async function* (incoming) {
      const all = await collect(incoming)
      for (const letter of all) yield bytesOf(letter.toUpperCase())
    })
    const stream = a.to(b).stream('after', source('a', 'bc'))
    await world.settle(stream.sent)
    expect(await world.settle(collect(stream))).toBe('ABC')
  })

  it('the handler, and goes on receiving', async () => {
    const { world, a, b } = pair()
    let heard: Promise<string> | undefined
    handle(b, 'first', (incoming) => {
      heard = collect(incoming)
      return source('bye')
    })
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('first', given)
    expect(await world.settle(collect(stream))).toBe('bye')
    given.give(bytesOf('b'))
    await world.pass(100)
    given.give(bytesOf('c'))
    given.finish()
    await world.settle(stream.sent)
    expect(await world.settle(heard!)).toBe('abc')
    expect(a.office.counters.streamsReset + b.office.counters.streamsReset).toBe(0)
  })

  it('a handler that is done and has never read ends the stream, and that is no failure', async () => {
    const { world, a, b } = pair()
    handle(b, 'deaf', async function* () {
      yield bytesOf('no time')
    })
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('deaf', given)
    expect(await world.settle(collect(stream))).toBe('no time')
    await world.settle(stream.sent)
    expect(given.returned).toBe(1)
    expect(a.office.counters.streamsReset + b.office.counters.streamsReset).toBe(0)
  })

  it('who begins to read when its handler is done is told that it is too late', async () => {
    const { world, a, b } = pair()
    let late: AsyncIterable<Uint8Array> | undefined
    handle(b, 'late', async (incoming) => {
      late = incoming
    })
    await world.settle(a.to(b).stream('late', new Source([bytesOf('a')], true)).sent)
    expect((await failure(collect(late!))).code).toBe('ERR_SKEIN_STREAM_RESET')
  })
})

describe('`sent`', () => {
  it('waits until the other end’s reader has taken all', async () => {
    const { world, a, b } = pair()
    let reader: AsyncIterator<Uint8Array> | undefined
    handle(b, 'slow', (incoming) => {
      reader = incoming[Symbol.asyncIterator]()
      return new Source([], true)
    })
    const stream = a.to(b).stream('slow', source('one', 'two'))
    let isSent = false
    void stream.sent.then(() => {
      isSent = true
    })
    await world.pass(1000)
    expect(textOf((await reader!.next()).value)).toBe('one')
    await world.pass(1000)
    expect(isSent).toBe(false)
    expect(textOf((await reader!.next()).value)).toBe('two')
    await world.pass(10)
    expect(isSent).toBe(true)
  })

  it('waits for the other end to accept, though there is nothing to send', async () => {
    const { world, a, b } = pair()
    const stream = a.to(b).stream('nobody')
    expect((await failure(world.settle(stream.sent))).code).toBe('ERR_SKEIN_NO_HANDLER')
  })

  it('may be ignored when it rejects', async () => {
    const { world, a, b } = pair()
    a.to(b).stream('nobody', source('a'))
    await world.pass(100)
    expect(a.office.counters.streamsReset).toBe(1)
  })
})

describe('a loop that is left early', () => {
  it('by the opener cancels both directions', async () => {
    const { world, a, b } = pair()
    const told: unknown[] = []
    const signals: AbortSignal[] = []
    const answers = new Source([bytesOf('1'), bytesOf('2')], true)
    handle(b, 't', (incoming, { signal }) => {
      signals.push(signal)
      void collect(incoming).catch((error) => told.push(error))
      return answers
    })
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('t', given)
    const leave = async () => {
      for await (const chunk of stream) return textOf(chunk)
    }
    expect(await world.settle(leave())).toBe('1')
    expect((await failure(stream.sent)).code).toBe('ERR_SKEIN_ABORTED')
    expect(given.returned).toBe(1)
    await world.pass(10)
    expect(told).toMatchObject([{ code: 'ERR_SKEIN_STREAM_RESET' }])
    expect(answers.returned).toBe(1)
    expect(signals[0]!.aborted).toBe(true)
    expect([a.office.counters.streamsReset, b.office.counters.streamsReset]).toEqual([1, 1])
    expect(b.office.counters.handlersFailed).toBe(0)
  })

  it('by the handler cancels both directions', async () => {
    const { world, a, b } = pair()
    handle(b, 't', async function* (incoming) {
      for await (const chunk of incoming) {
        yield chunk
        break
      }
      yield bytesOf('nobody hears this')
    })
    const given = new Source([bytesOf('a'), bytesOf('b')], true)
    const stream = a.to(b).stream('t', given)
    expect((await failure(world.settle(collect(stream)))).code).toBe('ERR_SKEIN_STREAM_RESET')
    expect((await failure(stream.sent)).code).toBe('ERR_SKEIN_STREAM_RESET')
    expect(given.returned).toBe(1)
    expect(b.office.counters.handlersFailed).toBe(0)
  })

  it('when all has been read is none', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => source('1'))
    const stream = a.to(b).stream('t')
    const reader = stream[Symbol.asyncIterator]()
    expect(textOf((await world.settle(reader.next())).value)).toBe('1')
    expect(await world.settle(reader.next())).toEqual({ done: true, value: undefined })
    await reader.return!()
    await world.pass(10)
    expect(a.office.counters.streamsReset + b.office.counters.streamsReset).toBe(0)
  })

  it('when all has been read, while this end still sends, leaves the stream alone', async () => {
    const { world, a, b } = pair()
    let heard: Promise<string> | undefined
    handle(b, 't', (incoming) => {
      heard = collect(incoming)
      return source('1')
    })
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('t', given)
    const reader = stream[Symbol.asyncIterator]()
    await world.settle(reader.next())
    expect((await world.settle(reader.next())).done).toBe(true)
    await reader.return!()
    given.give(bytesOf('b'))
    given.finish()
    await world.settle(stream.sent)
    expect(await world.settle(heard!)).toBe('ab')
  })

  it('by a handler that gives a source all the same tells that source', async () => {
    const { world, a, b } = pair()
    const answers = source('never')
    handle(b, 't', (incoming) => {
      void incoming[Symbol.asyncIterator]().return!()
      return answers
    })
    expect((await failure(world.settle(collect(a.to(b).stream('t'))))).code).toBe('ERR_SKEIN_STREAM_RESET')
    expect([answers.asked, answers.returned]).toEqual([0, 1])
  })

  it('while a read is pending ends that read', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => new Source([], true))
    const reader = a.to(b).stream('t')[Symbol.asyncIterator]()
    const pending = reader.next()
    await reader.return!()
    expect(await world.settle(pending)).toEqual({ done: true, value: undefined })
    expect(await reader.next()).toEqual({ done: true, value: undefined })
  })
})

describe('a handler that fails', () => {
  const throwing: Record<string, StreamHandler> = {
    'at once': () => {
      throw new Error('no luck')
    },
    'as a promise': async () => {
      throw new Error('no luck')
    },
    // biome-ignore lint/correctness/useYield: it fails before.
    'as a generator': async function* () {
      throw new Error('no luck')
    },
    'by what is no iterator': () => ({
      [Symbol.asyncIterator]: () => {
        throw new Error('no luck')
      },
    }),
  }
  it.each(Object.keys(throwing))('%s breaks both directions, with its text', async (how) => {
    const { world, a, b } = pair()
    handle(b, 't', throwing[how]!)
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('t', given)
    const error = await failure(world.settle(collect(stream)))
    expect(error.code).toBe('ERR_SKEIN_REMOTE_ERROR')
    expect(error.message).toContain('no luck')
    expect(await failure(stream.sent)).toBe(error)
    expect(eventsOf(b, 'handlerFailed')).toMatchObject([{ topic: 't', error: { message: 'no luck' } }])
    expect(b.office.counters.handlersFailed).toBe(1)
    // Its source was never asked, or was told.
    expect(given.returned).toBe(1)
  })

  it('with something that has no text is told of all the same', async () => {
    const { world, a, b } = pair()
    handle(b, 't', async () => {
      throw Object.create(null)
    })
    const error = await failure(world.settle(collect(a.to(b).stream('t'))))
    expect(error.code).toBe('ERR_SKEIN_REMOTE_ERROR')
    expect(b.office.counters.handlersFailed).toBe(1)
  })

  it('gives what it had sent before', async () => {
    const { world, a, b } = pair()
    handle(b, 't', async function* () {
      yield bytesOf('half')
      throw new Error('no luck')
    })
    const stream = a.to(b).stream('t')
    await world.pass(100)
    const reader = stream[Symbol.asyncIterator]()
    expect(textOf((await reader.next()).value)).toBe('half')
    expect((await failure(reader.next())).code).toBe('ERR_SKEIN_REMOTE_ERROR')
    expect((await failure(reader.next())).code).toBe('ERR_SKEIN_REMOTE_ERROR')
  })

  it('because its stream broke is not said to have failed; for another reason it is', async () => {
    const { world, a, b } = pair()
    handle(b, 'same', async (incoming) => void (await collect(incoming)))
    handle(b, 'other', async (incoming) => {
      await collect(incoming).catch(() => {
        throw new Error('a bug of its own')
      })
    })
    for (const topic of ['same', 'other']) {
      const stream = a.to(b).stream(topic, new Source([], true))
      await world.pass(10)
      stream.cancel()
    }
    await world.pass(10)
    expect(eventsOf(b, 'handlerFailed')).toMatchObject([{ topic: 'other' }])
  })
})

describe('what came whole before a stream broke', () => {
  it('stays whole', async () => {
    const { world, a, b } = pair()
    handle(b, 't', (incoming) => {
      void collect(incoming).catch(() => {})
      return source('all', ' of it')
    })
    const thrown = new Error('disk is gone')
    const stream = a.to(b).stream('t', {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise((_, reject) => world.clock.schedule(100, () => reject(thrown))),
      }),
    })
    expect(await failure(world.settle(stream.sent))).toBe(thrown)
    expect(await collect(stream)).toBe('all of it')
  })

  it('is of no interest to who has canceled it', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => new Source([bytesOf('waits')], true))
    const stream = a.to(b).stream('t')
    await world.pass(100)
    stream.cancel()
    const reader = stream[Symbol.asyncIterator]()
    expect((await failure(reader.next())).code).toBe('ERR_SKEIN_ABORTED')
  })
})

describe('a source that fails', () => {
  it('rejects `sent` with its very error, and resets the other end', async () => {
    const { world, a, b } = pair()
    const told: { code?: string; message: string }[] = []
    handle(b, 't', async (incoming, { signal }) => {
      await collect(incoming).catch((error) => told.push(error))
      expect(signal.aborted).toBe(true)
    })
    const thrown = new Error('disk is gone')
    async function* broken() {
      yield bytesOf('a')
      throw thrown
    }
    const stream = a.to(b).stream('t', broken())
    expect(await failure(world.settle(stream.sent))).toBe(thrown)
    expect(await failure(collect(stream))).toBe(thrown)
    await world.pass(10)
    expect(told).toMatchObject([{ code: 'ERR_SKEIN_STREAM_RESET' }])
    expect(told[0]!.message).toContain('disk is gone')
    expect(a.office.counters.handlersFailed + b.office.counters.handlersFailed).toBe(0)
  })

  it.each([
    ['a text', 'text'],
    ['null', null],
    ['nothing', undefined],
  ])('by giving %s is told what was expected', async (_, value) => {
    const { world, a, b } = pair()
    handle(b, 't', async (incoming) => void (await collect(incoming).catch(() => {})))
    const given = new Source([value as unknown as Uint8Array], true)
    const wrong = given[Symbol.asyncIterator]()
    const stream = a.to(b).stream('t', {
      [Symbol.asyncIterator]: () => ({
        ...wrong,
        next: async () => ({ done: false, value: value as unknown as Uint8Array }),
      }),
    })
    expect((await failure(world.settle(stream.sent))).code).toBe('ERR_SKEIN_INVALID_OPTION')
    expect(given.returned).toBe(1)
  })

  it('by answering with nothing at all, or by throwing at once, harms nobody else', async () => {
    const { world, a, b } = pair()
    handle(b, 't', async (incoming) => void (await collect(incoming).catch(() => {})))
    const nothing = { next: () => undefined as unknown as Promise<IteratorResult<Uint8Array>> }
    const throwing = {
      next: () => {
        throw new Error('at once')
      },
      return: () => {
        throw new Error('again')
      },
    }
    for (const iterator of [nothing, throwing]) {
      const stream = a.to(b).stream('t', { [Symbol.asyncIterator]: () => iterator })
      await failure(world.settle(stream.sent))
    }
    expect(await world.settle(a.to(b).stream('t').sent)).toBeUndefined()
  })

  it('that is no AsyncIterable opens nothing', () => {
    const { a, b } = pair()
    const call = () => a.to(b).stream('t', [bytesOf('a')] as unknown as AsyncIterable<Uint8Array>)
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' }))
    expect(a.office.counters.streamsOpened).toBe(0)
  })
})

describe('a stream is given up', () => {
  it('by its signal', async () => {
    const { world, a, b } = pair()
    const told: { code?: string }[] = []
    handle(b, 't', async (incoming) => void (await collect(incoming).catch((error) => told.push(error))))
    const controller = new AbortController()
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('t', given, { signal: controller.signal })
    const all = collect(stream)
    await world.pass(10)
    controller.abort()
    expect((await failure(world.settle(all))).code).toBe('ERR_SKEIN_ABORTED')
    expect((await failure(stream.sent)).code).toBe('ERR_SKEIN_ABORTED')
    expect(given.returned).toBe(1)
    await world.pass(10)
    expect(told).toMatchObject([{ code: 'ERR_SKEIN_STREAM_RESET' }])
  })

  it('by a signal that had fired before it was opened', () => {
    const { a, b } = pair()
    const given = source('a')
    const call = () => a.to(b).stream('t', given, { signal: AbortSignal.abort() })
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_ABORTED' }))
    expect(given.asked).toBe(0)
  })

  it('and its signal is let go of when it is over', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => source('1'))
    const { signal } = new AbortController()
    const stream = a.to(b).stream('t', source('a'), { signal })
    expect(getEventListeners(signal, 'abort').length).toBe(1)
    await world.settle(collect(stream))
    await world.settle(stream.sent)
    expect(getEventListeners(signal, 'abort').length).toBe(0)
  })

  it('by `cancel`, with a reason that the other end hears', async () => {
    const { world, a, b } = pair()
    const told: { code?: string; message: string }[] = []
    handle(b, 't', async (incoming) => void (await collect(incoming).catch((error) => told.push(error))))
    const stream = a.to(b).stream('t', new Source([], true))
    const all = collect(stream)
    await world.pass(10)
    stream.cancel('enough is known')
    stream.cancel('twice')
    expect((await failure(world.settle(all))).code).toBe('ERR_SKEIN_ABORTED')
    await world.pass(10)
    expect(told).toMatchObject([{ code: 'ERR_SKEIN_STREAM_RESET' }])
    expect(told[0]!.message).toContain('enough is known')
    expect(a.office.counters.streamsReset).toBe(1)
  })

  it('and what is canceled when it is over stays as it was', async () => {
    const { world, a, b } = pair()
    handle(b, 't', () => source('1'))
    const stream = a.to(b).stream('t', source('a'))
    await world.settle(stream.sent)
    await world.pass(10)
    stream.cancel()
    expect(await world.settle(collect(stream))).toBe('1')
    expect(a.office.counters.streamsReset).toBe(0)
  })
})

describe('several reads at once', () => {
  it('get chunks in the order in which they asked', async () => {
    const { world, a, b } = pair()
    const answers = new Source([], true)
    handle(b, 't', () => answers)
    const reader = a.to(b).stream('t')[Symbol.asyncIterator]()
    const reads = [0, 1, 2, 3, 4].map(() => reader.next())
    await world.pass(10)
    for (const text of ['x', 'y', 'z']) {
      answers.give(bytesOf(text))
      await world.pass(10)
    }
    answers.finish()
    const results = await world.settle(Promise.all(reads))
    expect(results.map(({ done, value }) => (done === true ? 'end' : textOf(value)))).toEqual([
      'x',
      'y',
      'z',
      'end',
      'end',
    ])
  })

  it('are all told of a failure', async () => {
    const { world, a, b } = pair()
    handle(b, 't', async () => {
      throw new Error('no luck')
    })
    const reader = a.to(b).stream('t')[Symbol.asyncIterator]()
    const reads = [0, 1, 2].map(() => failure(reader.next()))
    const codes = (await world.settle(Promise.all(reads))).map(({ code }) => code)
    expect(codes).toEqual(['ERR_SKEIN_REMOTE_ERROR', 'ERR_SKEIN_REMOTE_ERROR', 'ERR_SKEIN_REMOTE_ERROR'])
  })
})

describe('a peer that goes', () => {
  /** A stream under way both ways, and what each end is told. */
  async function underWay() {
    const { world, a, b } = pair()
    const there: Promise<{ code?: string }>[] = []
    handle(b, 't', (incoming) => {
      there.push(failure(collect(incoming)))
      return new Source([bytesOf('1')], true)
    })
    const stream = a.to(b).stream('t', new Source([bytesOf('a')], true))
    const here = failure(collect(stream))
    await world.pass(100)
    return { world, a, b, stream, here, there }
  }

  it('quarantined: both ends hear it', async () => {
    const { world, a, b, stream, here, there } = await underWay()
    a.office.plane.end(a.to(b).association, 'quarantined')
    b.office.plane.end(b.to(a).association, 'quarantined')
    expect((await world.settle(here)).code).toBe('ERR_SKEIN_QUARANTINED')
    expect((await failure(stream.sent)).code).toBe('ERR_SKEIN_QUARANTINED')
    expect((await world.settle(there[0]!)).code).toBe('ERR_SKEIN_QUARANTINED')
  })

  it('unreachable: both ends hear it, though nothing was under way', async () => {
    const { world, a, b, here, there } = await underWay()
    world.cut(a.node, b.node)
    expect((await world.settle(here)).code).toBe('ERR_SKEIN_UNREACHABLE')
    expect((await world.settle(there[0]!)).code).toBe('ERR_SKEIN_UNREACHABLE')
  })

  it('and comes back in time: nobody hears anything', async () => {
    const { world, a, b } = pair()
    const heard: string[] = []
    handle(b, 't', async (incoming) => {
      for await (const chunk of incoming) heard.push(textOf(chunk))
    })
    const given = new Source([bytesOf('a')], true)
    const stream = a.to(b).stream('t', given)
    await world.pass(100)
    world.cut(a.node, b.node)
    await world.pass(9000)
    given.give(bytesOf('b'))
    world.heal(a.node, b.node)
    await world.pass(1000)
    given.finish()
    await world.settle(stream.sent)
    expect(heard).toEqual(['a', 'b'])
  })

  it('replaced by its next incarnation: what was opened with the last one is over', async () => {
    const { world, b, here } = await underWay()
    world.crash(b.node)
    const next = addOffice(world, 1, {}, 1)
    handle(next, 't', () => source('new'))
    expect((await world.settle(here)).code).toBe('ERR_SKEIN_UNREACHABLE')
  })

  it('closed: its streams end there and here', async () => {
    const { world, a, b, here, there } = await underWay()
    let isClosed = false
    b.office.plane.close(() => {
      isClosed = true
    })
    await world.pass(100)
    if (!isClosed) b.office.plane.stop()
    expect((await world.settle(there[0]!)).code).toBe('ERR_SKEIN_CLOSED')
    world.crash(b.node)
    expect((await world.settle(here)).code).toBe('ERR_SKEIN_UNREACHABLE')
    expect(() => b.to(a).stream('t')).toThrow(expect.objectContaining({ code: 'ERR_SKEIN_CLOSED' }))
  })

  it('that remembers nothing, and hears of a stream only then, does not keep it', async () => {
    const { world, a, b } = pair()
    handle(b, 't', async (incoming) => void (await collect(incoming)))
    a.office.topics.handle('m', () => {})
    // This end has received something on the lane, and has sent nothing.
    b.to(a).send('m', bytesOf('x'), { lane: 'large' })
    await world.pass(200)
    world.cut(a.node, b.node)
    await world.pass(10)
    const stream = a.to(b).stream('t', new Source([], true))
    b.office.plane.end(b.to(a).association, 'left')
    world.heal(a.node, b.node)
    expect((await failure(world.settle(stream.sent))).code).toBe('ERR_SKEIN_UNREACHABLE')
    await world.pass(1000)
    expect(b.office.counters.streamsOpened).toBe(1)
    expect(b.to(a).association.large!.held).toBe(0)
  })

  it('that remembers nothing ends what was open at both ends, and new streams are not mistaken for old', async () => {
    const { world, a, b, here, there } = await underWay()
    // Only one end gives up; the other finds out when it is spoken to.
    a.office.plane.end(a.to(b).association, 'left')
    expect((await world.settle(here)).code).toBe('ERR_SKEIN_UNREACHABLE')
    handle(b, 'u', () => source('new'))
    expect(await world.settle(collect(a.to(b).stream('u')))).toBe('new')
    expect((await world.settle(there[0]!)).code).toBe('ERR_SKEIN_UNREACHABLE')
    await world.pass(1000)
    expect(a.to(b).association.large!.held).toBe(0)
    expect(b.to(a).association.large!.held).toBe(0)
  })
})
