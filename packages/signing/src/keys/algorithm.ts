import { constants, type KeyObject, type SignKeyObjectInput } from 'node:crypto'

type Hash = 'SHA_256' | 'SHA_384' | 'SHA_512'

/** How a signature was made. The names are those that signature records carry. */
export type SignatureAlgorithm =
  | `ECDSA_${Hash}`
  | `RSA_PKCS1_${Hash}`
  | `RSA_PSS_${Hash}`
  | 'ED25519'

/** The kinds of keys that sign, by what may be done with them. */
export type KeyKind = 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'rsa' | 'rsa-pss' | 'ed25519'

/** The first is what a key of the kind signs with unless it is asked for another one. */
const ALGORITHMS: Readonly<Record<KeyKind, readonly SignatureAlgorithm[]>> = {
  // SHA-256 for every curve: the Go program and cosign verify nothing else with a public key.
  'ecdsa-p256': ['ECDSA_SHA_256'],
  'ecdsa-p384': ['ECDSA_SHA_256', 'ECDSA_SHA_384'],
  'ecdsa-p521': ['ECDSA_SHA_256', 'ECDSA_SHA_512'],
  rsa: [
    'RSA_PKCS1_SHA_256',
    'RSA_PKCS1_SHA_384',
    'RSA_PKCS1_SHA_512',
    'RSA_PSS_SHA_256',
    'RSA_PSS_SHA_384',
    'RSA_PSS_SHA_512',
  ],
  'rsa-pss': ['RSA_PSS_SHA_256', 'RSA_PSS_SHA_384', 'RSA_PSS_SHA_512'],
  ed25519: ['ED25519'],
}

/** What keys of a kind can sign and verify with, the default first. */
export function algorithmsOf(kind: KeyKind): readonly SignatureAlgorithm[] {
  return ALGORITHMS[kind]
}

/** The name of the hash as node:crypto has it; `undefined` where the algorithm hashes by itself. */
export function hashOf(algorithm: SignatureAlgorithm): 'sha256' | 'sha384' | 'sha512' | undefined {
  if (algorithm.endsWith('_SHA_256')) return 'sha256'
  if (algorithm.endsWith('_SHA_384')) return 'sha384'
  return algorithm.endsWith('_SHA_512') ? 'sha512' : undefined
}

/** The key with the padding that the algorithm asks for, to sign with. */
export function signingInput(algorithm: SignatureAlgorithm, key: KeyObject): SignKeyObjectInput {
  if (!algorithm.startsWith('RSA_PSS_')) return { key }
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
}

/**
 * The same to verify with, one after the other. Signers choose the length of their salt. OpenSSL 3.0
 * does not find it out for a key that is restricted to PSS, whose salt then has the length of a digest.
 */
export function verifyingInputs(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
): readonly SignKeyObjectInput[] {
  if (!algorithm.startsWith('RSA_PSS_')) return [{ key }]
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return [constants.RSA_PSS_SALTLEN_AUTO, constants.RSA_PSS_SALTLEN_DIGEST].map((saltLength) => ({
    key,
    padding,
    saltLength,
  }))
}
