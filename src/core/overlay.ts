/**
 * Who watches whom, computed alike by everybody from the set of members. Up to K + 1 members: everyone watches
 * everyone. Above: K pseudo-random rings, and each node watches its successor on each, walking past those it has
 * already; an expander, so that news reaches N nodes in O(log N) steps over O(K) links each.
 */
import type { Uid } from './address.js'
import { ringPosition } from './hash.js'

interface Place {
  readonly uid: Uid
  readonly position: number
}

export class Overlay {
  private readonly observersMax: number
  private readonly rings: Place[][]
  private readonly present = new Set<Uid>()
  private subjectCache = new Map<Uid, readonly Uid[]>()
  private observerCache: Map<Uid, readonly Uid[]> | undefined

  /** `observersMax` is K, the number of rings. */
  constructor(observersMax: number) {
    this.observersMax = observersMax
    this.rings = Array.from({ length: observersMax }, () => [])
  }

  /** Takes the set of members, removed ones excluded; cheap when it has not changed. */
  update(members: Iterable<Uid>): void {
    const wanted = new Set(members)
    let changed = false
    for (const uid of [...this.present]) {
      if (wanted.has(uid)) continue
      this.remove(uid)
      changed = true
    }
    for (const uid of wanted) {
      if (this.present.has(uid)) continue
      this.insert(uid)
      changed = true
    }
    if (!changed) return
    this.subjectCache = new Map()
    this.observerCache = undefined
  }

  /** Whom `observer` watches when nobody is unreachable. */
  subjectsOf(observer: Uid): readonly Uid[] {
    const cached = this.subjectCache.get(observer)
    if (cached !== undefined) return cached
    const subjects = this.walk(observer, () => false)
    this.subjectCache.set(observer, subjects)
    return subjects
  }

  /**
   * Whom `observer` watches now: K reachable subjects, and the unreachable ones met on the way, so that many
   * that die at once are still watched by somebody living.
   */
  watchedBy(observer: Uid, unreachable: (uid: Uid) => boolean): readonly Uid[] {
    return this.walk(observer, unreachable)
  }

  /** Who watches `subject`: the inverse of `subjectsOf`. */
  observersOf(subject: Uid): readonly Uid[] {
    this.observerCache ??= this.invert()
    return this.observerCache.get(subject) ?? []
  }

  private invert(): Map<Uid, readonly Uid[]> {
    const inverse = new Map<Uid, Uid[]>()
    for (const observer of [...this.present].sort()) {
      for (const subject of this.subjectsOf(observer)) {
        const list = inverse.get(subject)
        if (list === undefined) inverse.set(subject, [observer])
        else list.push(observer)
      }
    }
    return inverse
  }

  private walk(observer: Uid, unreachable: (uid: Uid) => boolean): Uid[] {
    if (!this.present.has(observer)) return []
    if (this.present.size <= this.observersMax + 1)
      return [...this.present].filter((uid) => uid !== observer).sort()
    const chosen = new Set<Uid>()
    for (let ring = 0; ring < this.rings.length; ring++) this.walkRing(ring, observer, unreachable, chosen)
    return [...chosen]
  }

  /** Adds to `chosen` the first reachable successor that it lacks, and the unreachable ones before it. */
  private walkRing(ring: number, observer: Uid, unreachable: (uid: Uid) => boolean, chosen: Set<Uid>): void {
    const places = this.rings[ring] as Place[]
    const start = lowerBound(places, ringPosition(observer, ring), observer)
    for (let step = 1; step < places.length; step++) {
      const { uid } = places[(start + step) % places.length] as Place
      if (chosen.has(uid)) continue
      chosen.add(uid)
      if (!unreachable(uid)) return
    }
  }

  private insert(uid: Uid): void {
    this.present.add(uid)
    this.rings.forEach((places, ring) => {
      const position = ringPosition(uid, ring)
      places.splice(lowerBound(places, position, uid), 0, { uid, position })
    })
  }

  private remove(uid: Uid): void {
    this.present.delete(uid)
    this.rings.forEach((places, ring) => {
      places.splice(lowerBound(places, ringPosition(uid, ring), uid), 1)
    })
  }
}

function lowerBound(places: readonly Place[], position: number, uid: Uid): number {
  let low = 0
  let high = places.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const place = places[middle] as Place
    if (place.position < position || (place.position === position && place.uid < uid)) low = middle + 1
    else high = middle
  }
  return low
}
