import { describe, it } from 'vitest'
import { nativeAvailable } from '../../src/transport/native/load.js'
import { createNativeTransport } from '../../src/transport/native/native-transport.js'
import { realHarness } from './real-harness.js'
import { transportContract } from './transport-contract.js'

if (nativeAvailable() || process.env['SKEIN_REQUIRE_NATIVE'] === '1') {
  transportContract('native', () => realHarness(createNativeTransport, true))
} else {
  describe('transport contract: native', () => {
    it.skip('no binary is built: run `npm run build:native`', () => {})
  })
}
