/** Streams that break: who breaks them, and who is told what. */
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { StreamHandler } from '../../src/messaging/messaging.js'
import { addOffice, bytesOf, eventsOf, textOf } from './office-world.js'
import { collect, failure, handle, pair, Source, source } from './stream-support.js'

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
