/**
 * Admission by secrets: each end proves that it knows a secret of the other, over both hellos and both nonces, so
 * that a proof holds for these incarnations, this dial and this lane, and never a second time.
 */

/** What the engine needs of cryptography and chance; the adapter hands it in. */
export interface EngineAuth {
  /** Nobody may foresee them. */
  randomBytes(count: number): Uint8Array
  /** HMAC-SHA-256 of the parts, one after the other: 32 bytes. */
  hmac(secret: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array
  /** In a time that tells nothing of where they differ. Of different lengths: false. */
  equal(a: Uint8Array, b: Uint8Array): boolean
}
