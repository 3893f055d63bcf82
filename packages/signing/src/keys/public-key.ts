import { createHash, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto'
import { S3loError, toS3loError } from '@s3lo/core/plugin'
import {
  algorithmsOf,
  hashOf,
  type KeyKind,
  type SignatureAlgorithm,
  verifyingInputs,
} from './algorithm.ts'
import { parsePem } from './pem.ts'

/** Shorter RSA keys are refused, as cosign does; longer ones take too long to verify (bits). */
const RSA_BITS = { min: 2048, max: 8192 } as const

const CURVES: Readonly<Record<string, KeyKind>> = {
  prime256v1: 'ecdsa-p256',
  secp384r1: 'ecdsa-p384',
  secp521r1: 'ecdsa-p521',
}

/** A key that verifies. */
export class PublicKey {
  readonly kind: KeyKind
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  readonly #key: KeyObject

  /** Throws `UNSUPPORTED` for a key that no signature of ours is made with. */
  constructor(key: KeyObject) {
    this.#key = key.type === 'private' ? createPublicKey(key) : key
    this.kind = kindOf(this.#key)
    this.spki = this.#key.export({ type: 'spki', format: 'der' })
  }

  /**
   * Reads a public key or a certificate, PEM. Of a certificate only the key counts: neither its
   * dates nor its issuer are checked. Throws `USAGE` naming `what`.
   */
  static parse(pem: string, what: string): PublicKey {
    const { label, text, der } = parsePem(pem, what)
    try {
      if (label === 'CERTIFICATE') return new PublicKey(new X509Certificate(der).publicKey)
      if (label === 'PUBLIC KEY' || label === 'RSA PUBLIC KEY') {
        return new PublicKey(createPublicKey(text))
      }
    } catch (error) {
      throw toS3loError(error, 'USAGE', `${what} is no public key that can be read`)
    }
    throw new S3loError('USAGE', `${what} is no public key but a ${label.toLowerCase()}`)
  }

  /** The first 16 hex digits of the SHA-256 of {@link spki}: what records are named after. */
  get id(): string {
    return createHash('sha256').update(this.spki).digest('hex').slice(0, 16)
  }

  /** What the key verifies, the default first. */
  get algorithms(): readonly SignatureAlgorithm[] {
    return algorithmsOf(this.kind)
  }

  /** The key as a file: `-----BEGIN PUBLIC KEY-----`. */
  toPem(): string {
    return this.#key.export({ type: 'spki', format: 'pem' }).toString()
  }

  /** True when the signature is one of the message by this key. Never throws for foreign bytes. */
  verify(algorithm: SignatureAlgorithm, message: Uint8Array, signature: Uint8Array): boolean {
    if (!this.algorithms.includes(algorithm)) return false
    const hash = hashOf(algorithm) ?? null
    return verifyingInputs(algorithm, this.#key).some((input) => {
      try {
        return verify(hash, message, input, signature)
      } catch {
        return false // OpenSSL refuses some malformed signatures with an error instead of an answer.
      }
    })
  }
}

function kindOf(key: KeyObject): KeyKind {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key
  const curve = type === 'ec' ? CURVES[details.namedCurve ?? ''] : undefined
  if (curve) return curve
  if (type === 'ed25519') return 'ed25519'
  if (type === 'rsa' || type === 'rsa-pss') {
    const bits = details.modulusLength ?? 0
    if (bits >= RSA_BITS.min && bits <= RSA_BITS.max) return type
    throw new S3loError('UNSUPPORTED', `RSA keys of ${bits} bits are not used for signatures`, {
      hint: `they have ${RSA_BITS.min} to ${RSA_BITS.max} bits`,
    })
  }
  const name = details.namedCurve ?? type ?? 'unknown'
  throw new S3loError('UNSUPPORTED', `keys of the kind ${name} are not used for signatures`, {
    hint: 'keys are ECDSA (P-256, P-384, P-521), RSA or Ed25519',
  })
}
