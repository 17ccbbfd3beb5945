/** What handlers and senders hand in: bytes, promises of any make, and what is neither. */
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { Handler } from '../../src/messaging/messaging.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addOffice, bytesOf, eventsOf, textOf } from './office-world.js'

const NO_BYTES = new Uint8Array(0)

function pair() {
  const world = new LaneWorld()
  return { world, a: addOffice(world, 0), b: addOffice(world, 1) }
}

/** A promise of somebody else's make: all it has is `then`. */
function thenable(settle: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void) {
  // biome-ignore lint/suspicious/noThenProperty: that it has one is what is tested
  return { then: settle } as unknown as Promise<Uint8Array>
}

describe('a handler that returns a thenable', () => {
  it('is waited for, as with any promise', async () => {
    const { world, a, b } = pair()
    const answers: Record<string, Handler> = {
      thenable: () => thenable((resolve) => resolve(bytesOf('from thenable'))),
      'of another realm': () => {
        const answer = runInNewContext('(bytes) => Promise.resolve(bytes)') as (
          bytes: Uint8Array,
        ) => Promise<Uint8Array>
        return answer(bytesOf('from of another realm'))
      },
    }
    for (const [topic, handler] of Object.entries(answers)) {
      b.office.topics.handle(topic, handler)
      expect(textOf(await world.settle(a.to(b).request(topic, NO_BYTES)))).toBe(`from ${topic}`)
    }
  })

  it.each([
    ['that rejects', () => thenable((_, reject) => reject(new Error('no luck')))],
    [
      'that throws',
      () =>
        thenable(() => {
          throw new Error('no luck')
        }),
    ],
    [
      'that cannot be looked at',
      () =>
        Object.defineProperty({}, 'then', {
          get: () => {
            throw new Error('no luck')
          },
        }) as Promise<Uint8Array>,
    ],
  ] satisfies [string, Handler][])('%s has failed, for a request and for a message', async (_, handler) => {
    const { world, a, b } = pair()
    b.office.topics.handle('t', handler)
    await expect(world.settle(a.to(b).request('t', NO_BYTES))).rejects.toMatchObject({
      code: 'ERR_SKEIN_REMOTE_ERROR',
      message: expect.stringContaining('no luck'),
    })
    a.to(b).send('t', NO_BYTES)
    await world.pass(100)
    expect(eventsOf(b, 'handlerFailed').length).toBe(2)
  })
})

describe('what is to be sent', () => {
  it.each([
    ['an ArrayBuffer', new ArrayBuffer(8)],
    ['a DataView', new DataView(new ArrayBuffer(8))],
    ['wider elements', new Uint16Array(4)],
    ['a class', Uint8Array],
    ['what only looks like bytes', { BYTES_PER_ELEMENT: 1 }],
  ])('is refused as %s; the lane goes on', async (_, value) => {
    const { world, a, b } = pair()
    const sizes: number[] = []
    b.office.topics.handle('t', ({ length }) => void sizes.push(length))
    b.office.topics.handle('answer', () => value as unknown as Uint8Array)
    const wrong = value as unknown as Uint8Array
    for (const lane of ['ordinary', 'large'] as const)
      expect(() => a.to(b).send('t', wrong, { lane })).toThrow(
        expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION' }),
      )
    await expect(world.settle(a.to(b).request('answer', NO_BYTES))).rejects.toMatchObject({
      code: 'ERR_SKEIN_REMOTE_ERROR',
    })
    a.to(b).send('t', new Uint8Array(3))
    await world.pass(100)
    expect(sizes).toEqual([3])
    expect(a.to(b).writableNeedDrain).toBe(false)
  })

  it('may be bytes of another realm', async () => {
    const { world, a, b } = pair()
    const sizes: number[] = []
    b.office.topics.handle('t', ({ length }) => void sizes.push(length))
    a.to(b).send('t', runInNewContext('new Uint8Array(5)') as Uint8Array)
    await world.pass(100)
    expect(sizes).toEqual([5])
  })
})
