import { describe, expect, it } from 'vitest'
import { type DrivenMachine, Driver, type DriverOutlet } from '../../src/cluster/driver.js'
import type { Effect, Input } from '../../src/core/machine-io.js'
import type { ClusterEvent, ClusterState, Message } from '../../src/core/model.js'
import type { PeerHello, SendResult, Transport, TransportEvent } from '../../src/transport/transport.js'

const PEER = '00000000000000aa'
const ADDRESS = { host: '127.0.0.1', port: 1 }
const PAUSED: ClusterEvent = { type: 'selfPaused', gapMs: 1 }

/** A rig whose machine answers from a script and whose transport writes down what it was told. */
function rig(respond: (batch: readonly Input[], nowMs: number) => readonly Effect[] = () => []) {
  const log: string[] = []
  const batches: Input[][] = []
  const timers: { delayMs: number; task: () => void; cancelled: boolean }[] = []
  const world = { nowMs: 1000, deadline: undefined as number | undefined, sendResult: 'sent' as SendResult }
  const onDrain: (() => void)[] = []
  const onPublish: (() => void)[] = []
  const machine: DrivenMachine = {
    handle: (batch, nowMs) => {
      batches.push([...batch])
      log.push(`handle ${batch.map((input) => input.type).join('+')}`)
      return respond(batch, nowMs)
    },
    nextDeadline: () => world.deadline,
    state: () => ({}) as ClusterState,
  }
  const record =
    (name: string) =>
    (...args: unknown[]) =>
      log.push(`${name} ${JSON.stringify(args)}`)
  const transport = {
    ...Object.fromEntries(
      ['connect', 'disconnect', 'watch', 'unwatch', 'probe', 'quarantine'].map((name) => [
        name,
        record(name),
      ]),
    ),
    send: (uid: string, bytes: Uint8Array) => {
      log.push(`send ${uid} ${bytes.length}`)
      return world.sendResult
    },
    drain: () => {
      log.push('drain')
      onDrain.shift()?.()
    },
  } as unknown as Transport
  const outlet: DriverOutlet = {
    batch: (apply) => apply(),
    publish: (event) => {
      log.push(`publish ${event.type}`)
      onPublish.shift()?.()
    },
    terminated: (reason, detail) => log.push(`terminated ${reason} ${detail}`),
    crashed: (error) => log.push(`crashed ${(error as Error).message}`),
    sendFault: (error) => log.push(`sendFault ${(error as Error).message}`),
    malformed: (from, detail) => log.push(`malformed ${from} ${detail}`),
  }
  const codec = {
    encode: (message: Message) => new Uint8Array(message.type.length),
    decode: (bytes: Uint8Array) =>
      bytes.length === 0
        ? ({ ok: false, reason: 'malformed', detail: 'empty' } as const)
        : ({ ok: true, message: { type: 'initJoin' } } as const),
  }
  const clock = {
    nowMs: () => world.nowMs,
    schedule: (delayMs: number, task: () => void) => {
      const timer = { delayMs, task, cancelled: false }
      timers.push(timer)
      return {
        cancel: () => {
          timer.cancelled = true
        },
      }
    },
  }
  const driver = new Driver(machine, transport, transport, codec, clock, outlet)
  const armed = () => timers.filter((timer) => !timer.cancelled)
  return { driver, log, batches, world, armed, onDrain, onPublish }
}

function message(bytes: number): TransportEvent {
  return { type: 'message', uid: PEER, session: 1, bytes: new Uint8Array(bytes) }
}

describe('inputs', () => {
  it('maps every transport event, and keeps operators-only ones from the machine', () => {
    const { driver, batches } = rig()
    const peer: PeerHello = { uid: PEER, nodeId: 'a', address: ADDRESS, bind: { host: '0.0.0.0', port: 1 } }
    const actual = { uid: PEER, nodeId: 'a', address: ADDRESS }
    driver.receive([
      { type: 'linkUp', peer, session: 3 },
      message(4),
      { type: 'linkDown', uid: PEER, session: 3, reason: 'closedByPeer' },
      { type: 'gated', address: ADDRESS, reason: 'refused', attempts: 1, retryInMs: 5 },
      { type: 'refused', address: ADDRESS, by: PEER, reason: 'busy' },
      { type: 'badInput', remote: 'x', reason: 'badCrc' },
      { type: 'suspicion', uid: PEER, suspected: true, cause: 'silence', phi: 9, silentMs: 4000 },
      { type: 'stalled', uid: PEER, stalled: true, loopAgeMs: 2500 },
      { type: 'identityChanged', address: ADDRESS, expected: '01', actual: peer },
      { type: 'probed', uid: PEER, outcome: 'gone' },
      { type: 'quarantinedBy', uid: PEER, address: ADDRESS, reason: 'operator' },
      { type: 'paused', gapMs: 700 },
    ])
    expect(batches).toEqual([
      [
        { type: 'linkUp', peer: actual, session: 3 },
        { type: 'message', from: PEER, session: 1, message: { type: 'initJoin' } },
        { type: 'linkDown', uid: PEER, session: 3 },
        { type: 'suspicion', uid: PEER, suspected: true, cause: 'silence' },
        { type: 'stalled', uid: PEER, stalled: true, loopAgeMs: 2500 },
        { type: 'identityChanged', expected: '01', actual },
        { type: 'probed', uid: PEER, outcome: 'gone' },
        { type: 'quarantinedBy', uid: PEER, address: ADDRESS, reason: 'operator' },
        { type: 'paused', gapMs: 700 },
      ],
    ])
  })

  it('a malformed message is dropped in its place, counted and told', () => {
    const { driver, log } = rig()
    driver.receive([{ type: 'paused', gapMs: 1 }, message(0), message(4)])
    expect(log).toEqual([
      'malformed 00000000000000aa empty',
      'handle paused',
      'publish messageDropped',
      'handle message',
    ])
    expect(driver.counters()).toMatchObject({ 'messagesDropped.malformed': 1 })
  })
})

