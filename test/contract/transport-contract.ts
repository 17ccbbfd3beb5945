/** The transport contract, to be run by every adapter: `transportContract('net', () => realHarness(...))`. */
import { afterEach, beforeEach, describe } from 'vitest'
import { admissionAttackContract } from './admission-attack-contract.js'
import { admissionContract } from './admission-contract.js'
import { admissionRelayContract } from './admission-relay-contract.js'
import { badInputContract } from './bad-input-contract.js'
import { diallingContract } from './dialling-contract.js'
import { closeNodes, type Harness, type Node } from './harness.js'
import { laneAcceptContract } from './lane-accept-contract.js'
import { laneContract } from './lane-contract.js'
import { laneDialContract } from './lane-dial-contract.js'
import { laneStreamContract } from './lane-stream-contract.js'
import { lifecycleContract } from './lifecycle-contract.js'
import { linkContract } from './link-contract.js'
import { messageContract } from './message-contract.js'
import { refusalContract } from './refusal-contract.js'
import { watchContract } from './watch-contract.js'

/** What a part of the contract is given; valid inside its tests only. */
export interface ContractContext {
  readonly harness: Harness
  /** Nodes to be closed after the test. */
  readonly open: Node[]
}

export type ContractPart = (context: ContractContext) => void

/** Declares parts of the contract, each of whose tests gets a harness of its own and leaves nothing behind. */
export function contractParts(makeHarness: () => Harness, parts: readonly ContractPart[]): void {
  const context = { harness: undefined as unknown as Harness, open: [] as Node[] }
  beforeEach(() => {
    context.harness = makeHarness()
    context.open = []
  })
  afterEach(async () => {
    // Played peers first: one that never closes its side would make each close wait for the drain's bound.
    await context.harness.dispose()
    await closeNodes(context.harness, context.open)
  })
  for (const declare of parts) declare(context)
}

export function transportContract(name: string, makeHarness: () => Harness): void {
  describe(`transport contract: ${name}`, () => {
    contractParts(makeHarness, [
      lifecycleContract,
      linkContract,
      diallingContract,
      messageContract,
      refusalContract,
      watchContract,
      badInputContract,
      laneContract,
      laneStreamContract,
      laneDialContract,
      laneAcceptContract,
      admissionContract,
      admissionAttackContract,
      admissionRelayContract,
    ])
  })
}
