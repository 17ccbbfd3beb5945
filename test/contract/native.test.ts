import { describe } from 'vitest'
import { createNativeTransport } from '../../src/transport/native/native-transport.js'
import { NATIVE_MISSING } from '../cluster/support.js'
import { realHarness } from './real-harness.js'
import { transportContract } from './transport-contract.js'

describe.skipIf(NATIVE_MISSING)('with the addon', () => {
  transportContract('native', () => realHarness(createNativeTransport, true))
})
