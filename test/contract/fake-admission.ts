/** Admission as the protocol's page words it, written for the tests anew: what the transports prove is checked against this. */
import { createHmac } from 'node:crypto'

export const NONCE_BYTES = 32
export const PROOF_BYTES = 32

export type Role = 'acceptor' | 'dialler'

/** `ackBody` up to and including the acceptor's nonce. */
export function proofOf(
  role: Role,
  secret: Uint8Array,
  helloBody: Uint8Array,
  ackBody: Uint8Array,
): Uint8Array {
  const hmac = createHmac('sha256', secret)
  const helloBytes = Buffer.alloc(4)
  helloBytes.writeUInt32LE(helloBody.length)
  hmac.update(`skein ${role}\0`).update(helloBytes).update(helloBody).update(ackBody)
  return new Uint8Array(hmac.digest())
}

/** What an ack with the proof flag says after its strings, whose end is at `at`. */
export function readAckProofs(body: Uint8Array, at: number): { signed: Uint8Array; proofs: Uint8Array[] } {
  const signed = body.slice(0, at + NONCE_BYTES)
  const count = body[signed.length] ?? 0
  const proofs = Array.from({ length: count }, (_, index) => {
    const from = signed.length + 1 + index * PROOF_BYTES
    return body.slice(from, from + PROOF_BYTES)
  })
  return { signed, proofs }
}

/** The tail of an ack: the number of proofs and the proofs, as many as are given. */
export function ackTail(proofs: readonly Uint8Array[], count = proofs.length): Uint8Array {
  return concat([Uint8Array.of(count), ...proofs])
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** A secret that a name stands for. */
export function secretOf(name: string, bytes = 32): Uint8Array {
  return new TextEncoder().encode(name.repeat(bytes)).slice(0, bytes)
}
