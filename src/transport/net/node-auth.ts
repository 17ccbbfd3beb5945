/** What admission by secrets needs, by `node:crypto`. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { EngineAuth } from '../control/auth.js'

export const nodeAuth: EngineAuth = {
  randomBytes: (count) => new Uint8Array(randomBytes(count)),
  hmac: (secret, ...parts) => {
    const hmac = createHmac('sha256', secret)
    for (const part of parts) hmac.update(part)
    return new Uint8Array(hmac.digest())
  },
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
}
