import diagnostics from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { EVENT_CHANNEL, EventHub } from '../../src/cluster/event-hub.js'
import type { DiagnosticsMessage, ShellEvent, StreamItem } from '../../src/cluster/events.js'
import type { ClusterState } from '../../src/core/model.js'
import type { Logger } from '../../src/options/types.js'
import { nextUncaught } from './support.js'

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

function recordingLogger() {
  const lines: { level: string; facts: object; message: string }[] = []
  const logger = Object.fromEntries(
    LOG_LEVELS.map((level) => [
      level,
      (facts: object, message: string) => lines.push({ level, facts, message }),
    ]),
  ) as unknown as Logger
  return { lines, logger }
}

function makeHub(logger: Logger = recordingLogger().logger) {
  return new EventHub({ cluster: 'orders', nodeId: 'n1', uid: '0000000000000001', logger })
}

function paused(gapMs: number): ShellEvent {
  return { type: 'selfPaused', gapMs }
}

function stateNamed(cluster: string): ClusterState {
  return { cluster } as ClusterState
}

async function readAll(stream: AsyncIterable<StreamItem>): Promise<StreamItem[]> {
  const items: StreamItem[] = []
  for await (const item of stream) items.push(item)
  return items
}

describe('the event hub', () => {
  it('gives each iterator a snapshot, then every later event', async () => {
    const hub = makeHub()
    const early = hub.open(10, () => stateNamed('before'))
    hub.publish(paused(1))
    const late = hub.open(10, () => stateNamed('after'))
    hub.publish(paused(2))
    hub.end()
    expect(await readAll(early)).toEqual([
      { type: 'snapshot', state: stateNamed('before') },
      paused(1),
      paused(2),
    ])
    expect(await readAll(late)).toEqual([{ type: 'snapshot', state: stateNamed('after') }, paused(2)])
  })

  it('an iterator opened by a listener starts after the batch, so that no event repeats its snapshot', async () => {
    const hub = makeHub()
    let opened: AsyncIterable<StreamItem> | undefined
    hub.once('selfPaused', () => {
      opened = hub.open(10, () => stateNamed('whole batch'))
    })
    hub.batch(
      () => {
        hub.publish(paused(1))
        hub.publish(paused(2))
      },
      () => stateNamed('whole batch'),
    )
    hub.publish(paused(3))
    hub.end()
    expect(await readAll(opened!)).toEqual([
      { type: 'snapshot', state: stateNamed('whole batch') },
      paused(3),
    ])
  })

  it('an iterator opened after the end gets its snapshot and ends', async () => {
    const hub = makeHub()
    hub.end()
    expect(await readAll(hub.open(10, () => stateNamed('last')))).toEqual([
      { type: 'snapshot', state: stateNamed('last') },
    ])
  })

  it('counts events by type, and iterators that overflowed', async () => {
    const hub = makeHub()
    hub.open(1, () => stateNamed('full at once'))
    hub.publish(paused(1))
    hub.publish(paused(2))
    hub.publish({ type: 'convergenceReached' })
    expect(hub.counters()).toMatchObject({
      'events.selfPaused': 2,
      'events.convergenceReached': 1,
      eventStreamOverflows: 1,
      eventListenerErrors: 0,
    })
  })

  it('calls listeners of the type, in order, until they are removed', () => {
    const hub = makeHub()
    const heard: string[] = []
    const listener = (event: { gapMs: number }) => heard.push(`on ${event.gapMs}`)
    hub.on('selfPaused', listener)
    hub.once('selfPaused', (event) => heard.push(`once ${event.gapMs}`))
    hub.on('convergenceReached', () => heard.push('other'))
    hub.publish(paused(1))
    hub.publish(paused(2))
    hub.off('selfPaused', listener)
    hub.publish(paused(3))
    expect(heard).toEqual(['on 1', 'once 1', 'on 2'])
  })

  it('a throwing listener disturbs nobody, is logged, and meets uncaughtException', async () => {
    const { lines, logger } = recordingLogger()
    const hub = makeHub(logger)
    const bug = new Error('listener bug')
    const heard: number[] = []
    hub.on('selfPaused', () => {
      throw bug
    })
    hub.on('selfPaused', (event) => heard.push(event.gapMs))
    const uncaught = nextUncaught()
    hub.publish(paused(7))
    expect(heard).toEqual([7])
    expect(hub.counters()['eventListenerErrors']).toBe(1)
    expect(await uncaught).toBe(bug)
    expect(lines.some((line) => line.level === 'error' && line.message.includes('selfPaused'))).toBe(true)
  })

  it('logs every event with who saw it', () => {
    const { lines, logger } = recordingLogger()
    makeHub(logger).publish(paused(1500))
    expect(lines).toEqual([
      {
        level: 'warn',
        facts: { cluster: 'orders', nodeId: 'n1', uid: '0000000000000001', event: paused(1500) },
        message: expect.stringContaining('1500 ms'),
      },
    ])
  })

  it('publishes on the diagnostics channel', () => {
    const seen: DiagnosticsMessage[] = []
    const listener = (message: unknown) => seen.push(message as DiagnosticsMessage)
    diagnostics.subscribe(EVENT_CHANNEL, listener)
    makeHub().publish(paused(1))
    diagnostics.unsubscribe(EVENT_CHANNEL, listener)
    makeHub().publish(paused(2))
    expect(seen).toEqual([{ cluster: 'orders', nodeId: 'n1', uid: '0000000000000001', event: paused(1) }])
  })
})
