/** Messages: handlers, loans, dead letters, and what an outbox holds. */
import { describe, expect, it } from 'vitest'
import { MESSAGING_LIMITS } from '../../src/messaging/limits.js'
import { copyBytes } from '../../src/messaging/messaging.js'
import { DATA_LIMITS } from '../../src/transport/limits.js'
import { DATA_OVERHEAD_BYTES } from '../../src/wire/data-frame.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addOffice, bytesOf, eventsOf, type OfficeNode, pattern, textOf } from './office-world.js'

const NO_BYTES = new Uint8Array(0)
const FULL = expect.objectContaining({ code: 'ERR_SKEIN_OUTBOX_FULL', retryable: true })

function pair(options = {}) {
  const world = new LaneWorld()
  return { world, a: addOffice(world, 0, options), b: addOffice(world, 1, options) }
}

/** Lets nothing out of what a node sends. */
function holdBack(world: LaneWorld): void {
  world.prepare = (socket) => {
    socket.takes = () => 0
  }
}

function texts(node: OfficeNode, topic = 't') {
  const heard: string[] = []
  node.office.topics.handle(topic, (bytes) => {
    heard.push(textOf(bytes))
  })
  return heard
}

describe('a message', () => {
  it('reaches the handler of its topic, in order, with its sender', async () => {
    const { world, a, b } = pair()
    const heard: string[] = []
    b.office.topics.handle('t', (bytes, { from, topic, lane, signal }) => {
      heard.push(
        `${textOf(bytes)} ${from.nodeId} ${from.uid === a.node.uid} ${topic} ${lane} ${signal.aborted}`,
      )
    })
    for (const text of ['1', '2', '3']) a.to(b).send('t', bytesOf(text))
    await world.pass(100)
    expect(heard).toEqual(['1', '2', '3'].map((text) => `${text} node-0 true t ordinary false`))
    expect([a.office.counters.messagesOut, b.office.counters.messagesIn]).toEqual([3, 3])
  })

  it('can be answered by one to its sender', async () => {
    const { world, a, b } = pair()
    const heard = texts(a, 'pong')
    b.office.topics.handle('ping', (bytes, { from }) => {
      b.office.plane.ensure(from.uid, from.address, from.nodeId).client.send('pong', bytes)
    })
    a.to(b).send('ping', bytesOf('x'))
    await world.pass(100)
    expect(heard).toEqual(['x'])
  })

  it('is copied when it is sent', async () => {
    const { world, a, b } = pair()
    const heard = texts(b)
    const bytes = bytesOf('as it was')
    a.to(b).send('t', bytes)
    bytes.fill(0)
    await world.pass(100)
    expect(heard).toEqual(['as it was'])
  })

  it.each(['at once', 'later'])(
    'whose handler fails %s is told of, and the next one comes all the same',
    async (how) => {
      const { world, a, b } = pair()
      let calls = 0
      b.office.topics.handle('t', (): undefined | Promise<undefined> => {
        calls += 1
        if (how === 'later') return Promise.reject(new Error('no luck'))
        throw new Error('no luck')
      })
      a.to(b).send('t', NO_BYTES)
      a.to(b).send('t', NO_BYTES)
      await world.pass(100)
      expect(calls).toBe(2)
      expect(eventsOf(b, 'handlerFailed')).toMatchObject(
        Array(2).fill({ topic: 't', error: { message: 'no luck' } }),
      )
      expect(b.office.counters.handlersFailed).toBe(2)
    },
  )

  it.each(['text', undefined, null, 7, {}, { length: 3 }, [1]])('that is %j is none', async (value) => {
    const { world, a, b } = pair()
    const heard = texts(b)
    const invalid = expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' })
    for (const options of [undefined, { lane: 'large' } as const])
      expect(() => a.to(b).send('t', value as unknown as Uint8Array, options)).toThrow(invalid)
    a.to(b).send('t', Buffer.from('a buffer is one'))
    await world.pass(100)
    expect(heard).toEqual(['a buffer is one'])
  })
})

