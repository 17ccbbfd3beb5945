/** Two ends for tests of streams, and sources that say how they were used. */
import type { StreamHandler } from '../../src/messaging/messaging.js'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addOffice, bytesOf, type OfficeNode, textOf } from './office-world.js'

export function pair() {
  const world = new LaneWorld()
  const a = addOffice(world, 0)
  const b = addOffice(world, 1)
  return { world, a, b }
}

export const handle = (node: OfficeNode, topic: string, handler: StreamHandler) =>
  node.office.topics.handleStream(topic, handler)

/** A source that says how it was used. */
export class Source implements AsyncIterable<Uint8Array> {
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

export const source = (...values: string[]) => new Source(values.map(bytesOf))

export async function collect(from: AsyncIterable<Uint8Array>): Promise<string> {
  let all = ''
  for await (const chunk of from) all += textOf(chunk)
  return all
}

/** The error of what must not succeed. */
export async function failure(promise: Promise<unknown>): Promise<{ code?: string; message: string }> {
  return promise.then(
    (value) => {
      throw new Error(`expected a failure, got ${String(value)}`)
    },
    (error) => error,
  )
}
