import { describe, expect, it } from 'vitest'
import { LaneWorld } from '../transport/data/lane-world.js'
import { addOffice, bytesOf, textOf } from './office-world.js'

function pair() {
  const world = new LaneWorld()
  const a = addOffice(world, 0)
  const b = addOffice(world, 1)
  return { world, a, b }
}
async function* texts(...values: string[]) {
  for (const value of values) yield bytesOf(value)
}
async function collect(from: AsyncIterable<Uint8Array>): Promise<string> {
  let all = ''
  for await (const chunk of from) all += textOf(chunk)
  return all
}

describe('a stream', () => {
  it('echoes', async () => {
    const { world, a, b } = pair()
    b.office.topics.handleStream('echo', async function* (incoming) {
      for await (const chunk of incoming) yield chunk
    })
    const stream = a.to(b).stream('echo', texts('one', 'two', 'three'))
    expect(await world.settle(collect(stream))).toBe('onetwothree')
    await world.settle(stream.sent)
  })
})
