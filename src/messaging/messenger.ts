/** The messaging API over one office: names are turned into peers, the rest is theirs. */
import type {
  Handler,
  MessageStream,
  Messaging,
  Peer,
  RequestOptions,
  SendOptions,
  StreamHandler,
  StreamOptions,
} from './messaging.js'
import type { PeerLink } from './peer-link.js'
import type { TopicTable } from './topics.js'

export abstract class Messenger<To> implements Messaging<To> {
  private topics!: TopicTable
  private resolve!: (to: To) => PeerLink

  /** Once, before anything else. `resolve`: the peer that a name stands for now; throws when there is none. */
  protected serve(topics: TopicTable, resolve: (to: To) => PeerLink): void {
    this.topics = topics
    this.resolve = resolve
  }

  send(to: To, topic: string, bytes: Uint8Array, options?: SendOptions): boolean {
    return this.resolve(to).send(topic, bytes, options)
  }

  request(to: To, topic: string, bytes: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    try {
      return this.resolve(to).request(topic, bytes, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  stream(to: To, topic: string, source?: AsyncIterable<Uint8Array>, options?: StreamOptions): MessageStream {
    return this.resolve(to).stream(topic, source, options)
  }

  peer(to: To): Peer {
    return new NamedPeer(to, this.resolve)
  }

  handle(topic: string, handler: Handler): () => void {
    return this.topics.handle(topic, handler)
  }

  handleStream(topic: string, handler: StreamHandler): () => void {
    return this.topics.handleStream(topic, handler)
  }
}

/** A name and the peer it was found to be; looked up again when that one has ended. */
class NamedPeer<To> implements Peer {
  private link: PeerLink

  constructor(
    private readonly to: To,
    private readonly resolve: (to: To) => PeerLink,
  ) {
    this.link = resolve(to)
  }

  send(topic: string, bytes: Uint8Array, options?: SendOptions): boolean {
    return this.current().send(topic, bytes, options)
  }

  request(topic: string, bytes: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    try {
      return this.current().request(topic, bytes, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  stream(topic: string, source?: AsyncIterable<Uint8Array>, options?: StreamOptions): MessageStream {
    return this.current().stream(topic, source, options)
  }

  get writableNeedDrain(): boolean {
    return this.link.association.ended === undefined && this.link.writableNeedDrain
  }

  drain(): Promise<void> {
    return this.link.association.ended === undefined ? this.link.drain() : Promise.resolve()
  }

  private current(): PeerLink {
    if (this.link.association.ended !== undefined) this.link = this.resolve(this.to)
    return this.link
  }
}
