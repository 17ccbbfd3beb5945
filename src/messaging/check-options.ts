/** Values and ranges of the messaging options. */
import { flag, integer } from '../options/checks.js'
import { InvalidOptionError } from '../options/invalid-option.js'
import type { Reader } from '../options/reader.js'
import { MESSAGING_LIMITS as LIMITS } from './limits.js'
import type { Handler } from './messaging.js'
import type { MessagingOptions, ResolvedMessagingOptions } from './options.js'

const KNOWN: readonly (keyof MessagingOptions)[] = [
  'largeMessageBytes',
  'messageBytesMax',
  'outboxBytesMax',
  'largeOutboxBytesMax',
  'outboxMessagesMax',
  'highWaterBytes',
  'lowWaterBytes',
  'requestTimeoutMs',
  'unreachableTimeoutMs',
  'laneIdleMs',
  'lanesMax',
  'debugPoison',
  'handlers',
]

const GIB = 1024 ** 3
const HOUR_MS = 3_600_000

export const timeoutCheck = integer(1, LIMITS.timeoutMsMax)

/** The group `messaging` of a node's options. */
export function readMessaging(parent: Reader): ResolvedMessagingOptions {
  const reader = parent.nested('messaging', KNOWN)
  const bytes = (min: number, max: number) => integer(min, max)
  const messageBytesMax = reader.optional(
    'messageBytesMax',
    bytes(LIMITS.largeMessageBytes, LIMITS.messageBytesCeiling),
    LIMITS.messageBytesMax,
  )
  const highWaterBytes = reader.optional('highWaterBytes', bytes(1024, GIB), LIMITS.highWaterBytes)
  const options: ResolvedMessagingOptions = {
    largeMessageBytes: reader.optional(
      'largeMessageBytes',
      bytes(1, LIMITS.largeMessageBytes),
      LIMITS.largeMessageBytes,
    ),
    messageBytesMax,
    outboxBytesMax: reader.optional(
      'outboxBytesMax',
      bytes(2 * LIMITS.largeMessageBytes, GIB),
      LIMITS.outboxBytesMax,
    ),
    largeOutboxBytesMax: reader.optional(
      'largeOutboxBytesMax',
      bytes(messageBytesMax, 4 * GIB),
      Math.max(LIMITS.largeOutboxBytesMax, messageBytesMax),
      messageBytesMax > LIMITS.largeOutboxBytesMax ? 'derived' : 'default',
    ),
    outboxMessagesMax: reader.optional(
      'outboxMessagesMax',
      integer(16, 16_777_216),
      LIMITS.outboxMessagesMax,
    ),
    highWaterBytes,
    lowWaterBytes: reader.optional(
      'lowWaterBytes',
      bytes(0, GIB),
      Math.min(LIMITS.lowWaterBytes, highWaterBytes >> 2),
      highWaterBytes >> 2 < LIMITS.lowWaterBytes ? 'derived' : 'default',
    ),
    requestTimeoutMs: reader.optional('requestTimeoutMs', timeoutCheck, LIMITS.requestTimeoutMs),
    unreachableTimeoutMs: reader.optional(
      'unreachableTimeoutMs',
      integer(100, HOUR_MS),
      LIMITS.unreachableTimeoutMs,
    ),
    laneIdleMs: reader.optional('laneIdleMs', integer(100, 24 * HOUR_MS), LIMITS.laneIdleMs),
    lanesMax: reader.optional('lanesMax', integer(1, 65_536), LIMITS.lanesMax),
    debugPoison: reader.optional('debugPoison', flag, false),
    handlers: reader.optional('handlers', handlerMap, {}),
  }
  if (options.lowWaterBytes >= options.highWaterBytes)
    throw new InvalidOptionError(
      'messaging.lowWaterBytes',
      options.lowWaterBytes,
      `less than highWaterBytes (${options.highWaterBytes})`,
    )
  return options
}

function handlerMap(value: unknown, path: string): Readonly<Record<string, Handler>> {
  const functions = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!functions) throw new InvalidOptionError(path, value, 'an object with a function for each topic')
  for (const [topic, handler] of Object.entries(value)) {
    if (typeof handler !== 'function') throw new InvalidOptionError(`${path}.${topic}`, handler, 'a function')
  }
  return value as Readonly<Record<string, Handler>>
}
