import { describe, expect, it } from 'vitest'
import { type AgentFlags, agentCommand, joinOptions, whole } from '../../src/cli/agent-command.js'
import { resolveOptions } from '../../src/cluster/resolve-options.js'

const BASE: AgentFlags = { cluster: 'orders', listen: '127.0.0.1:7355', transport: 'net', json: false }

function resolved(flags: Partial<AgentFlags>) {
  return resolveOptions(joinOptions({ ...BASE, ...flags }), () => true)
}

describe('the flags of skein agent', () => {
  it('say nothing where nothing was said', () => {
    const { options, origins } = resolved({})
    expect(options.downing.name).toBe('manual')
    for (const path of ['downing', 'roles', 'joinTimeoutMs']) expect(origins.get(path)).toBe('default')
    expect(origins.get('nodeId')).toBe('derived')
    expect(origins.get('seeds')).toBe('derived')
  })

  it('become the options of the library', () => {
    const { options } = resolved({
      seeds: ['a:1', 'b:2'],
      nodeId: 'n1',
      roles: ['api', 'web'],
      downing: 'keepMajority',
      stableAfterMs: 3000,
      joinTimeoutMs: 9000,
    })
    expect(options).toMatchObject({
      name: 'orders',
      nodeId: 'n1',
      roles: ['api', 'web'],
      joinTimeoutMs: 9000,
      downing: { name: 'keepMajority', stableAfterMs: 3000 },
    })
    expect(options.seeds).toHaveLength(2)
  })

  it('a quiet time alone means keepMajority', () => {
    expect(resolved({ stableAfterMs: 4000 }).options.downing).toMatchObject({
      name: 'keepMajority',
      stableAfterMs: 4000,
    })
    expect(resolved({ downing: 'manual' }).options.downing.name).toBe('manual')
  })

  it('are validated by the library', () => {
    expect(() => resolved({ seeds: ['a:1', 'b:2'] })).toThrowError(
      expect.objectContaining({ path: 'downing' }),
    )
    expect(() => resolved({ seeds: ['a'] })).toThrowError(expect.objectContaining({ path: 'seeds[0]' }))
  })

  it('whole numbers only', () => {
    expect(whole('0')).toBe(0)
    expect(whole('999999999')).toBe(999_999_999)
    for (const text of ['', '-1', '1.5', '1e3', '9999999999', 'ten']) expect(() => whole(text)).toThrow()
  })

  it('each flag is described', () => {
    const help = agentCommand().helpInformation()
    for (const flag of [
      '--cluster',
      '--listen',
      '--advertise',
      '--seeds',
      '--node-id',
      '--roles',
      '--json',
    ]) {
      expect(help).toContain(flag)
    }
  })
})
