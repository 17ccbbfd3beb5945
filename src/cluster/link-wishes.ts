/** Membership and messaging want links of one transport: a link is given up when neither wants it. */
import { type Address, formatAddress, type Uid } from '../core/address.js'
import type { Transport } from '../transport/transport.js'

export type LinkWisher = Pick<Transport, 'connect' | 'disconnect'>

export class LinkWishes {
  /** By address: one bit for each layer. */
  readonly #wanted = new Map<string, number>()
  readonly #transport: LinkWisher
  #nextBit = 1

  constructor(transport: LinkWisher) {
    this.#transport = transport
  }

  /** The transport as one more layer sees it. */
  layer(): LinkWisher {
    const bit = this.#nextBit
    this.#nextBit <<= 1
    return {
      connect: (address, uid) => this.#connect(bit, address, uid),
      disconnect: (address) => this.#disconnect(bit, address),
    }
  }

  #connect(bit: number, address: Address, uid: Uid | undefined): void {
    const name = formatAddress(address)
    this.#wanted.set(name, (this.#wanted.get(name) ?? 0) | bit)
    this.#transport.connect(address, uid)
  }

  #disconnect(bit: number, address: Address): void {
    const name = formatAddress(address)
    const left = (this.#wanted.get(name) ?? 0) & ~bit
    if (left !== 0) {
      this.#wanted.set(name, left)
      return
    }
    this.#wanted.delete(name)
    this.#transport.disconnect(address)
  }
}
