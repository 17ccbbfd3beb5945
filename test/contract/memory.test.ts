import { memoryHarness } from './memory-harness.js'
import { transportContract } from './transport-contract.js'

transportContract('memory', () => memoryHarness())
