/** Broadcasts of which one member cannot be sent its part. */
import { describe, expect, it } from 'vitest'
import { MemberMessaging } from '../../src/cluster/member-messaging.js'
import type { ClusterState, Member } from '../../src/core/model.js'
import { DATA_LIMITS } from '../../src/transport/limits.js'
import { addOffice, bytesOf, eventsOf, type OfficeNode } from '../messaging/office-world.js'
import { LaneWorld } from '../transport/data/lane-world.js'

const memberOf = ({ node }: OfficeNode) =>
  ({ ...node.hello, status: 'up', reachability: 'reachable', roles: [] }) as unknown as Member

function three() {
  const world = new LaneWorld()
  const [a, b, c] = [0, 1, 2].map((index) => addOffice(world, index)) as [OfficeNode, OfficeNode, OfficeNode]
  const state = { members: [a, b, c].map(memberOf) } as unknown as ClusterState
  const members = new MemberMessaging(
    a.office,
    a.node.uid,
    () => state,
    () => 0.5,
  )
  const heard: string[] = []
  for (const node of [b, c]) node.office.topics.handle('note', () => void heard.push(node.node.hello.nodeId))
  return { world, a, b, c, members, heard }
}

describe('a broadcast', () => {
  it('goes to the others when there is no room for one: of that one a dead letter tells', async () => {
    const { world, a, b, members, heard } = three()
    for (let index = 0; index < DATA_LIMITS.topicsMax; index += 1) a.to(b).send(`t${index}`, bytesOf(''))
    expect(members.broadcast('note', bytesOf('four'), {})).toBe(1)
    await world.pass(100)
    expect(heard).toEqual(['node-2'])
    const { uid } = b.node
    expect(eventsOf(a, 'deadLetter')).toMatchObject([
      { reason: 'outboxFull', peer: { uid }, topic: 'note', bytes: 4, count: 1, maybeDelivered: false },
    ])
  })

  it('goes to the others when there is nothing to be had with one', async () => {
    const { world, a, b, members, heard } = three()
    a.office.plane.endPeer(b.node.uid, 'left')
    expect(members.broadcast('note', bytesOf('x'), {})).toBe(1)
    await world.pass(100)
    expect(heard).toEqual(['node-2'])
    expect(eventsOf(a, 'deadLetter')).toMatchObject([{ reason: 'quarantined', peer: { nodeId: 'node-1' } }])
  })

  it.each([
    ['a topic that is none', '', bytesOf('x'), 'ERR_SKEIN_INVALID_OPTION'],
    ['what is no bytes', 'note', 'text' as unknown as Uint8Array, 'ERR_SKEIN_INVALID_OPTION'],
    ['too much', 'note', new Uint8Array(64 * 1024 * 1024 + 1), 'ERR_SKEIN_FRAME_TOO_LARGE'],
  ])('of %s throws, also when it goes to nobody, and nothing is sent', async (_, topic, bytes, code) => {
    const { world, a, members, heard } = three()
    const thrown = expect.objectContaining({ code })
    expect(() => members.broadcast(topic, bytes, {})).toThrow(thrown)
    expect(() => members.broadcast(topic, bytes, { role: 'nobody' })).toThrow(thrown)
    await world.pass(100)
    expect(heard).toEqual([])
    expect(a.events).toEqual([])
  })
})
