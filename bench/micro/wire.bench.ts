/** Codec of membership messages, and of the frames that carry them. */
import { bench, describe } from 'vitest'
import { decodeFrame, encodeFrame, FrameKind, frameCrcMatches } from '../../src/wire/frame.js'
import { MESSAGE_IDENTIFIER, MESSAGE_SHAPE } from '../../src/wire/message-shape.js'
import { decodeMessage, encodeMessage } from '../../src/wire/messages.js'
import { verifyBuffer } from '../../src/wire/verify.js'
import { sampleDelta } from './sample-delta.js'

for (const count of [1, 10, 1000]) {
  const delta = sampleDelta(count)
  const whole = { type: 'welcome', state: delta } as const
  const members = { type: 'gossip', delta: { ...delta, rows: [], presences: [], vector: [] } } as const
  const bytes = encodeMessage(whole)
  const perMember = encodeMessage(members).length / count
  describe(`${count} members, ${bytes.length} B whole, ${perMember.toFixed(1)} B a member entry`, () => {
    bench('encode', () => void encodeMessage(whole))
    bench('verify', () => void verifyBuffer(bytes, MESSAGE_SHAPE, MESSAGE_IDENTIFIER))
    bench('decode, verified first', () => void decodeMessage(bytes))
    const frame = encodeFrame(FrameKind.message, bytes)
    bench('frame: encode with CRC', () => void encodeFrame(FrameKind.message, bytes))
    bench('frame: check the CRC, decode', () => {
      const content = frame.subarray(4)
      if (!frameCrcMatches(content)) throw new Error('the CRC does not match')
      decodeFrame(content)
    })
  })
}
