import { type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { hashOf, type SignatureAlgorithm, signingInput } from './algorithm.ts'
import { PublicKey } from './public-key.ts'

/** A key that signs, wherever it is. */
export interface Signer {
  readonly publicKey: PublicKey
  /** What the key can sign with, the preferred one first. */
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Signs the message (not its hash). Throws `UNSUPPORTED` for an algorithm not in {@link algorithms}. */
  sign(
    message: Uint8Array,
    algorithm: SignatureAlgorithm,
    options?: CallOptions,
  ): Promise<Uint8Array>
}

/** A private key in this process. */
export class LocalSigner implements Signer {
  readonly publicKey: PublicKey
  readonly #key: KeyObject

  constructor(key: KeyObject) {
    this.#key = key
    this.publicKey = new PublicKey(key)
  }

  get algorithms(): readonly SignatureAlgorithm[] {
    return this.publicKey.algorithms
  }

  async sign(message: Uint8Array, algorithm: SignatureAlgorithm): Promise<Uint8Array> {
    assertAlgorithm(this, algorithm)
    const input = signingInput(algorithm, this.#key)
    return promisify(sign)(hashOf(algorithm) ?? null, message, input)
  }
}

/** Throws `UNSUPPORTED` unless the signer has the algorithm. */
export function assertAlgorithm({ algorithms }: Signer, algorithm: SignatureAlgorithm): void {
  if (algorithms.includes(algorithm)) return
  throw new S3loError('UNSUPPORTED', `the key does not sign with ${algorithm}`)
}

/**
 * Signs and looks at the result, so that a key that lost its other half, a service that answers
 * with another key's signature or a rotation in between is an error here and not at every verifier.
 */
export async function signChecked(
  signer: Signer,
  message: Uint8Array,
  algorithm: SignatureAlgorithm,
  options?: CallOptions,
): Promise<Uint8Array> {
  const signature = await signer.sign(message, algorithm, options)
  if (signer.publicKey.verify(algorithm, message, signature)) return signature
  throw new S3loError('INTEGRITY', 'the signature does not verify with the public key of its key', {
    hint: 'the key may have been rotated this moment: sign again',
  })
}
