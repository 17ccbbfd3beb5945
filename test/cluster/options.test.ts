import { describe, expect, it } from 'vitest'
import type { JoinOptions } from '../../src/cluster/options.js'
import { resolveOptions } from '../../src/cluster/resolve-options.js'
import { keepMajority, manual } from '../../src/core/downing.js'
import { InvalidOptionError } from '../../src/options/invalid-option.js'

const BASE: JoinOptions = { name: 'orders', listen: '127.0.0.1:7355' }
const OWN_STRATEGY = { name: 'own', decide: () => ({ decision: 'downNothing', evidence: {} }) } as const

type Loose = Record<string, unknown>

function resolve(extra: Loose = {}, native = true) {
  return resolveOptions({ ...BASE, ...extra } as JoinOptions, () => native)
}

function fault(extra: Loose, native = true): InvalidOptionError {
  try {
    resolve(extra, native)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidOptionError)
    const fault = error as InvalidOptionError
    expect(fault.code).toBe('ERR_SKEIN_INVALID_OPTION')
    expect(fault.message).toContain(fault.path)
    expect(fault.message).toContain(fault.expectation)
    return fault
  }
  throw new Error('accepted')
}

function seeds(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.0.0.1:${1000 + i}`)
}

function heartbeat(h: Loose): Loose {
  return { heartbeat: h }
}

function dial(d: Loose): Loose {
  return { dial: d }
}

/** Each bound from both sides: what is just valid, and what is just not, and which path the error names. */
const EDGES: readonly [title: string, valid: Loose, invalid: Loose, path: string][] = [
  ['name of one byte', { name: 'x' }, { name: '' }, 'name'],
  ['name of 255 bytes', { name: 'x'.repeat(255) }, { name: 'x'.repeat(256) }, 'name'],
  ['name counted in bytes', { name: 'é'.repeat(127) }, { name: 'é'.repeat(128) }, 'name'],
  ['name of printable text', { name: 'a b' }, { name: 'a\nb' }, 'name'],
  ['name is well-formed', { name: '\u{1f986}' }, { name: '\ud83e' }, 'name'],
  ['name is text', { name: '5' }, { name: 5 }, 'name'],
  ['nodeId of 255 bytes', { nodeId: 'n'.repeat(255) }, { nodeId: 'n'.repeat(256) }, 'nodeId'],
  ['listen is given', { listen: 'localhost:0' }, { listen: undefined }, 'listen'],
  ['listen port', { listen: '127.0.0.1:65535' }, { listen: '127.0.0.1:65536' }, 'listen'],
  ['listen has a port', { listen: { host: 'a', port: 1 } }, { listen: 'a' }, 'listen'],
  [
    'listen in two parts',
    { listen: { host: '::1', port: 0 } },
    { listen: { host: '[::1]', port: 0 } },
    'listen',
  ],
  [
    'listen port is whole',
    { listen: { host: 'a', port: 1 } },
    { listen: { host: 'a', port: 1.5 } },
    'listen',
  ],
  ['listen on a literal', { listen: '10.0.0.1:1' }, { listen: '10.0.0.256:1' }, 'listen'],
  ['advertise names a host', { advertise: 'db-1.local:1' }, { advertise: 'db 1:1' }, 'advertise'],
  ['every interface v4', { listen: '0.0.0.0:1', advertise: 'a:1' }, { listen: '0.0.0.0:1' }, 'advertise'],
  ['every interface v6', { listen: '[::]:1', advertise: 'a:1' }, { listen: '[::]:1' }, 'advertise'],
  ['advertise is an interface', { advertise: '[::1]:1' }, { advertise: '[0:0::0]:1' }, 'advertise'],
  ['at least one seed', { seeds: seeds(1) }, { seeds: [] }, 'seeds'],
  ['64 seeds', { seeds: seeds(64), downing: manual() }, { seeds: seeds(65), downing: manual() }, 'seeds'],
  ['seed port', { seeds: ['a:1'] }, { seeds: ['a:0'] }, 'seeds[0]'],
  ['two seeds ask for a choice', { seeds: seeds(2), downing: manual() }, { seeds: seeds(2) }, 'downing'],
  ['one seed twice is one', { seeds: ['a:1', { host: 'a', port: 1 }] }, { seeds: ['a:1', 'a:2'] }, 'downing'],
  ['role of 64 bytes', { roles: ['r'.repeat(64)] }, { roles: ['r'.repeat(65)] }, 'roles[0]'],
  ['32 roles', { roles: seeds(32) }, { roles: seeds(33) }, 'roles'],
  ['roles are a list', { roles: [] }, { roles: 'api' }, 'roles'],
  ['transport by name', { transport: 'net' }, { transport: 'udp' }, 'transport'],
  ['aggregation', { aggregation: 'any' }, { aggregation: 'all' }, 'aggregation'],
  [
    'downing strategy',
    { downing: { ...OWN_STRATEGY, stableAfterMs: 0 } },
    { downing: 'keepMajority' },
    'downing',
  ],
  [
    'stableAfterMs of a strategy',
    { downing: { ...OWN_STRATEGY, stableAfterMs: 1000 } },
    { downing: { ...OWN_STRATEGY, stableAfterMs: 999 } },
    'downing.stableAfterMs',
  ],
  [
    'stableAfterMs at most',
    { downing: keepMajority({ stableAfterMs: 600_000 }) },
    { downing: keepMajority({ stableAfterMs: 600_001 }) },
    'downing.stableAfterMs',
  ],
  ['observers at least', { observersMax: 1 }, { observersMax: 0 }, 'observersMax'],
  ['observers at most', { observersMax: 100 }, { observersMax: 101 }, 'observersMax'],
  ['join timeout', { joinTimeoutMs: 1001 }, { joinTimeoutMs: 99 }, 'joinTimeoutMs'],
  ['signal', { signal: new AbortController().signal }, { signal: {} }, 'signal'],
  ['logger', { logger: console }, { logger: { info: () => {} } }, 'logger'],
  [
    'beat interval at least',
    heartbeat({ intervalMs: 20 }),
    heartbeat({ intervalMs: 19 }),
    'heartbeat.intervalMs',
  ],
  [
    'beat interval at most',
    { ...heartbeat({ intervalMs: 60_000 }), maxLoopStallMs: 300_000 },
    heartbeat({ intervalMs: 60_001 }),
    'heartbeat.intervalMs',
  ],
  [
    'beat interval is whole',
    heartbeat({ intervalMs: 50 }),
    heartbeat({ intervalMs: 50.5 }),
    'heartbeat.intervalMs',
  ],
  [
    'phi',
    heartbeat({ phiThreshold: 0.5 }),
    heartbeat({ phiThreshold: Number.NaN }),
    'heartbeat.phiThreshold',
  ],
  ['window', heartbeat({ windowSize: 2 }), heartbeat({ windowSize: 1 }), 'heartbeat.windowSize'],
  ['echo', heartbeat({ echoEvery: 1 }), heartbeat({ echoEvery: 0 }), 'heartbeat.echoEvery'],
  [
    'deviation',
    heartbeat({ minStdDeviationMs: 1 }),
    heartbeat({ minStdDeviationMs: 0 }),
    'heartbeat.minStdDeviationMs',
  ],
  ['confirmation', dial({ confirmGoneMs: 0 }), dial({ confirmGoneMs: -1 }), 'dial.confirmGoneMs'],
  // Rules between options.
  [
    'pause >= interval',
    heartbeat({ intervalMs: 500, acceptablePauseMs: 500 }),
    heartbeat({ intervalMs: 500, acceptablePauseMs: 499 }),
    'heartbeat.acceptablePauseMs',
  ],
  [
    'stalled >= interval',
    heartbeat({ intervalMs: 500, stalledAfterMs: 500 }),
    heartbeat({ intervalMs: 500, stalledAfterMs: 499 }),
    'heartbeat.stalledAfterMs',
  ],
  ['stall limit > stalled', { maxLoopStallMs: 2001 }, { maxLoopStallMs: 2000 }, 'maxLoopStallMs'],
  [
    'watched backoff >= first',
    dial({ backoffMinMs: 1000 }),
    dial({ backoffMinMs: 1001 }),
    'dial.backoffWatchedMaxMs',
  ],
  [
    'backoff >= watched backoff',
    dial({ backoffMaxMs: 1000 }),
    dial({ backoffMaxMs: 999 }),
    'dial.backoffMaxMs',
  ],
  [
    'seed timeout < join timeout',
    { joinTimeoutMs: 6000, seedNodeTimeoutMs: 5999 },
    { joinTimeoutMs: 6000, seedNodeTimeoutMs: 6000 },
    'seedNodeTimeoutMs',
  ],
  [
    'connect < join timeout',
    { seeds: ['a:1'], joinTimeoutMs: 1001 },
    { seeds: ['a:1'], joinTimeoutMs: 1000 },
    'dial.connectTimeoutMs',
  ],
  [
    'roll call < half of stableAfter',
    { downing: keepMajority({ stableAfterMs: 2000 }), rollCallTimeoutMs: 999 },
    { downing: keepMajority({ stableAfterMs: 2000 }), rollCallTimeoutMs: 1000 },
    'rollCallTimeoutMs',
  ],
]

describe('options at their edges', () => {
  for (const [title, valid, invalid, path] of EDGES) {
    it(title, () => {
      expect(() => resolve(valid)).not.toThrow()
      expect(fault(invalid).path).toBe(path)
    })
  }

  it('a roll call is not bound by a strategy that never decides', () => {
    expect(() => resolve({ downing: manual(), rollCallTimeoutMs: 60_000 })).not.toThrow()
  })
})

describe('unknown options', () => {
  it('are refused with the nearest known name', () => {
    expect(fault({ heartbeatt: {} }).message).toContain('heartbeat (no option has this name)')
    expect(fault({ seed: [] }).message).toContain('seeds')
    expect(fault({ nodeid: 'a' }).message).toContain('nodeId')
    expect(fault(heartbeat({ interval: 5 })).message).toContain('heartbeat.intervalMs')
    expect(fault(dial({ backoffMs: 5 })).path).toBe('dial.backoffMs')
    expect(fault({ listen: { host: 'a', prot: 1 } }).path).toBe('listen.prot')
  })

  it('are refused with all names when none is near', () => {
    const { message } = fault({ zzzzzzzz: 1 })
    expect(message).toContain('one of name, listen, advertise')
  })

  it('an options value that is no object is refused', () => {
    for (const value of [undefined, null, 'orders', []]) {
      expect(() => resolveOptions(value as unknown as JoinOptions, () => true)).toThrow(InvalidOptionError)
    }
    expect(fault({ heartbeat: 5 }).path).toBe('heartbeat')
  })

  it('a long value is quoted in part', () => {
    expect(fault({ nodeId: 'n'.repeat(5000) }).message.length).toBeLessThan(300)
  })
})

describe('defaults', () => {
  it('undefined means not given, everywhere', () => {
    const given = {
      nodeId: undefined,
      seeds: undefined,
      downing: undefined,
      heartbeat: { intervalMs: undefined },
    }
    const { options, origins } = resolve(given)
    expect(options.heartbeat.intervalMs).toBe(1000)
    expect(origins.get('heartbeat.intervalMs')).toBe('default')
    expect(options.downing.name).toBe('manual')
  })

  it('nodeId follows the advertised address, and is left open when the port is', () => {
    expect(resolve().options.nodeId).toBe('127.0.0.1:7355')
    expect(resolve({ advertise: 'db-1:0' }).options.nodeId).toBe('db-1:7355')
    expect(resolve({ advertise: 'db-1:99' }).options.nodeId).toBe('db-1:99')
    expect(resolve({ listen: 'localhost:0' }).options.nodeId).toBeUndefined()
    expect(resolve({ listen: 'localhost:0', nodeId: 'a' }).options.nodeId).toBe('a')
  })

  it('the net transport forgives longer pauses, whether chosen or fallen back to', () => {
    expect(resolve({}, true).options.heartbeat.acceptablePauseMs).toBe(2000)
    expect(resolve({}, false).options.heartbeat.acceptablePauseMs).toBe(5000)
    expect(resolve({ transport: 'net' }, true).options.heartbeat.acceptablePauseMs).toBe(5000)
    expect(resolve({ transport: 'native' }, false).options.heartbeat.acceptablePauseMs).toBe(2000)
    const given = { transport: 'net', ...heartbeat({ acceptablePauseMs: 1000 }) }
    expect(resolve(given).options.heartbeat.acceptablePauseMs).toBe(1000)
  })

  it('follow other options, so that no default breaks a rule', () => {
    const slow = resolve(heartbeat({ intervalMs: 20_000 }))
    expect(slow.options.heartbeat).toMatchObject({ acceptablePauseMs: 40_000, stalledAfterMs: 40_000 })
    expect(slow.options.maxLoopStallMs).toBe(80_000)
    expect(slow.origins.get('heartbeat.acceptablePauseMs')).toBe('derived')
    expect(slow.origins.get('maxLoopStallMs')).toBe('derived')
    const hasty = resolve({ joinTimeoutMs: 3000, downing: keepMajority({ stableAfterMs: 2000 }) })
    expect(hasty.options).toMatchObject({ seedNodeTimeoutMs: 1500, rollCallTimeoutMs: 500 })
    expect(hasty.origins.get('seedNodeTimeoutMs')).toBe('derived')
    expect(hasty.origins.get('rollCallTimeoutMs')).toBe('derived')
    const plain = resolve()
    expect(plain.options).toMatchObject({
      seedNodeTimeoutMs: 5000,
      rollCallTimeoutMs: 1000,
      maxLoopStallMs: 30_000,
    })
    expect(plain.origins.get('rollCallTimeoutMs')).toBe('default')
  })

  it('repeated seeds and roles are dropped, in the order of first mention', () => {
    const { options } = resolve({ seeds: ['a:1', 'b:2', 'a:1'], roles: ['x', 'y', 'x'], downing: manual() })
    expect(options.seeds).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ])
    expect(options.roles).toEqual(['x', 'y'])
  })

  it('the message that asks for a downing choice names the choices', () => {
    expect(fault({ seeds: seeds(3) }).message).toMatch(/3 seeds.*keepMajority\(\).*manual\(\)/)
  })
})