describe('effects', () => {
  it('are applied in order and counted by type', () => {
    const effects: Effect[] = [
      { type: 'connect', address: ADDRESS, uid: PEER },
      { type: 'watch', uid: PEER, address: ADDRESS },
      { type: 'send', to: PEER, message: { type: 'initJoin' } },
      { type: 'publish', event: PAUSED },
      { type: 'probe', uid: PEER, address: ADDRESS },
      { type: 'unwatch', uid: PEER },
      { type: 'quarantine', uid: PEER, reason: 'operator' },
      { type: 'disconnect', address: ADDRESS },
      { type: 'publish', event: PAUSED },
    ]
    const { driver, log } = rig(() => effects)
    driver.submit([{ type: 'join' }])
    expect(log.map((line) => line.split(' ')[0])).toEqual(['handle', ...effects.map((effect) => effect.type)])
    expect(driver.counters()).toMatchObject({
      'effects.publish': 2,
      'effects.send': 1,
      'effects.disconnect': 1,
    })
  })

  it('a send that is not accepted becomes an input of the next turn', () => {
    const { driver, log, world } = rig((batch) =>
      batch[0]?.type === 'join'
        ? [
            { type: 'send', to: PEER, message: { type: 'initJoin' } },
            { type: 'publish', event: PAUSED },
          ]
        : [],
    )
    world.sendResult = 'outboxFull'
    driver.submit([{ type: 'join' }])
    expect(log).toEqual(['handle join', `send ${PEER} 8`, 'publish selfPaused', 'handle sendFailed'])
  })

  it('sends that fail for ever do not hold up the process', () => {
    const { driver, batches, world, armed } = rig(() => [
      { type: 'send', to: PEER, message: { type: 'initJoin' } },
    ])
    world.sendResult = 'noLink'
    driver.submit([{ type: 'join' }])
    const turns = batches.length
    expect(turns).toBeLessThan(1000)
    expect(armed().map((timer) => timer.delayMs)).toEqual([1])
    armed()[0]?.task()
    expect(batches.length).toBeGreaterThan(turns)
    expect(batches[turns]?.map((input) => input.type)).toEqual(['sendFailed', 'deadline'])
  })

  it('the machine is never re-entered: a command from a listener waits for the next turn', () => {
    const { driver, log, onPublish } = rig((batch) =>
      batch.some((input) => input.type === 'join')
        ? [
            { type: 'publish', event: PAUSED },
            { type: 'unwatch', uid: PEER },
          ]
        : [],
    )
    onPublish.push(() => driver.submit([{ type: 'down', uid: PEER }]))
    driver.submit([{ type: 'join' }])
    expect(log).toEqual(['handle join', 'publish selfPaused', `unwatch ["${PEER}"]`, 'handle down'])
  })

  it('nothing follows a termination, neither effects nor inputs nor timers', () => {
    const { driver, log, world, armed } = rig(() => [
      { type: 'publish', event: PAUSED },
      { type: 'terminate', reason: 'left', detail: 'done' },
      { type: 'publish', event: PAUSED },
    ])
    world.deadline = 2000
    driver.submit([{ type: 'leave', uid: PEER }])
    driver.submit([{ type: 'deadline' }])
    driver.receive([message(4)])
    expect(log).toEqual(['handle leave', 'publish selfPaused', 'terminated left done'])
    expect(armed()).toEqual([])
  })

  it('a broken invariant stops the driver instead of leaving it half-way', () => {
    const { driver, log, armed, world } = rig(() => {
      throw new Error('invariant')
    })
    world.deadline = 2000
    driver.submit([{ type: 'join' }])
    driver.submit([{ type: 'join' }])
    expect(log).toEqual(['handle join', 'crashed invariant'])
    expect(armed()).toEqual([])
  })
})

describe('the timer', () => {
  it('is one, armed for the next deadline and left alone while that stands', () => {
    const { driver, world, armed } = rig()
    world.deadline = 1250
    driver.submit([{ type: 'join' }])
    driver.submit([{ type: 'deadline' }])
    expect(armed().map((timer) => timer.delayMs)).toEqual([250])
    world.deadline = 1100
    driver.submit([{ type: 'deadline' }])
    expect(armed().map((timer) => timer.delayMs)).toEqual([100])
    world.deadline = undefined
    driver.submit([{ type: 'deadline' }])
    expect(armed()).toEqual([])
  })

  it('keeps its delay between 0 and what Node can hold', () => {
    const { driver, world, armed } = rig()
    world.deadline = 0
    driver.submit([{ type: 'join' }])
    world.deadline = 1e15
    driver.submit([{ type: 'join' }])
    expect(armed().map((timer) => timer.delayMs)).toEqual([2 ** 31 - 1])
    world.deadline = 900
    driver.submit([{ type: 'join' }])
    expect(armed().map((timer) => timer.delayMs)).toEqual([0])
  })

  it('hands over what has arrived before a deadline is handled', () => {
    const { driver, world, armed, log, onDrain } = rig()
    world.deadline = 1000
    driver.submit([{ type: 'join' }])
    onDrain.push(() => driver.receive([message(4)]))
    const [timer] = armed()
    world.deadline = 3000
    timer?.task()
    expect(log).toEqual(['handle join', 'drain', 'handle message', 'handle deadline'])
    expect(armed().at(-1)?.delayMs).toBe(2000)
  })
})
