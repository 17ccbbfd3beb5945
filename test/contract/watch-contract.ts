import { describe, expect, it } from 'vitest'
import { decodeHeartbeat, decodeWatch, encodeWatch, FrameFlag, FrameKind } from '../../src/wire/frame.js'
import { FakePeer } from './fake-peer.js'
import { counter, eventsOf, freshUid, isLinked, type Node, startNode } from './harness.js'
import type { ContractContext } from './transport-contract.js'

const suspicions = (node: Node) => eventsOf(node, 'suspicion')

/** A node that watches a fake peer, and that peer, linked. */
async function watched(context: ContractContext, options: Parameters<typeof startNode>[2] = {}) {
  const { harness, open } = context
  const listener = await harness.listenRaw()
  const node = await startNode(harness, open, options)
  const uid = freshUid()
  node.transport.watch(uid, listener.address)
  const peer = await FakePeer.accept(harness, listener, 0, { uid })
  await harness.waitFor(() => isLinked(node, uid), 'the link')
  return { harness, listener, node, uid, peer }
}

export function watchContract(context: ContractContext): void {
  describe('beats', () => {
    it('are asked for on the link, and end with unwatch', async () => {
      const { harness, listener, node, uid, peer } = await watched(context)
      expect(decodeWatch((await peer.frame(FrameKind.watch)).body)).toBe(50)
      node.transport.watch(uid, listener.address)
      node.transport.unwatch(uid)
      await harness.waitFor(() => peer.count(FrameKind.watch) === 2, 'the end of the watch')
      expect(decodeWatch(peer.frames.filter((frame) => frame.kind === FrameKind.watch)[1]!.body)).toBe(0)
      await harness.advance(1500)
      expect(suspicions(node)).toEqual([])
      expect(node.transport.peers()).toMatchObject([{ uid, watched: false, linked: true }])
    })

    it('are asked for again on every new session', async () => {
      const { harness, listener, peer, uid } = await watched(context)
      await peer.frame(FrameKind.watch)
      peer.stream.end()
      const again = await FakePeer.accept(harness, listener, 1, { uid })
      expect(decodeWatch((await again.frame(FrameKind.watch)).body)).toBe(50)
    })

    it('flow between two nodes, and echoes measure the round trip', async () => {
      const { harness, open } = context
      const [a, b] = [await startNode(harness, open), await startNode(harness, open)]
      a.transport.watch(b.uid, b.address)
      await harness.waitFor(
        () => counter(a, 'beatsIn') >= 7 && counter(b, 'echoesIn') >= 2,
        'beats and echoes',
      )
      expect(counter(b, 'beatsOut')).toBeGreaterThanOrEqual(counter(a, 'beatsIn'))
      const seenByA = a.transport.peers().find((peer) => peer.uid === b.uid)!
      expect(seenByA).toMatchObject({ watched: true, linked: true, address: b.address })
      expect(seenByA.rttMs).toBeNaN()
      const seenByB = b.transport.peers().find((peer) => peer.uid === a.uid)!
      expect(seenByB.watched).toBe(false)
      expect(seenByB.rttMs).toBeGreaterThanOrEqual(0)
      expect(seenByB.rttMs).toBeLessThan(5000)
    })

    it('leave at once, are numbered from 1, and every n-th wants an echo', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      peer.send(encodeWatch(30))
      await harness.waitFor(() => peer.count(FrameKind.heartbeat) >= 7, 'seven beats')
      const beats = peer.frames.filter((frame) => frame.kind === FrameKind.heartbeat).slice(0, 7)
      expect(beats.map((beat) => beat.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7])
      expect(beats.map((beat) => beat.flags & FrameFlag.echoWanted)).toEqual([0, 0, 1, 0, 0, 1, 0])
      const bodies = beats.map((beat) => decodeHeartbeat(beat.body)!)
      expect(bodies.every((body) => body.intervalMs === 30)).toBe(true)
      for (let index = 1; index < bodies.length; index += 1) {
        expect(bodies[index]!.sentUs).toBeGreaterThan(bodies[index - 1]!.sentUs)
      }
      peer.send(encodeWatch(0))
      await harness.advance(100)
      const settled = peer.count(FrameKind.heartbeat)
      await harness.advance(200)
      expect(peer.count(FrameKind.heartbeat)).toBe(settled)
    })

    it('are never faster than 20 ms, whatever is asked for', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const peer = await FakePeer.dial(harness, node.address)
      peer.send(encodeWatch(1))
      await harness.waitFor(() => peer.count(FrameKind.heartbeat) >= 5, 'five beats')
      const bodies = peer.frames
        .filter((frame) => frame.kind === FrameKind.heartbeat)
        .map((frame) => decodeHeartbeat(frame.body)!)
      expect(bodies.every((body) => body.intervalMs === 20)).toBe(true)
    })

    it('that want an echo get one: body and sequence copied, loop age our own', async () => {
      const { peer } = await watched(context)
      peer.sendBeat(41, 1234, true)
      const echo = await peer.frame(FrameKind.echo)
      expect(echo.sequence).toBe(41)
      const body = decodeHeartbeat(echo.body)!
      expect(body).toMatchObject({ sentUs: 1, intervalMs: 50 })
      expect(body.loopAgeMs).toBeLessThan(1234)
    })
  })

  describe('suspicion', () => {
    it('by silence is raised once, with a dial beside the old socket; a beat ends it', async () => {
      const { harness, listener, node, uid, peer } = await watched(context)
      peer.sendBeat(1)
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      expect(suspicions(node)[0]).toMatchObject({ uid, suspected: true, cause: 'silence' })
      expect(suspicions(node)[0]!.phi).toBeGreaterThanOrEqual(8)
      expect(suspicions(node)[0]!.silentMs).toBeGreaterThan(50)
      await harness.waitFor(() => listener.streams.length >= 2, 'a dial beside the old socket')
      expect(isLinked(node, uid)).toBe(true)
      peer.sendBeat(2)
      await harness.waitFor(() => suspicions(node).length === 2, 'trust')
      expect(suspicions(node)[1]).toMatchObject({ uid, suspected: false })
      expect(eventsOf(node, 'linkDown')).toEqual([])
    })

    it('by silence is not ended by a new link alone', async () => {
      const { harness, listener, node, uid } = await watched(context)
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      const again = await FakePeer.accept(harness, listener, 1, { uid })
      await harness.waitFor(() => eventsOf(node, 'linkUp').length === 2, 'the new link')
      await harness.advance(100)
      expect(suspicions(node)).toHaveLength(1)
      again.sendBeat(1)
      await harness.waitFor(() => suspicions(node).length === 2, 'trust')
      expect(suspicions(node)[1]!.suspected).toBe(false)
    })

    it('reports phi and the silence of a watched peer at any time', async () => {
      const { harness, node, uid } = await watched(context)
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      const status = node.transport.peers().find((each) => each.uid === uid)!
      expect(status).toMatchObject({ watched: true })
      expect(status.phi).toBeGreaterThanOrEqual(8)
      expect(status.silentMs).toBeGreaterThan(300)
    })

    it('of a peer that never answers comes after the acceptable pause, and never says gone', async () => {
      const { harness, open } = context
      const node = await startNode(harness, open)
      const uid = freshUid()
      node.transport.watch(uid, await harness.deadAddress())
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      expect(suspicions(node)[0]).toMatchObject({ uid, cause: 'silence', suspected: true })
      await harness.advance(300)
      expect(suspicions(node)).toHaveLength(1)
    })

    it('of a process that is gone needs two refused connections, and is raised once', async () => {
      const { harness, listener, node, uid, peer } = await watched(context, {
        heartbeat: { acceptablePauseMs: 8000 },
      })
      await listener.close()
      peer.stream.destroy()
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      expect(suspicions(node)[0]).toMatchObject({ uid, suspected: true, cause: 'gone' })
      const refusals = eventsOf(node, 'gated').filter((event) => event.reason === 'refused')
      expect(refusals.length).toBeGreaterThanOrEqual(1)
      expect(refusals[0]!.retryInMs).toBe(30)
      await harness.waitFor(() => eventsOf(node, 'gated').length >= 5, 'more refusals')
      expect(suspicions(node)).toHaveLength(1)
    })

    it('of a process that is gone comes at once when another incarnation answers', async () => {
      const { harness, listener, node, uid, peer } = await watched(context, {
        heartbeat: { acceptablePauseMs: 8000 },
      })
      const actual = freshUid()
      peer.stream.end()
      const other = await FakePeer.meet(harness, listener, 1, { uid: actual })
      other.sendAck((await other.hello()).dial)
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      expect(suspicions(node)[0]).toMatchObject({ uid, suspected: true, cause: 'gone' })
      expect(eventsOf(node, 'identityChanged')[0]).toMatchObject({ expected: uid, actual: { uid: actual } })
    })

    it('ends with a beat also after gone', async () => {
      const { harness, listener, node, uid, peer } = await watched(context, {
        heartbeat: { acceptablePauseMs: 8000 },
      })
      peer.stream.end()
      const other = await FakePeer.meet(harness, listener, 1, { uid: freshUid() })
      other.sendAck((await other.hello()).dial)
      await harness.waitFor(() => suspicions(node).length === 1, 'suspicion')
      const back = await FakePeer.accept(harness, listener, 2, { uid })
      back.sendBeat(1)
      await harness.waitFor(() => suspicions(node).length === 2, 'trust')
      expect(suspicions(node)[1]).toMatchObject({ uid, suspected: false })
    })

    it('does not happen while beats come', async () => {
      const { harness, node, peer } = await watched(context, { heartbeat: { acceptablePauseMs: 3000 } })
      for (let sequence = 1; sequence <= 20; sequence += 1) {
        peer.sendBeat(sequence)
        await harness.advance(50)
      }
      await harness.waitFor(() => counter(node, 'beatsIn') === 20, 'all beats')
      expect(suspicions(node)).toEqual([])
    })
  })

  describe('stalls', () => {
    it('are reported as edges when a peer says that its loop does not turn', async () => {
      const { harness, node, uid, peer } = await watched(context)
      for (const [sequence, loopAgeMs] of [0, 199, 200, 260, 10, 0].entries())
        peer.sendBeat(sequence + 1, loopAgeMs)
      await harness.waitFor(() => eventsOf(node, 'stalled').length === 2, 'both edges')
      expect(eventsOf(node, 'stalled')).toMatchObject([
        { uid, stalled: true, loopAgeMs: 200 },
        { uid, stalled: false, loopAgeMs: 10 },
      ])
    })
  })
}
