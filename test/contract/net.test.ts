import { createNetTransport } from '../../src/transport/net/net-transport.js'
import { realHarness } from './real-harness.js'
import { transportContract } from './transport-contract.js'

transportContract('net', () => realHarness(createNetTransport, false))
