import { createNetTransport } from '../../src/transport/net/net-transport.js'
import { Authority } from '../transport/tls-certificates.js'
import { realHarness } from './real-harness.js'
import { transportContract } from './transport-contract.js'

const certificate = new Authority('contract').issue({ hosts: ['127.0.0.1', 'node-a.example'] })

transportContract('net over TLS', () => realHarness(createNetTransport, false, certificate))
