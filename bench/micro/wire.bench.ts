/** Codec of membership messages: `npx vitest bench bench/micro/wire.bench.ts`. */
import { bench, describe } from 'vitest'
import { decodeMessage, encodeMessage } from '../../src/wire/messages.js'
import { sampleDelta } from './sample-delta.js'

for (const count of [1, 10, 1000]) {
  const delta = sampleDelta(count)
  const whole = { type: 'welcome', state: delta } as const
  const members = { type: 'gossip', delta: { ...delta, rows: [], presences: [], vector: [] } } as const
  const bytes = encodeMessage(whole)
  const perMember = encodeMessage(members).length / count
  describe(`${count} members, ${bytes.length} B whole, ${perMember.toFixed(1)} B a member entry`, () => {
    bench('encode', () => void encodeMessage(whole))
    bench('decode', () => void decodeMessage(bytes))
  })
}
