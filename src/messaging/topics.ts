/** Topics by name: what handles them here. Peers' numbers lead straight to these objects. */

import { SkeinError } from '../errors.js'
import { DATA_LIMITS } from '../transport/limits.js'
import type { Handler, StreamHandler } from './messaging.js'

export interface Topic {
  readonly name: string
  handler: Handler | undefined
  streamHandler: StreamHandler | undefined
}

export class TopicTable {
  private readonly handled = new Map<string, Topic>()

  /** What a peer's name stands for. Names that nothing handles are not kept here: a peer may send many. */
  named(name: string): Topic {
    return this.handled.get(name) ?? { name, handler: undefined, streamHandler: undefined }
  }

  /** The topic as it is handled now; the peer may have named it before there was a handler. */
  current(topic: Topic): Topic {
    if (topic.handler !== undefined || topic.streamHandler !== undefined) return topic
    return this.handled.get(topic.name) ?? topic
  }

  handle(name: string, handler: Handler): () => void {
    const topic = this.claim(name, 'handler')
    topic.handler = handler
    return () => this.release(topic, 'handler', handler)
  }

  handleStream(name: string, handler: StreamHandler): () => void {
    const topic = this.claim(name, 'streamHandler')
    topic.streamHandler = handler
    return () => this.release(topic, 'streamHandler', handler)
  }

  private claim(name: string, field: 'handler' | 'streamHandler'): Topic {
    checkTopic(name)
    const topic = this.named(name)
    if (topic[field] !== undefined) {
      const what = field === 'handler' ? 'a handler' : 'a stream handler'
      throw new SkeinError(
        'ERR_SKEIN_INVALID_OPTION',
        `topic ${JSON.stringify(name)} has ${what} already; it stays. Take it away first, with what handle() returned`,
      )
    }
    this.handled.set(name, topic)
    return topic
  }

  private release(topic: Topic, field: 'handler' | 'streamHandler', handler: unknown): void {
    if (topic[field] !== handler) return
    topic[field] = undefined
    if (topic.handler === undefined && topic.streamHandler === undefined) this.handled.delete(topic.name)
  }
}

/** Throws `ERR_SKEIN_INVALID_OPTION` for what is not a topic's name. */
export function checkTopic(name: string): void {
  if (typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= DATA_LIMITS.topicBytesMax) return
  throw new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `topic is ${JSON.stringify(name)}, expected 1 to ${DATA_LIMITS.topicBytesMax} bytes of UTF-8; nothing was sent`,
  )
}
