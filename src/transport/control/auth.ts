/**
 * Admission by secrets: each end proves that it knows a secret of the other, over both hellos and both nonces, so
 * that a proof holds for these incarnations, this dial and this lane, and never a second time.
 */
import { TRANSPORT_LIMITS } from '../limits.js'

/** What the engine needs of cryptography and chance; the adapter hands it in. */
export interface EngineAuth {
  /** Nobody may foresee them. */
  randomBytes(count: number): Uint8Array
  /** HMAC-SHA-256 of the parts, one after the other: 32 bytes. */
  hmac(secret: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array
  /** In a time that tells nothing of where they differ. Of different lengths: false. */
  equal(a: Uint8Array, b: Uint8Array): boolean
}

/** What both ends have said, as it was on the wire. */
export interface Transcript {
  /** The whole body of the hello. */
  readonly hello: Uint8Array
  /** The body of the ack, up to and including its nonce. */
  readonly ack: Uint8Array
}

const textEncoder = new TextEncoder()
/** Different for each end, so that nobody is let in by a proof that was made for him. */
const ACCEPTOR = textEncoder.encode('skein acceptor\0')
const DIALLER = textEncoder.encode('skein dialler\0')

export class Admission {
  private readonly secrets: readonly Uint8Array[]

  constructor(
    private readonly auth: EngineAuth,
    secrets: readonly Uint8Array[],
  ) {
    // The caller may wipe his; a Buffer's `slice` would be no copy.
    this.secrets = secrets.map((secret) => new Uint8Array(secret))
  }

  newNonce(): Uint8Array {
    return this.auth.randomBytes(TRANSPORT_LIMITS.nonceBytes)
  }

  /** One for each of our secrets: the dialler may know any of them. */
  acceptorProofs(transcript: Transcript): readonly Uint8Array[] {
    return this.secrets.map((secret) => this.prove(secret, ACCEPTOR, transcript))
  }

  /** Our answer to an acceptor's proofs, by the first of our secrets that they show to be common; undefined when none is. */
  diallerProof(transcript: Transcript, proofs: readonly Uint8Array[]): Uint8Array | undefined {
    const common = this.secrets.find((secret) => {
      const expected = this.prove(secret, ACCEPTOR, transcript)
      return proofs.some((proof) => this.auth.equal(proof, expected))
    })
    return common === undefined ? undefined : this.prove(common, DIALLER, transcript)
  }

  /** Whether a `ready` with this body comes from somebody who knows one of our secrets. */
  admits(transcript: Transcript, readyBody: Uint8Array): boolean {
    const proof = readyBody.subarray(0, TRANSPORT_LIMITS.proofBytes)
    return this.secrets.some((secret) => this.auth.equal(proof, this.prove(secret, DIALLER, transcript)))
  }

  private prove(secret: Uint8Array, label: Uint8Array, transcript: Transcript): Uint8Array {
    // Where the hello ends, and the ack begins, must not be for somebody in between to say.
    const helloBytes = new Uint8Array(4)
    new DataView(helloBytes.buffer).setUint32(0, transcript.hello.length, true)
    return this.auth.hmac(secret, label, helloBytes, transcript.hello, transcript.ack)
  }
}