describe('topics', () => {
  const invalid = expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' })

  it('are names of 1 to 255 bytes, in any letters', async () => {
    const { world, a, b } = pair()
    const heard: string[] = []
    const names = ['x', 'x'.repeat(255), '日'.repeat(85), 'a b\n\0', 'constructor', '__proto__']
    for (const name of names)
      b.office.topics.handle(name, (_, { topic }) => {
        heard.push(topic)
      })
    for (const name of names) a.to(b).send(name, NO_BYTES)
    await world.pass(100)
    expect(heard).toEqual(names)
  })

  it.each(['', 'x'.repeat(256), '日'.repeat(86), undefined, 7])('%j is none', (name) => {
    const { a, b } = pair()
    const topic = name as string
    expect(() => a.to(b).send(topic, NO_BYTES)).toThrow(invalid)
    expect(() => a.to(b).send(topic, NO_BYTES, { lane: 'large' })).toThrow(invalid)
    expect(() => a.to(b).stream(topic)).toThrow(invalid)
    expect(() => a.office.topics.handle(topic, () => {})).toThrow(invalid)
    expect(() => a.office.topics.handleStream(topic, async () => {})).toThrow(invalid)
  })

  it('are bounded per peer and lane', async () => {
    const { world, a, b } = pair()
    let heard = 0
    const last = `t${DATA_LIMITS.topicsMax - 1}`
    b.office.topics.handle(last, () => {
      heard += 1
    })
    for (let index = 0; index < DATA_LIMITS.topicsMax; index += 1) a.to(b).send(`t${index}`, NO_BYTES)
    expect(() => a.to(b).send('one more', NO_BYTES)).toThrow(invalid)
    a.to(b).send(last, NO_BYTES)
    a.to(b).send('on the other lane', NO_BYTES, { lane: 'large' })
    await world.pass(200)
    expect(heard).toBe(2)
  })

  it('have one handler each, which can be taken away and given again', async () => {
    const { world, a, b } = pair()
    const { topics } = b.office
    const heard: string[] = []
    const hear = (name: string) => topics.handle('t', () => void heard.push(name))
    const remove = hear('first')
    expect(() => hear('second')).toThrow(invalid)
    a.to(b).send('t', NO_BYTES)
    await world.pass(100)
    remove()
    a.to(b).send('t', NO_BYTES)
    await world.pass(100)
    const removeSecond = hear('second')
    // What was taken away before takes nothing away now.
    remove()
    a.to(b).send('t', NO_BYTES)
    await world.pass(100)
    removeSecond()
    a.to(b).send('t', NO_BYTES)
    await world.pass(100)
    expect(heard).toEqual(['first', 'second'])
    expect(eventsOf(b, 'deadLetter').length).toBe(2)
  })

  it('that nobody handles are not remembered, however many a peer names', async () => {
    const { world, a, b } = pair()
    for (let index = 0; index < 100; index += 1) a.to(b).send(`t${index}`, NO_BYTES)
    await world.pass(100)
    const heard = texts(b, 't7')
    a.to(b).send('t7', bytesOf('now'))
    await world.pass(100)
    expect(heard).toEqual(['now'])
    expect(b.office.topics.named('t8')).not.toBe(b.office.topics.named('t8'))
  })

  it('may have handlers before the first message can come', async () => {
    const world = new LaneWorld()
    const heard: string[] = []
    const a = addOffice(world, 0)
    const b = addOffice(world, 1, { handlers: { t: (bytes) => void heard.push(textOf(bytes)) } })
    a.to(b).send('t', bytesOf('x'))
    await world.pass(100)
    expect(heard).toEqual(['x'])
  })
})

describe('bytes on loan', () => {
  const POISONED = new Uint8Array(8).fill(0xdb)

  it('are spoilt when the handler returns, so that who kept them finds out', async () => {
    const { world, a, b } = pair()
    const kept: Uint8Array[] = []
    b.office.topics.handle('t', (bytes) => {
      kept.push(bytes, copyBytes(bytes))
      expect(bytes).toEqual(pattern(8))
    })
    a.to(b).send('t', pattern(8))
    a.to(b)
      .request('t', pattern(8))
      .catch(() => {})
    await world.pass(100)
    expect(kept).toEqual([POISONED, pattern(8), POISONED, pattern(8)])
  })

  it('are spoilt at the first `await` of an asynchronous one', async () => {
    const { world, a, b } = pair()
    const seen: Uint8Array[] = []
    b.office.topics.handle('t', async (bytes) => {
      seen.push(bytes.slice())
      await null
      seen.push(bytes.slice())
    })
    a.to(b).send('t', pattern(8))
    await world.pass(100)
    expect(seen).toEqual([pattern(8), POISONED])
  })

  it('of a handler that throws are spoilt too', async () => {
    const { world, a, b } = pair()
    const kept: Uint8Array[] = []
    b.office.topics.handle('t', (bytes) => {
      kept.push(bytes)
      throw new Error('no luck')
    })
    a.to(b).send('t', pattern(8))
    await world.pass(100)
    expect(kept).toEqual([POISONED])
  })
})

