import { createPrivateKey, type KeyObject, randomBytes, scrypt } from 'node:crypto'
import { asObject, asSize, asString, parseJson, S3loError, toS3loError } from '@s3lo/core/plugin'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { decodeBase64, encodeBase64 } from '../base64.ts'
import { formatPem, parsePem } from './pem.ts'

/** The labels of a private key that cosign has encrypted, the current one first. */
const LABELS: readonly string[] = ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY']

const KEY_BYTES = 32
const SALT_BYTES = 32
const NONCE_BYTES = 24

/** The work that a key file may ask for: a file from elsewhere must not be able to stop the machine. */
const MAX_N = 2 ** 20
const MAX_MEMORY = 2 ** 30

/** How hard the password is to guess; N is cosign's unless given. */
export interface KeyFileOptions {
  /** The cost of scrypt, a power of two. */
  readonly n?: number | undefined
}

interface Kdf {
  readonly n: number
  readonly r: number
  readonly p: number
  readonly salt: Uint8Array
}

interface EncryptedKey {
  readonly kdf: Kdf
  readonly nonce: Uint8Array
  readonly ciphertext: Uint8Array
}

/** True for the text of an encrypted private key, of cosign or of {@link encryptPrivateKey}. */
export function isEncryptedKey(label: string): boolean {
  return LABELS.includes(label)
}

/** A private key as cosign writes it: PKCS#8 in a secretbox, its key derived by scrypt. */
export async function encryptPrivateKey(
  key: KeyObject,
  password: string,
  { n = 65_536 }: KeyFileOptions = {},
): Promise<string> {
  const kdf: Kdf = { n, r: 8, p: 1, salt: randomBytes(SALT_BYTES) }
  const nonce = randomBytes(NONCE_BYTES)
  const box = xsalsa20poly1305(await deriveKey(password, kdf), nonce)
  const ciphertext = box.encrypt(key.export({ type: 'pkcs8', format: 'der' }))
  const file = {
    kdf: { name: 'scrypt', params: { N: n, r: 8, p: 1 }, salt: encodeBase64(kdf.salt) },
    cipher: { name: 'nacl/secretbox', nonce: encodeBase64(nonce) },
    ciphertext: encodeBase64(ciphertext),
  }
  return formatPem(LABELS[0] ?? '', Buffer.from(JSON.stringify(file)))
}

/** Opens an encrypted private key. Throws `UNAUTHORIZED` for a wrong password, `USAGE` for no such key. */
export async function decryptPrivateKey(
  pem: string,
  password: string,
  what: string,
): Promise<KeyObject> {
  const { kdf, nonce, ciphertext } = parseKeyFile(pem, what)
  const box = xsalsa20poly1305(await deriveKey(password, kdf), nonce)
  const der = open(box, ciphertext, what)
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch (error) {
    throw toS3loError(error, 'USAGE', `${what} holds no private key that can be read`)
  } finally {
    der.fill(0)
  }
}

function open(box: ReturnType<typeof xsalsa20poly1305>, sealed: Uint8Array, what: string): Buffer {
  try {
    return Buffer.from(box.decrypt(sealed))
  } catch {
    // Only this: the cipher cannot tell a wrong password from a changed file.
    throw new S3loError('UNAUTHORIZED', `${what} cannot be decrypted with this password`, {
      hint: 'the password is read from COSIGN_PASSWORD, or asked for on a terminal',
    })
  }
}

function parseKeyFile(pem: string, what: string): EncryptedKey {
  const { label, der } = parsePem(pem, what)
  if (!isEncryptedKey(label)) {
    throw new S3loError(
      'USAGE',
      `${what} is no encrypted private key but a ${label.toLowerCase()}`,
      {
        hint: 'private keys are encrypted: cosign import-key-pair --key FILE makes such a file of one that is not',
      },
    )
  }
  try {
    return asEncryptedKey(parseJson(der, what), what)
  } catch (cause) {
    throw toUsage(cause, what)
  }
}

/** What is wrong with a key that the user names is asked wrongly, not an error of stored content. */
function toUsage(cause: unknown, what: string): S3loError {
  const { code, message } = toS3loError(cause, 'USAGE', `${what} cannot be read`)
  return new S3loError(code === 'INTEGRITY' ? 'USAGE' : code, message, { cause })
}

function asEncryptedKey(value: unknown, what: string): EncryptedKey {
  const file = asObject(value, what)
  const kdf = asObject(file['kdf'], `${what}: kdf`)
  const params = asObject(kdf['params'], `${what}: kdf.params`)
  const cipher = asObject(file['cipher'], `${what}: cipher`)
  if (kdf['name'] !== 'scrypt' || cipher['name'] !== 'nacl/secretbox') {
    throw new S3loError('UNSUPPORTED', `${what} is not encrypted with scrypt and nacl/secretbox`)
  }
  return {
    kdf: {
      n: asSize(params['N'], `${what}: N`),
      r: asSize(params['r'], `${what}: r`),
      p: asSize(params['p'], `${what}: p`),
      salt: asBytes(kdf['salt'], `${what}: salt`),
    },
    nonce: asBytes(cipher['nonce'], `${what}: nonce`, NONCE_BYTES),
    ciphertext: asBytes(file['ciphertext'], `${what}: ciphertext`),
  }
}

function asBytes(value: unknown, what: string, length?: number): Uint8Array {
  const bytes = decodeBase64(asString(value, what))
  if (bytes && (length === undefined || bytes.byteLength === length)) return bytes
  throw new S3loError('USAGE', `${what} is not base64${length ? ` of ${length} bytes` : ''}`)
}

/** RFC 7914. Throws `UNSUPPORTED` for parameters that would take too long or too much memory. */
function deriveKey(password: string, { n, r, p, salt }: Kdf): Promise<Buffer> {
  const isPowerOfTwo = n > 1 && Number.isInteger(Math.log2(n))
  const isBearable = n <= MAX_N && r >= 1 && p >= 1 && p <= 16 && 128 * n * r <= MAX_MEMORY
  if (!isPowerOfTwo || !isBearable) {
    throw new S3loError('UNSUPPORTED', `a key with scrypt N=${n}, r=${r}, p=${p} is not opened`, {
      hint: `N is a power of two up to ${MAX_N}; cosign writes N=65536, r=8, p=1`,
    })
  }
  const maxmem = 128 * n * r + 128 * r * p + 2 ** 20
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, { N: n, r, p, maxmem }, (error, key) => {
      if (error) reject(error)
      else resolve(key)
    })
  })
}
