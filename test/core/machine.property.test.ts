import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Uid } from '../../src/core/address.js'
import type { Message } from '../../src/core/model.js'
import { messages } from '../wire/message-arbitraries.js'
import { TestMachines } from './machines.js'

/** The same message about nodes that exist: each uid in it becomes, by turns, one of `uids` or stays a stranger. */
function about(message: Message, uids: readonly Uid[], turn: number): Message {
  let text = JSON.stringify(message)
  const found = [...new Set(text.match(/"[0-9a-f]{16}"/g) ?? [])]
  found.forEach((quoted, i) => {
    const uid = uids[(i + turn) % (uids.length + 1)]
    if (uid !== undefined) text = text.replaceAll(quoted, `"${uid}"`)
  })
  return JSON.parse(text) as Message
}

describe('membership machine under hostile peers', () => {
  it('never throws and never loses a member, whatever well-formed messages a stranger or a member sends', () => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 20 }), fc.boolean(), fc.nat(4), (list, asMember, turn) => {
        const net = new TestMachines()
        const nodes = net.form(3)
        const [victim, peer] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
        const from = asMember ? peer.self.uid : 'ffffffffffffffff'
        const session = 99
        if (!asMember) {
          const stranger = { uid: from, nodeId: 'stranger', address: { host: '10.6.6.6', port: 6 } }
          net.input(victim, { type: 'linkUp', peer: stranger, session })
        }
        for (const message of list) {
          const aimed = about(
            message,
            net.nodes.map((n) => n.self.uid),
            turn,
          )
          net.input(victim, { type: 'message', from, session, message: aimed })
        }
        net.run(3000)
        if (!asMember) expect(victim.machine.state().members.length).toBeGreaterThanOrEqual(3)
      }),
      { numRuns: 200 },
    )
  })
})
