import { createHash } from 'node:crypto'
import type { CallOptions } from '@s3lo/core/plugin'
import { hashOf, type SignatureAlgorithm } from '../keys/algorithm.ts'
import type { PublicKey } from '../keys/public-key.ts'
import { assertAlgorithm, type Signer } from '../keys/signer.ts'

/** What a key service is asked to sign: the digest, or the message where the algorithm hashes by itself. */
export interface SignRequest {
  readonly message: Uint8Array
  readonly digest: Uint8Array
  readonly algorithm: SignatureAlgorithm
}

/** A key that never leaves its service. */
export class ServiceSigner implements Signer {
  readonly publicKey: PublicKey
  readonly algorithms: readonly SignatureAlgorithm[]
  readonly #request: (request: SignRequest, options?: CallOptions) => Promise<Uint8Array>

  constructor(
    publicKey: PublicKey,
    algorithms: readonly SignatureAlgorithm[],
    request: (request: SignRequest, options?: CallOptions) => Promise<Uint8Array>,
  ) {
    this.publicKey = publicKey
    this.algorithms = algorithms
    this.#request = request
  }

  async sign(
    message: Uint8Array,
    algorithm: SignatureAlgorithm,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    assertAlgorithm(this, algorithm)
    const hash = hashOf(algorithm)
    const digest = hash ? createHash(hash).update(message).digest() : message
    return this.#request({ message, digest, algorithm }, options)
  }
}
