import { describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { BINARY, fixture, runNode } from './support.js'

const BOUND_MS = 20_000
const end = (how: string) => runNode([fixture('exit.mjs'), BINARY, how], BOUND_MS)

describe.skipIf(NATIVE_MISSING)('the end of a process', () => {
  it('comes by itself once its transports are closed', async () => {
    expect(await end('close')).toEqual({ code: 0, signal: null, stdout: 'linked\n', stderr: '' })
  })

  it('comes by itself when a transport was made but never started', async () => {
    expect(await end('unstarted')).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
  })

  it('does not come while a transport is open', async () => {
    // An unreferenced timer ends it with 9: it runs only if something else keeps the loop alive that long.
    expect(await end('kept')).toEqual({ code: 9, signal: null, stdout: 'linked\n', stderr: '' })
  })

  it('by process.exit with transports open is clean, 20 times', async () => {
    for (let round = 0; round < 20; round += 1) {
      expect(await end('exit')).toEqual({ code: 7, signal: null, stdout: 'linked\n', stderr: '' })
    }
  })

  // At no particular moment, so that it takes rounds to meet a bad one.
  it.each([
    ['peers are dialled by name', 'names', 'exit'],
    ['peers are turned away for their secrets', 'secrets', 'exit'],
    ['peers are turned away, and no listener hears of it', 'secrets', 'reallyExit'],
  ])(
    'by process.exit while %s is clean, 24 times',
    async (_, what, how) => {
      for (let round = 0; round < 24; round += 1) {
        const finished = await runNode([fixture('exit-busy.mjs'), BINARY, what, how], BOUND_MS)
        expect(finished).toEqual({ code: 7, signal: null, stdout: 'busy\n', stderr: '' })
      }
    },
    60_000,
  )

  it('what a sink throws is an uncaught exception, and delivery goes on', async () => {
    const finished = await end('throw')
    expect(finished).toMatchObject({ code: 0, signal: null, stderr: '' })
    expect(finished.stdout).toBe('uncaught thrown by the sink\nlinked\n')
  })
})
