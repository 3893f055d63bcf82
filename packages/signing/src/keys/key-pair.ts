import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { encryptPrivateKey, type KeyFileOptions } from './key-file.ts'
import { PublicKey } from './public-key.ts'

/** A key pair as two files. */
export interface KeyPair {
  /** Encrypted, as cosign reads it. */
  readonly privateKey: string
  /** `-----BEGIN PUBLIC KEY-----`. */
  readonly publicKey: string
  readonly keyId: string
}

/** Makes an ECDSA P-256 key pair, the kind that every verifier knows; the private key is encrypted. */
export async function createKeyPair(password: string, options?: KeyFileOptions): Promise<KeyPair> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'prime256v1' })
  const publicKey = new PublicKey(privateKey)
  return {
    privateKey: await encryptPrivateKey(privateKey, password, options),
    publicKey: publicKey.toPem(),
    keyId: publicKey.id,
  }
}
