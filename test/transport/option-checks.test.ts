import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/sim/clock.js'
import { MemoryNetwork } from '../../src/transport/memory/memory-network.js'
import { createNetTransport } from '../../src/transport/net/net-transport.js'
import { checkSecrets, refuseTls } from '../../src/transport/option-checks.js'
import type { TransportOptions } from '../../src/transport/transport.js'
import { RIG_OPTIONS } from './plane-rig.js'

const secret = (bytes: number) => new Uint8Array(bytes).fill(0x5e)
const invalid = (message: RegExp) =>
  expect.objectContaining({
    code: 'ERR_SKEIN_INVALID_OPTION',
    message: expect.stringMatching(message) as string,
  })

describe('secrets', () => {
  it.each([
    ['none', undefined],
    ['one of 16 bytes', [secret(16)]],
    ['four, up to 256 bytes', [16, 17, 255, 256].map(secret)],
    ['a Buffer', [Buffer.from(secret(20))]],
  ])('may be %s', (_, secrets) => {
    expect(() => checkSecrets(secrets)).not.toThrow()
  })

  it.each([
    ['no list', 'sixteen letters!', /^option secrets is no list, expected 1 to 4/],
    ['an empty list', [], /^option secrets has 0 items/],
    ['five', [16, 16, 16, 16, 16].map(secret), /^option secrets has 5 items/],
    ['too short', [secret(16), secret(15)], /^option secrets\[1\] is 15 bytes long, expected 16 to 256/],
    ['too long', [secret(257)], /^option secrets\[0\] is 257 bytes long/],
    ['text', ['sixteen letters!'], /^option secrets\[0\] is no Uint8Array/],
  ])('that are %s are refused, and not quoted', (_, secrets, message) => {
    const given = secrets as unknown as TransportOptions['secrets']
    expect(() => checkSecrets(given)).toThrow(invalid(message))
    expect(() => checkSecrets(given)).not.toThrow(/sixteen|94|5e/)
  })

  it('are checked by every transport that stands on the engine, when it is made', () => {
    const options = { ...RIG_OPTIONS, secrets: [secret(15)] }
    const network = new MemoryNetwork({ clock: new VirtualClock() })
    expect(() => network.createTransport(options)).toThrow(invalid(/secrets\[0\]/))
    expect(() => createNetTransport(options)).toThrow(invalid(/secrets\[0\]/))
  })
})

describe('tls', () => {
  it('is refused where there is none', () => {
    const tls = { cert: '', key: '', ca: '' }
    expect(() => refuseTls(undefined, 'native')).not.toThrow()
    expect(() => refuseTls(tls, 'native')).toThrow(invalid(/the native transport has none; use .*'net'/))
    const network = new MemoryNetwork({ clock: new VirtualClock() })
    expect(() => network.createTransport({ ...RIG_OPTIONS, tls })).toThrow(invalid(/memory/))
  })
})
