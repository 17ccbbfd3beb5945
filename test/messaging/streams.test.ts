/** What streams promise: bytes in order, ends that are separate, and loops that may be left. */
import { describe, expect, it } from 'vitest'
import type { MessageContext } from '../../src/messaging/messaging.js'
import { bytesOf, pattern, textOf } from './office-world.js'
import { collect, failure, handle, pair, Source, source } from './stream-support.js'

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
