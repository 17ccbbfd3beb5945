// From samples to rows: medians over rounds, and ratios to another peer of the same round.

/** What decides which mode of a peer is its best, and what its ratios compare. */
export const PRIMARY = {
  rtt: { field: 'p50Us', lowerIsBetter: true },
  window: { field: 'msgsPerSecond', lowerIsBetter: false },
  oneway: { field: 'msgsPerSecond', lowerIsBetter: false },
  idle: { field: 'rssBytesPerConnection', lowerIsBetter: true },
}

const FIELDS = ['p50Us', 'p99Us', 'p999Us', 'msgsPerSecond', 'cpuSecondsPerMillion', 'rssBytesPerConnection']

export function median(values) {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Samples by cell, peer, mode and round. */
export class Samples {
  #byKey = new Map()

  add({ kind, bytes, peer, mode, round }, sample) {
    const key = JSON.stringify([kind, bytes, peer, mode])
    const rounds = this.#byKey.get(key) ?? this.#byKey.set(key, new Map()).get(key)
    rounds.set(round, sample)
  }

  /** Of one mode: `field` by round. */
  of(kind, bytes, peer, mode, field = PRIMARY[kind].field) {
    const rounds = this.#byKey.get(JSON.stringify([kind, bytes, peer, mode])) ?? new Map()
    return new Map(
      [...rounds].flatMap(([round, sample]) => (sample[field] >= 0 ? [[round, sample[field]]] : [])),
    )
  }

  /** The mode of `peer` with the best median, or undefined without any sample. */
  bestMode(kind, bytes, { name, modes }) {
    return this.ranked(kind, bytes, { name, modes })[0]?.mode
  }

  /** Modes from best to worst, each with how many times worse than the best it is. */
  ranked(kind, bytes, { name, modes }) {
    const { lowerIsBetter } = PRIMARY[kind]
    const measured = modes
      .map((mode) => ({ mode, value: median([...this.of(kind, bytes, name, mode).values()]) }))
      .filter(({ value }) => value !== null)
      .sort((a, b) => (lowerIsBetter ? a.value - b.value : b.value - a.value))
    const best = measured[0]?.value
    return measured.map(({ mode, value }) => ({ mode, worse: lowerIsBetter ? value / best : best / value }))
  }

  /** Median of the per-round ratios of `peer` to `other`, each in its best mode; null without a common round. */
  ratio(kind, bytes, peer, other, field = PRIMARY[kind].field) {
    const [mode, otherMode] = [this.bestMode(kind, bytes, peer), this.bestMode(kind, bytes, other)]
    if (mode === undefined || otherMode === undefined) return null
    const others = this.of(kind, bytes, other.name, otherMode, field)
    const ratios = [...this.of(kind, bytes, peer.name, mode, field)].flatMap(([round, value]) =>
      others.get(round) > 0 ? [value / others.get(round)] : [],
    )
    return median(ratios)
  }
}

/** One row for each cell and peer that has samples, in the order of the cells. */
export function rowsOf(samples, cells, peers) {
  const [raw, net] = ['raw', 'net'].map(
    (name) => peers.find((peer) => peer.name === name) ?? { name, modes: [] },
  )
  return cells.flatMap(({ kind, bytes }) =>
    peers.flatMap((peer) => {
      const mode = samples.bestMode(kind, bytes, peer)
      if (mode === undefined) return []
      const figures = FIELDS.map((field) => [
        field,
        [...samples.of(kind, bytes, peer.name, mode, field).values()],
      ])
      const primary = figures.find(([field]) => field === PRIMARY[kind].field)[1]
      return [
        {
          peer: peer.name,
          kind,
          bytes,
          ...Object.fromEntries(figures.map(([field, values]) => [field, rounded(median(values))])),
          ratioRaw: rounded(samples.ratio(kind, bytes, peer, raw)),
          ratioNet: rounded(samples.ratio(kind, bytes, peer, net)),
          ratioNetP99: rounded(samples.ratio(kind, bytes, peer, net, 'p99Us')),
          ratioNetCpu: rounded(samples.ratio(kind, bytes, peer, net, 'cpuSecondsPerMillion')),
          mode,
          rounds: primary.length,
          min: rounded(Math.min(...primary)),
          max: rounded(Math.max(...primary)),
        },
      ]
    }),
  )
}

/** Four significant digits: more is noise. */
export function rounded(value) {
  return value === null ? null : Number(value.toPrecision(4))
}
