import { describe, expect, it } from 'vitest'
import type { Line } from '../../src/cli/agent-lines.js'
import type { DemoAgent, Stamped } from '../../src/cli/demo/demo-agent.js'
import { memberRows, tableLines } from '../../src/cli/demo/member-table.js'
import { isAbout, told } from '../../src/cli/demo/observed.js'
import { jsonReporter, type Summary } from '../../src/cli/demo/report.js'
import { summaryLines } from '../../src/cli/demo/summary-table.js'
import { type Screen, Timeline } from '../../src/cli/demo/timeline.js'
import type { ClusterState, Member, RowStatus } from '../../src/core/model.js'

function member(n: number, reachability: RowStatus = 'reachable'): Member {
  return {
    uid: `000000000000000${n}`,
    nodeId: `n${n}`,
    address: { host: '127.0.0.1', port: 7000 + n },
    roles: [],
    status: 'up',
    upNumber: n,
    reachability,
  }
}

/** What node `self` says of the others: the reachability of each, in order. */
function state(self: number, ...reachabilities: RowStatus[]): ClusterState {
  const members = reachabilities.map((reachability, i) => member(i + 1, reachability))
  return {
    cluster: 'orders',
    self: member(self),
    members,
    unreachable: [],
    stalled: [],
    leader: members[0],
    converged: true,
    blockers: [],
    quarantined: [],
  }
}

describe('the member table', () => {
  it('keeps membership and reachability apart, and says how many see it so', () => {
    const rows = memberRows(
      [state(1, 'reachable', 'reachable', 'unreachable'), state(2, 'reachable', 'reachable', 'reachable')],
      [],
    )
    expect(rows.map((row) => [row.nodeId, row.membership, row.reachability, row.note])).toEqual([
      ['n1', 'up', 'reachable', 'leader'],
      ['n2', 'up', 'reachable', ''],
      ['n3', 'up', 'unreachable (1 of 2)', ''],
    ])
  })

  it('does not ask a node about itself', () => {
    const rows = memberRows([state(1, 'reachable', 'stalled'), state(2, 'reachable', 'unreachable')], [])
    expect(rows[1]?.reachability).toBe('stalled (1 of 1)')
  })

  it('keeps who is gone, with the way it went', () => {
    const view: ClusterState = {
      ...state(1, 'reachable'),
      quarantined: [{ ...member(2), reason: 'removedAfterDown' }],
    }
    const rows = memberRows(
      [view],
      [
        { member: member(3), cause: 'left' },
        { member: member(2), cause: 'downed' },
      ],
    )
    expect(rows.map((row) => [row.nodeId, row.membership, row.reachability, row.note])).toEqual([
      ['n1', 'up', 'reachable', 'leader'],
      ['n2', 'removed', '-', 'quarantined'],
      ['n3', 'removed', '-', 'left'],
    ])
  })

  it('is aligned, and colours do not disturb that', () => {
    const rows = memberRows([state(1, 'reachable', 'reachable')], [])
    const plain = tableLines(rows)
    const starts = plain.map((line) => line.search(/(?<=\S\s\s+)\S/))
    expect(new Set(starts).size).toBe(1)
    expect(plain[0]).toMatch(/^node +address +incarnation +membership +reachability +note$/)
    const painted = tableLines(rows, (text) => `<${text}>`)
    expect(painted[1]?.replace(/[<>]/g, '').trimEnd()).toBe(plain[1])
  })
})

const UP: Stamped<Line> = { at: 1, type: 'memberUp', member: member(1) }
const QUIET: Stamped<Line> = { at: 1, type: 'convergenceReached' }

function timeline(live: boolean, columns = 100) {
  const written: string[] = []
  const screen: Screen = { live, columns: () => columns, write: (text) => written.push(text) }
  const viewpoint = { name: 'n1' } as DemoAgent
  const report = new Timeline(
    screen,
    () => 1234,
    () => viewpoint,
  )
  return { report, viewpoint, text: () => written.join('') }
}

