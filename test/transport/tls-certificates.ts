/** Authorities and certificates of tests, made as they are needed. */
import { generateKeyPairSync } from 'node:crypto'
import { isIP } from 'node:net'
import forge from 'node-forge'
import type { TlsOptions } from '../../src/transport/transport.js'

const DAY_MS = 24 * 60 * 60 * 1000
const SUBJECT_DNS = 2
const SUBJECT_IP = 7

export interface Leaf {
  /** Names and literal addresses that it is for. */
  readonly hosts: readonly string[]
  /** Days from now at which it ends; negative: expired. Default 1. */
  readonly days?: number
}

let serial = 0

function newKey(): forge.pki.rsa.KeyPair {
  // Node draws a key in a tenth of the time.
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const key = forge.pki.privateKeyFromPem(privateKey)
  return { privateKey: key, publicKey: forge.pki.setRsaPublicKey(key.n, key.e) }
}

function newCertificate(name: string, publicKey: forge.pki.rsa.PublicKey): forge.pki.Certificate {
  serial += 1
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = publicKey
  certificate.serialNumber = `01${serial.toString(16).padStart(8, '0')}`
  certificate.validity.notBefore = new Date(Date.now() - 10 * DAY_MS)
  certificate.validity.notAfter = new Date(Date.now() + DAY_MS)
  certificate.setSubject([{ name: 'commonName', value: name }])
  return certificate
}

/** Signs certificates that it alone vouches for. */
export class Authority {
  readonly pem: string
  private readonly keys = newKey()
  private readonly certificate: forge.pki.Certificate

  constructor(name: string) {
    this.certificate = newCertificate(name, this.keys.publicKey)
    this.certificate.setIssuer(this.certificate.subject.attributes)
    this.certificate.setExtensions([{ name: 'basicConstraints', cA: true, critical: true }])
    this.certificate.sign(this.keys.privateKey, forge.md.sha256.create())
    this.pem = forge.pki.certificateToPem(this.certificate)
  }

  /** A node's certificate, its key, and this authority as the one to trust. */
  issue(leaf: Leaf): TlsOptions {
    const keys = newKey()
    const certificate = newCertificate(leaf.hosts[0] ?? 'nobody', keys.publicKey)
    certificate.validity.notAfter = new Date(Date.now() + (leaf.days ?? 1) * DAY_MS)
    certificate.setIssuer(this.certificate.subject.attributes)
    const altNames = leaf.hosts.map((host) =>
      isIP(host) === 0 ? { type: SUBJECT_DNS, value: host } : { type: SUBJECT_IP, ip: host },
    )
    certificate.setExtensions([{ name: 'subjectAltName', altNames }])
    certificate.sign(this.keys.privateKey, forge.md.sha256.create())
    return {
      cert: forge.pki.certificateToPem(certificate),
      key: forge.pki.privateKeyToPem(keys.privateKey),
      ca: this.pem,
    }
  }
}