describe('dead letters', () => {
  it('tell of a message that nobody handles', async () => {
    const { world, a, b } = pair()
    b.office.topics.handleStream('stream only', async () => {})
    a.to(b).send('nobody', pattern(12))
    a.to(b).send('stream only', pattern(13))
    await world.pass(100)
    const { uid, nodeId, address } = a.node.hello
    const base = { type: 'deadLetter', reason: 'noHandler', peer: { uid, nodeId, address }, count: 1 }
    expect(b.events).toEqual([
      { ...base, topic: 'nobody', bytes: 12, maybeDelivered: false },
      { ...base, topic: 'stream only', bytes: 13, maybeDelivered: false },
    ])
    expect(b.office.counters.deadLetters).toBe(2)
  })

  it('tell of each message to a peer that could not be reached', async () => {
    const { world, a, b } = pair()
    world.cut(a.node, b.node)
    a.to(b).send('t', pattern(5))
    a.to(b).send('u', pattern(6), { lane: 'large' })
    a.to(b)
      .request('t', NO_BYTES)
      .catch(() => {})
    await world.pass(MESSAGING_LIMITS.unreachableTimeoutMs + 100)
    expect(eventsOf(a, 'deadLetter')).toMatchObject([
      { reason: 'unreachable', topic: 't', bytes: 5, count: 1, maybeDelivered: false },
      { reason: 'unreachable', topic: 'u', bytes: 6, count: 1 },
    ])
    expect(a.office.counters.deadLetters).toBe(2)
  })

  it('say what may have arrived: what a socket was given and nobody acknowledged', async () => {
    const { world, a, b } = pair()
    const heard = texts(b)
    a.to(b).send('t', bytesOf('first'))
    await world.pass(200)
    a.to(b).send('t', bytesOf('second'))
    await world.until(() => heard.length === 2, 'the second')
    for (const { sockets } of world.openLanes) sockets[0].takes = () => 0
    a.to(b).send('t', bytesOf('third'))
    await world.pass(1)
    a.office.plane.end(a.to(b).association, 'left')
    expect(eventsOf(a, 'deadLetter')).toMatchObject([
      { reason: 'left', bytes: 6, maybeDelivered: true },
      { reason: 'left', bytes: 5, maybeDelivered: false },
    ])
  })

  it.each([MESSAGING_LIMITS.deadLettersEventsMax, MESSAGING_LIMITS.deadLettersEventsMax + 1, 2000])(
    'are told one by one up to a number, then as one sum: %i',
    async (count) => {
      const { world, a, b } = pair()
      holdBack(world)
      for (let index = 0; index < count; index += 1) a.to(b).send('t', new Uint8Array(index % 7))
      await world.pass(10)
      a.office.plane.end(a.to(b).association, 'left')
      const letters = eventsOf(a, 'deadLetter')
      const { deadLettersEventsMax } = MESSAGING_LIMITS
      expect(letters.length).toBe(Math.min(count, deadLettersEventsMax + 1))
      const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
      expect(sum(letters.map((letter) => letter.count))).toBe(count)
      expect(sum(letters.map(({ bytes }) => bytes))).toBe(
        sum(Array.from({ length: count }, (_, index) => index % 7)),
      )
      if (count > deadLettersEventsMax)
        expect(letters.at(-1)).toMatchObject({ topic: '', count: count - deadLettersEventsMax })
      expect(a.office.counters.deadLetters).toBe(count)
    },
  )

  it('come to a listener who may send again, and whose sending is not refused for it', async () => {
    const { world, a, b } = pair()
    const heard = texts(b)
    world.cut(a.node, b.node)
    a.onTold = (event) => {
      if (event.type !== 'deadLetter' || event.reason !== 'unreachable') return
      world.heal(a.node, b.node)
      a.to(b).send('t', bytesOf('again'))
    }
    a.to(b).send('t', bytesOf('once'))
    await world.pass(20_000)
    expect(heard).toEqual(['again'])
  })
})

describe('an outbox', () => {
  const size = 1000
  const frame = size + DATA_OVERHEAD_BYTES
  /** The topic’s own frame. */
  const topic = 1 + DATA_OVERHEAD_BYTES

  it('takes as many bytes as its bound, and frees them when they are acknowledged', async () => {
    const outboxBytesMax = 10 * frame + topic
    const { world, a, b } = pair({ outboxBytesMax })
    const heard = texts(b)
    for (let index = 0; index < 10; index += 1) a.to(b).send('t', new Uint8Array(size))
    expect(() => a.to(b).send('t', NO_BYTES)).toThrow(FULL)
    await expect(a.to(b).request('t', NO_BYTES)).rejects.toEqual(FULL)
    expect(a.to(b).association.ordinary!.outbox.unackedBytes).toBe(outboxBytesMax)
    expect(a.office.counters.outboxFull).toBe(2)
    await world.pass(200)
    expect(heard.length).toBe(10)
    expect(() => a.to(b).send('t', new Uint8Array(size))).not.toThrow()
  })

  it('takes as many messages as its bound', () => {
    const { a, b } = pair({ outboxMessagesMax: 20 })
    for (let index = 0; index < 19; index += 1) a.to(b).send('t', NO_BYTES)
    expect(a.to(b).association.ordinary!.outbox.unackedFrames).toBe(20)
    expect(() => a.to(b).send('t', NO_BYTES)).toThrow(FULL)
  })

  it('is one per lane: a full one does not fill the other', () => {
    const { a, b } = pair({ outboxMessagesMax: 20 })
    for (let index = 0; index < 19; index += 1) a.to(b).send('t', NO_BYTES)
    expect(() => a.to(b).send('t', NO_BYTES, { lane: 'large' })).not.toThrow()
  })
})

