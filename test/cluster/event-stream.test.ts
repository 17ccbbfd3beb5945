import { describe, expect, it } from 'vitest'
import { EventStream } from '../../src/cluster/event-stream.js'
import type { ShellEvent, StreamItem } from '../../src/cluster/events.js'

function paused(gapMs: number): ShellEvent {
  return { type: 'selfPaused', gapMs }
}

async function drain(stream: EventStream): Promise<StreamItem[]> {
  const items: StreamItem[] = []
  for await (const item of stream) items.push(item)
  return items
}

function open(bufferMax: number) {
  let ends = 0
  const stream = new EventStream(bufferMax, () => {
    ends += 1
  })
  return { stream, ends: () => ends }
}

describe('an event iterator', () => {
  it('delivers in order, whether the reader waits or comes later', async () => {
    const { stream } = open(10)
    const first = stream.next()
    const second = stream.next()
    for (const gap of [1, 2, 3, 4]) stream.push(paused(gap))
    expect((await second).value).toEqual(paused(2))
    expect((await first).value).toEqual(paused(1))
    stream.end()
    expect(await drain(stream)).toEqual([paused(3), paused(4)])
  })

  it('holds exactly its bound, delivers it, then fails once and is over', async () => {
    const { stream, ends } = open(3)
    expect([1, 2, 3].map((gap) => stream.push(paused(gap)))).toEqual([false, false, false])
    expect(ends()).toBe(0)
    expect(stream.push(paused(4))).toBe(true)
    expect(ends()).toBe(1)
    expect(stream.push(paused(5))).toBe(false)
    for (const gap of [1, 2, 3]) expect((await stream.next()).value).toEqual(paused(gap))
    await expect(stream.next()).rejects.toMatchObject({ code: 'ERR_SKEIN_EVENTS_OVERFLOW', retryable: true })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  it('a reader that keeps up never overflows', async () => {
    const { stream } = open(1)
    for (let gap = 0; gap < 100; gap++) {
      stream.push(paused(gap))
      expect((await stream.next()).value).toEqual(paused(gap))
    }
  })

  it('ends waiting readers', async () => {
    const { stream, ends } = open(1)
    const waiting = [stream.next(), stream.next()]
    stream.end()
    stream.end()
    for (const result of await Promise.all(waiting)) expect(result.done).toBe(true)
    expect(ends()).toBe(1)
  })

  it('leaving the loop unsubscribes and forgets what was buffered', async () => {
    const { stream, ends } = open(10)
    for (const gap of [1, 2, 3]) stream.push(paused(gap))
    for await (const item of stream) {
      expect(item).toEqual(paused(1))
      break
    }
    expect(ends()).toBe(1)
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })
})
