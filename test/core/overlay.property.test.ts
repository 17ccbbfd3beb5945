import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeUid } from '../../src/core/address.js'
import { Overlay } from '../../src/core/overlay.js'

const uids = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => makeUid(1_700_000_000_000 + i * 7, i * 13))

describe('overlay', () => {
  it('is a full mesh up to K + 1 members', () => {
    const members = uids(11)
    const overlay = new Overlay(10)
    overlay.update(members)
    for (const uid of members) expect(overlay.subjectsOf(uid)).toEqual(members.filter((m) => m !== uid))
  })

  it('gives everybody K distinct subjects above that, whatever the order of arrival', () => {
    fc.assert(
      fc.property(fc.integer({ min: 12, max: 60 }), fc.integer(), (count, seed) => {
        const members = uids(count)
        const shuffled = [...members].sort(
          (a, b) => ((seed ^ a.charCodeAt(15)) % 7) - ((seed ^ b.charCodeAt(15)) % 7),
        )
        const [one, other] = [new Overlay(10), new Overlay(10)]
        one.update(members)
        for (let i = 1; i <= shuffled.length; i++) other.update(shuffled.slice(0, i))
        for (const uid of members) {
          const subjects = one.subjectsOf(uid)
          expect(new Set(subjects).size).toBe(10)
          expect(subjects).not.toContain(uid)
          expect(other.subjectsOf(uid)).toEqual(subjects)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('inverts exactly: an observer of a subject watches it, and the reverse', () => {
    const members = uids(40)
    const overlay = new Overlay(10)
    overlay.update(members)
    for (const a of members) {
      for (const b of members) {
        expect(overlay.observersOf(b).includes(a)).toBe(overlay.subjectsOf(a).includes(b))
      }
    }
  })

  it('walks past unreachable members: K reachable ones remain watched, and the dead keep an observer', () => {
    const members = uids(60)
    const overlay = new Overlay(10)
    overlay.update(members)
    const dead = new Set(members.slice(0, 25))
    const unreachable = (uid: string) => dead.has(uid)
    const living = members.filter((m) => !dead.has(m))
    for (const uid of living) {
      expect(overlay.watchedBy(uid, unreachable).filter((s) => !dead.has(s)).length).toBe(10)
    }
    for (const uid of dead)
      expect(living.some((l) => overlay.watchedBy(l, unreachable).includes(uid))).toBe(true)
  })

  it('is connected: news reaches 200 nodes in few steps', () => {
    const members = uids(200)
    const overlay = new Overlay(10)
    overlay.update(members)
    const reached = new Set([members[0] as string])
    let frontier = [...reached]
    let steps = 0
    while (reached.size < members.length && steps < 10) {
      frontier = frontier.flatMap((uid) => [...overlay.subjectsOf(uid), ...overlay.observersOf(uid)])
      for (const uid of frontier) reached.add(uid)
      steps++
    }
    expect(reached.size).toBe(200)
    expect(steps).toBeLessThanOrEqual(4)
  })
})