describe('high and low water', () => {
  const marks = { highWaterBytes: 10_000, lowWaterBytes: 2000 }

  it('say when to wait, and when to go on', async () => {
    const { world, a, b } = pair(marks)
    holdBack(world)
    const link = a.to(b)
    const chunk = new Uint8Array(1000 - DATA_OVERHEAD_BYTES)
    const answers = Array.from({ length: 12 }, () => link.send('t', chunk))
    // The topic’s own frame makes the tenth one too many.
    expect(answers).toEqual([...Array(9).fill(true), ...Array(3).fill(false)])
    expect(link.writableNeedDrain).toBe(true)
    let isDrained = false
    void link.drain().then(() => {
      isDrained = true
    })
    await world.pass(50)
    const [lane] = world.openLanes
    let room = 0
    lane!.sockets[0].takes = (count) => {
      const taken = Math.min(room, count)
      room -= taken
      return taken
    }
    const { outbox } = link.association.ordinary!
    while (outbox.unsentBytes > marks.lowWaterBytes) {
      expect(isDrained).toBe(false)
      room = 100
      await world.pass(1)
    }
    expect([isDrained, link.writableNeedDrain]).toEqual([true, false])
  })

  it('count what waits on the large lane too', async () => {
    const { world, a, b } = pair(marks)
    const link = a.to(b)
    let heard = 0
    b.office.topics.handle('t', () => {
      heard += 1
    })
    for (let index = 0; index < 20; index += 1) link.send('t', new Uint8Array(100_000))
    expect(link.writableNeedDrain).toBe(true)
    await world.settle(link.drain())
    expect(link.writableNeedDrain).toBe(false)
    await world.pass(1000)
    expect(heard).toBe(20)
  })

  it('need no waiting below', async () => {
    const { a, b } = pair(marks)
    expect(a.to(b).writableNeedDrain).toBe(false)
    await a.to(b).drain()
  })

  it('let go of whoever waits when the peer is given up', async () => {
    const { world, a, b } = pair(marks)
    holdBack(world)
    const link = a.to(b)
    while (link.send('t', new Uint8Array(1000))) {}
    const drained = link.drain()
    await world.pass(10)
    a.office.plane.end(link.association, 'left')
    await world.settle(drained)
  })

  it('let go of whoever waits when the peer forgets what was queued', async () => {
    const { world, a, b } = pair(marks)
    const link = a.to(b)
    link.send('t', NO_BYTES)
    await world.pass(200)
    for (const { sockets } of world.openLanes) sockets[0].takes = () => 0
    while (link.send('t', new Uint8Array(1000))) {}
    const drained = link.drain()
    await world.pass(10)
    b.office.plane.end(b.to(a).association, 'left')
    await world.settle(drained)
    expect(eventsOf(a, 'deadLetter').length).toBeGreaterThan(5)
  })
})

describe('an office that closes', () => {
  it('sends what was queued, and resolves', async () => {
    const { world, a, b } = pair()
    const heard = texts(b)
    a.to(b).send('t', bytesOf('before'))
    await world.pass(200)
    for (let index = 0; index < 100; index += 1) a.to(b).send('t', bytesOf(`${index}`))
    a.to(b).send('t', new Uint8Array(3_000_000))
    const closed = a.office.close((delayMs, task) => world.clock.schedule(delayMs, task), 1000)
    await world.settle(closed)
    expect(heard.length).toBe(102)
    expect(eventsOf(a, 'deadLetter')).toEqual([])
  })

  it('waits for its time and no longer, and tells of the rest', async () => {
    const { world, a, b } = pair()
    a.to(b).send('t', bytesOf('before'))
    await world.pass(200)
    for (const { sockets } of world.openLanes) sockets[0].takes = () => 0
    a.to(b).send('t', bytesOf('never'))
    const startMs = world.clock.nowMs()
    await world.settle(a.office.close((delayMs, task) => world.clock.schedule(delayMs, task), 1000))
    expect(world.clock.nowMs() - startMs).toBe(1000)
    expect(eventsOf(a, 'deadLetter')).toMatchObject([{ reason: 'closed', bytes: 5, maybeDelivered: false }])
  })
})
