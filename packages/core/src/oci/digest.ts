import type { Hash } from 'node:crypto'
import { S3loError } from '../errors.ts'

/** The registered algorithms (OCI image spec v1.1.1, "digests"), each with the length of its hex form. */
const HEX_LENGTH = { sha256: 64, sha512: 128 } as const

export type DigestAlgorithm = keyof typeof HEX_LENGTH

export interface ParsedDigest {
  readonly algorithm: DigestAlgorithm
  /** Lower-case. */
  readonly hex: string
}

/** Loaded with the first hash: it takes a quarter of the time of a command that hashes nothing. */
function createHash(algorithm: DigestAlgorithm): Hash {
  return process.getBuiltinModule('node:crypto').createHash(algorithm)
}

function isAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(HEX_LENGTH, text)
}

/** What was parsed last: one digest passes several readers in a row. */
let last: { readonly text: string; readonly parsed: ParsedDigest } | undefined

function tryParse(text: string): ParsedDigest | undefined {
  if (text === last?.text) return last.parsed
  const colon = text.indexOf(':')
  const algorithm = text.slice(0, colon)
  const hex = text.slice(colon + 1)
  if (colon < 0 || !isAlgorithm(algorithm)) return undefined
  if (hex.length !== HEX_LENGTH[algorithm] || !HEX.test(hex)) return undefined
  const parsed = { algorithm, hex }
  last = { text, parsed }
  return parsed
}

const HEX = /^[0-9a-f]+$/

/** True for a digest that can be checked here: `sha256:` or `sha512:` and the right number of lower-case hex digits. */
export function isDigest(text: string): boolean {
  return tryParse(text) !== undefined
}

/** Below this, a shortened digest is more likely a slip of the hand. */
const MIN_SHORT_HEX = 4

/** True for the beginning of a digest: its algorithm and 4 or more of its hex digits, but not all. */
export function isShortDigest(text: string): boolean {
  const [, algorithm = '', hex = ''] = /^([a-z0-9]+):([0-9a-f]+)$/.exec(text) ?? []
  return isAlgorithm(algorithm) && hex.length >= MIN_SHORT_HEX && hex.length < HEX_LENGTH[algorithm]
}

/** The algorithm of a digest that may be shortened. Throws `INTEGRITY` for one that is not known. */
export function algorithmOf(digest: string): DigestAlgorithm {
  const algorithm = digest.slice(0, digest.indexOf(':'))
  return isAlgorithm(algorithm) ? algorithm : parseDigest(digest).algorithm
}

/** Splits a digest. Throws `INTEGRITY` for anything that is not one, so that it never becomes part of a key. */
export function parseDigest(text: string): ParsedDigest {
  const parsed = tryParse(text)
  if (parsed) return parsed
  throw new S3loError('INTEGRITY', `${JSON.stringify(text.slice(0, 160))} is not a digest`, {
    hint: 'digests are sha256:<64 hex digits> or sha512:<128 hex digits>',
  })
}

/** The digest of bytes, or of a text's bytes in UTF-8. */
export function digestOf(
  content: Uint8Array | string,
  algorithm: DigestAlgorithm = 'sha256',
): string {
  return `${algorithm}:${hexDigestOf(content, algorithm)}`
}

/** The hex digits of {@link digestOf}. */
export function hexDigestOf(
  content: Uint8Array | string,
  algorithm: DigestAlgorithm = 'sha256',
): string {
  return process.getBuiltinModule('node:crypto').hash(algorithm, content, 'hex')
}

/** The sha256 of bytes, a copy of which is hashed on a thread of Node's pool. */
export async function digestInPool(bytes: Uint8Array): Promise<string> {
  const { subtle } = process.getBuiltinModule('node:crypto')
  const hash = await subtle.digest('SHA-256', bytes)
  return `sha256:${Buffer.from(hash).toString('hex')}`
}

/** A running hash whose result is a digest. */
export class Digester {
  readonly #algorithm: DigestAlgorithm
  readonly #hash: Hash

  constructor(algorithm: DigestAlgorithm = 'sha256') {
    this.#algorithm = algorithm
    this.#hash = createHash(algorithm)
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk)
  }

  /** Ends the hash: to be called once. */
  digest(): string {
    return `${this.#algorithm}:${this.#hash.digest('hex')}`
  }
}
