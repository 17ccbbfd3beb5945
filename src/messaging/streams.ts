/** Streams of chunks, to and from one peer. */
import type { MessageStream, StreamOptions } from './messaging.js'
import type { PeerLink } from './peer-link.js'
import type { Topic } from './topics.js'

export class StreamTable {
  constructor(private readonly link: PeerLink) {}

  open(
    _topic: string,
    _source: AsyncIterable<Uint8Array> | undefined,
    _options: StreamOptions | undefined,
  ): MessageStream {
    throw new Error(`streams to ${this.link.sender.nodeId} are not there yet`)
  }

  onFrame(
    _kind: number,
    _flags: number,
    _topic: Topic | undefined,
    _correlation: number,
    _bytes: Uint8Array,
    _from: number,
    _to: number,
  ): void {}

  /** The large lane may have room. */
  pump(): void {}

  onPeerReset(): void {}

  end(_error: Error): void {}
}