describe('the timeline', () => {
  it('writes no ANSI where there is no terminal', () => {
    const { report, viewpoint, text } = timeline(false)
    report.begin('kill', 'A process is killed')
    report.note('SIGKILL')
    report.event(viewpoint, UP)
    report.table(memberRows([state(1, 'unreachable')], []))
    report.failed('no')
    report.summary({ ok: true, nodes: 3 })
    expect(text()).not.toContain('\x1b')
    expect(text()).toContain('2. A process is killed')
    expect(text()).toContain('1.234 s  SIGKILL')
  })

  it('tells the events of one agent, and only those about members', () => {
    const { report, viewpoint, text } = timeline(false)
    report.event(viewpoint, UP)
    report.event({ name: 'n2' } as DemoAgent, UP)
    report.event(viewpoint, QUIET)
    expect(text().match(/is up/g)).toHaveLength(1)
    expect(text()).not.toContain('converged')
  })

  it('redraws the table in place on a terminal', () => {
    const { report, text } = timeline(true)
    report.table(memberRows([state(1, 'reachable')], []))
    expect(text()).not.toContain('\x1b[J')
    report.note('something')
    // The table took three lines: a blank one, its head and one row.
    expect(text()).toContain('\x1b[3A\x1b[J')
    expect(text().match(/incarnation/g)).toHaveLength(2)
  })

  it('leaves the table out where it would wrap', () => {
    const { report, text } = timeline(true, 20)
    report.table(memberRows([state(1, 'reachable')], []))
    expect(text()).toBe('')
  })
})

describe('the JSON report', () => {
  it('is one object a line, with time and step', () => {
    const lines: string[] = []
    const report = jsonReporter(
      (text) => lines.push(text),
      () => 5,
    )
    report.begin('kill', 'title')
    report.note('text', { detectKillMs: 3 })
    report.event({ name: 'n1' } as DemoAgent, UP)
    report.passed('fine', {})
    report.summary({ ok: true, nodes: 3, formMs: 7 })
    expect(lines.every((line) => line.endsWith('\n') && !line.slice(0, -1).includes('\n'))).toBe(true)
    const parsed = lines.map((line) => JSON.parse(line))
    expect(parsed.map((line) => [line.t, line.step, line.type])).toEqual([
      [5, 'kill', 'begin'],
      [5, 'kill', 'note'],
      [5, 'kill', 'event'],
      [5, 'kill', 'passed'],
      [5, 'summary', undefined],
    ])
    expect(parsed.at(-1)).toMatchObject({ ok: true, formMs: 7 })
  })
})

describe('the summary', () => {
  it('names the failed step, and shows what was missed without failing for it', () => {
    const failed: Summary = { ok: false, nodes: 5, failedStep: 'pause', error: 'not within 15000 ms' }
    expect(summaryLines(failed).at(-1)).toBe('FAILED in step pause: not within 15000 ms')
    const slow = summaryLines({ ok: true, nodes: 5, formMs: 2001, detectKillMs: 300 })
    expect(slow.find((line) => line.includes('2001 ms'))).toContain('MISSED')
    expect(slow.find((line) => line.includes('300 ms'))).not.toContain('MISSED')
    expect(slow.at(-1)).toBe('every step came out as it must')
  })
})

describe('what was told', () => {
  const lines: Stamped<Line>[] = [
    { at: 10, type: 'unreachable', members: [member(1), member(2)] },
    { at: 20, type: 'memberDowned', member: member(2), reason: 'strategy' },
    { at: 30, type: 'unreachable', members: [member(3)] },
  ]
  const agent = { lines } as unknown as DemoAgent

  it('is found by type, time and subject', () => {
    expect(told(agent, ['unreachable'], 0).map((line) => line.at)).toEqual([10, 30])
    expect(told(agent, ['unreachable'], 11).map((line) => line.at)).toEqual([30])
    expect(told(agent, ['unreachable', 'memberDowned'], 0, member(2).uid).map((line) => line.at)).toEqual([
      10, 20,
    ])
    expect(isAbout(lines[2]!, member(2).uid)).toBe(false)
  })
})
