import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { S3loError } from '@s3lo/core'

/** The key pair of the token service. */
export interface SigningKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** Names the key in tokens. */
  readonly id: string
}

/** A key that lasts as long as the process: tokens of another replica are not accepted. */
export function makeSigningKey(): SigningKey {
  return fromPrivateKey(generateKeyPairSync('ed25519').privateKey)
}

/**
 * The Ed25519 key of a PEM file, as `openssl genpkey -algorithm ed25519` makes one. Throws
 * `INTEGRITY` for anything else, without a word of the content.
 */
export function parseSigningKey(pem: string, file: string): SigningKey {
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(pem)
  } catch {
    throw notAKey(file, 'it is no private key in PEM, or an encrypted one')
  }
  const type = privateKey.asymmetricKeyType
  if (type !== 'ed25519') throw notAKey(file, `expected an ed25519 key, got ${type ?? 'another'}`)
  return fromPrivateKey(privateKey)
}

/** The key as PEM, for the other workers of a server. */
export function formatSigningKey({ privateKey }: SigningKey): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function fromPrivateKey(privateKey: KeyObject): SigningKey {
  const publicKey = createPublicKey(privateKey)
  const der = publicKey.export({ type: 'spki', format: 'der' })
  const id = createHash('sha256').update(der).digest('base64url').slice(0, 16)
  return { privateKey, publicKey, id }
}

function notAKey(file: string, problem: string): S3loError {
  return new S3loError('INTEGRITY', `${file} cannot be the signing key: ${problem}`, {
    hint: 'make one with: openssl genpkey -algorithm ed25519 -out token.key',
  })
}
