import { describe, expect, it } from 'vitest'
import { describeOptions } from '../../src/cluster/describe-options.js'
import { keepMajority } from '../../src/core/downing.js'

describe('describeOptions', () => {
  it('names every value with its origin', () => {
    const described = describeOptions({
      name: 'orders',
      listen: '127.0.0.1:7355',
      seeds: ['127.0.0.1:7355', '127.0.0.1:7356'],
      downing: keepMajority({ stableAfterMs: 2000 }),
      transport: 'net',
      heartbeat: { intervalMs: 500 },
    })
    expect(described).toMatchObject({
      name: { value: 'orders', origin: 'given' },
      listen: { value: '127.0.0.1:7355', origin: 'given' },
      advertise: { value: '127.0.0.1:7355', origin: 'derived' },
      nodeId: { value: '127.0.0.1:7355', origin: 'derived' },
      seeds: { value: ['127.0.0.1:7355', '127.0.0.1:7356'], origin: 'given' },
      roles: { value: [], origin: 'default' },
      downing: { value: 'keepMajority', origin: 'given' },
      'downing.stableAfterMs': { value: 2000, origin: 'given' },
      transport: { value: 'net', origin: 'given' },
      'heartbeat.intervalMs': { value: 500, origin: 'given' },
      'heartbeat.acceptablePauseMs': { value: 5000, origin: 'derived' },
      'heartbeat.phiThreshold': { value: 8, origin: 'default' },
      'dial.backoffMinMs': { value: 100, origin: 'default' },
      rollCallTimeoutMs: { value: 500, origin: 'derived' },
      joinTimeoutMs: { value: 30_000, origin: 'default' },
    })
  })

  it('shows what only binding will tell, and carries no objects of the caller', () => {
    const described = describeOptions({ name: 'orders', listen: 'localhost:0', logger: console })
    expect(described).toMatchObject({
      nodeId: { value: 'localhost/<uid>', origin: 'derived' },
      seeds: { value: ['localhost:0'], origin: 'derived' },
      downing: { value: 'manual', origin: 'default' },
      logger: { value: undefined, origin: 'given' },
      signal: { value: false, origin: 'default' },
    })
    expect(() => JSON.stringify(described)).not.toThrow()
  })

  it('refuses what joinCluster refuses', () => {
    expect(() => describeOptions({ name: 'orders', listen: 'nowhere' })).toThrowError(
      expect.objectContaining({ code: 'ERR_SKEIN_INVALID_OPTION', path: 'listen' }),
    )
  })
})
