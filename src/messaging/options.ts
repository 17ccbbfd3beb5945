import type { Handler } from './messaging.js'

/** What can be set about messaging, in a cluster and on a standalone transport. Sizes in bytes, times in milliseconds. */
export interface MessagingOptions {
  /** Handlers by topic, there before the first message can come; more are added with `handle`. Default none. */
  readonly handlers?: Readonly<Record<string, Handler>>
  /** Messages longer than this take the large lane. 1 to 65_536. Default 65_536. */
  readonly largeMessageBytes?: number
  /** The longest message that is sent or taken. 65_536 to 1 GiB. Default 64 MiB. */
  readonly messageBytesMax?: number
  /** Bound of each ordinary lane's outbox: what is queued and not yet acknowledged. Default 16 MiB. */
  readonly outboxBytesMax?: number
  /** The same of each large lane; at least `messageBytesMax`. Default 128 MiB. */
  readonly largeOutboxBytesMax?: number
  /** Default 262_144. */
  readonly outboxMessagesMax?: number
  /** From here on `send` returns false. Default 1 MiB. */
  readonly highWaterBytes?: number
  /** From here on `drain` resolves. Default 256 KiB. */
  readonly lowWaterBytes?: number
  /** Default 10_000. */
  readonly requestTimeoutMs?: number
  /** How long messages wait for a peer that cannot be reached, before they are dead letters. Default 10_000. */
  readonly unreachableTimeoutMs?: number
  /** Default 60_000. */
  readonly laneIdleMs?: number
  /** Open data lanes of this node; the one idle for longest is closed for one more. Default 8192. */
  readonly lanesMax?: number
  /** Overwrites memory that was lent to a handler as soon as the loan ends, so that misuse shows. Default false. */
  readonly debugPoison?: boolean
}

export type ResolvedMessagingOptions = Required<MessagingOptions>
