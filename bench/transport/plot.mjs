// The rows as one picture: each peer's speed as a multiple of node:net in the same round, by kind and size. Right is
// better everywhere; the label is the absolute figure.
import * as Plot from '@observablehq/plot'
import { JSDOM } from 'jsdom'
import { PRIMARY } from './statistics.mjs'
import { showBytes, showFigure } from './table.mjs'

const TITLES = {
  rtt: 'round trip, p50',
  window: 'requests per second',
  oneway: 'messages per second, one way',
}
const COLORS = { skein: '#c2410c', raw: '#475569', net: '#0f766e' }
const OTHER_COLOR = '#94a3b8'
const PANEL_WIDTH = 260
const LINE_HEIGHT = 20
const MARGINS = { marginTop: 66, marginLeft: 74, marginRight: 210, marginBottom: 40 }
const FONT = '"DejaVu Sans", "Helvetica Neue", Arial, sans-serif'

/** An SVG document, or undefined when no row can be compared with node:net. */
export function plotRows(rows, machine, { rounds, pin }) {
  const points = rows.filter(({ kind, ratioNet }) => kind in TITLES && ratioNet !== null).map(pointOf)
  if (points.length === 0) return undefined
  const { document } = new JSDOM('').window
  const sizes = [...new Set(points.map(({ size }) => size))]
  const kinds = [...new Set(points.map(({ kind }) => kind))]
  const peers = [...new Set(points.map(({ peer }) => peer))]
  const svg = Plot.plot({
    document,
    ...MARGINS,
    width: MARGINS.marginLeft + MARGINS.marginRight + PANEL_WIDTH * sizes.length,
    height: MARGINS.marginTop + MARGINS.marginBottom + kinds.length * (peers.length + 1) * LINE_HEIGHT,
    style: { fontFamily: FONT, fontSize: '11px', background: 'white' },
    fx: { domain: sizes, label: null, padding: 0.1 },
    fy: { domain: kinds, label: null, padding: 0.08 },
    x: {
      type: 'log',
      domain: [
        Math.min(0.5, ...points.map(({ low }) => low)),
        Math.max(4, ...points.map(({ high }) => high * 2.5)),
      ],
      label: 'times as fast as node:net in its best mode (log)',
      ticks: [0.001, 0.01, 0.1, 1, 10],
      tickFormat: (value) => `${value}x`,
      grid: true,
    },
    y: { domain: peers, label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([1], { stroke: COLORS.net, strokeWidth: 1.5 }),
      Plot.link(points, {
        ...facets,
        x1: 'low',
        x2: 'high',
        y: 'peer',
        stroke: colorOf,
        strokeWidth: 5,
        strokeOpacity: 0.35,
      }),
      Plot.dot(points, { ...facets, x: 'speed', y: 'peer', fill: colorOf, r: 4 }),
      Plot.text(points, {
        ...facets,
        x: 'high',
        y: 'peer',
        text: 'label',
        dx: 8,
        textAnchor: 'start',
        fill: '#1e293b',
        stroke: 'white',
        strokeWidth: 3,
      }),
    ],
  })
  addHeading(document, svg, machine, rounds, pin)
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${svg.outerHTML}\n`
}

const facets = { fx: 'size', fy: 'kind' }
const colorOf = ({ peer }) => COLORS[peer] ?? (peer.startsWith('skein') ? '#fb923c' : OTHER_COLOR)

function pointOf(row) {
  const { field, lowerIsBetter } = PRIMARY[row.kind]
  const speed = lowerIsBetter ? 1 / row.ratioNet : row.ratioNet
  // The spread of the figure itself, laid around the ratio.
  const ends = [row.min, row.max].map((end) => speed * (lowerIsBetter ? row[field] / end : end / row[field]))
  return {
    peer: row.peer,
    kind: TITLES[row.kind],
    size: showBytes(row.bytes),
    speed,
    low: Math.min(...ends),
    high: Math.max(...ends),
    label: row.kind === 'rtt' ? showFigure(field, row[field]) : `${showFigure(field, row[field])}/s`,
  }
}

function addHeading(document, svg, machine, rounds, pin) {
  const where = { same: 'both ends on one core', two: 'one core each', free: 'unpinned' }[pin]
  const lines = [
    ['Messages between two processes over loopback', 'bold 14px', 20],
    [
      `medians of ${rounds} interleaved rounds, ${where}; ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${machine.date}`,
      '11px',
      36,
    ],
  ]
  for (const [text, font, y] of lines) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', 'text')
    element.textContent = text
    element.setAttribute('text-anchor', 'start')
    element.setAttribute('x', '12')
    element.setAttribute('y', String(y))
    element.setAttribute('style', `font: ${font} ${FONT.replaceAll('"', "'")}; fill: #0f172a`)
    svg.append(element)
  }
}
