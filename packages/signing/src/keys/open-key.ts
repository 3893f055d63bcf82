import type { KeyObject } from 'node:crypto'
import { type CallOptions, isS3loError, readBoundedFile, S3loError } from '@s3lo/core/plugin'
import { decryptPrivateKey, isEncryptedKey } from './key-file.ts'
import { MAX_PEM, parsePem } from './pem.ts'
import { PublicKey } from './public-key.ts'
import { LocalSigner, type Signer } from './signer.ts'

export interface KeyOptions extends CallOptions {
  /** Where passwords and the access to key services come from. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Asked for the password of a key file when `COSIGN_PASSWORD` is not set; without it, it is empty. */
  readonly password?: ((what: string) => Promise<string>) | undefined
}

/** A key service: opens the key that follows `scheme://`. */
type OpenService = (key: string, options: KeyOptions) => Promise<Signer>

/** Each is loaded when a key of it is used, and only then what it is made with. */
const SERVICES: Readonly<Record<string, () => Promise<OpenService>>> = {
  awskms: async () => (await import('../kms/aws.ts')).openAwsKey,
  azurekms: async () => (await import('../kms/azure.ts')).openAzureKey,
  gcpkms: async () => (await import('../kms/google.ts')).openGoogleKey,
  hashivault: async () => (await import('../kms/vault.ts')).openVaultKey,
}

/** A key as it is written: `cosign.key`, `env://NAME`, `awskms:///alias/name`, … */
const REFERENCE = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s

/**
 * Opens a key to sign with: a file that cosign encrypted, `env://NAME` of one, or a key of
 * `awskms://`, `azurekms://`, `gcpkms://` or `hashivault://`. Throws `USAGE`, `NOT_FOUND`,
 * `UNAUTHORIZED`, and what the service answers.
 */
export async function openSigner(keyRef: string, options: KeyOptions): Promise<Signer> {
  const found = await find(keyRef, options)
  if (found.kind === 'service') return found.signer
  return new LocalSigner(await decrypt(found, options))
}

/**
 * Opens a key to verify with: a public key or certificate (PEM), or any key that
 * {@link openSigner} opens. Throws as that does.
 */
export async function openPublicKey(keyRef: string, options: KeyOptions): Promise<PublicKey> {
  const found = await find(keyRef, options)
  if (found.kind === 'service') return found.signer.publicKey
  const { pem, what } = found
  if (isEncryptedKey(parsePem(pem, what).label)) return new PublicKey(await decrypt(found, options))
  return PublicKey.parse(pem, what)
}

interface KeyText {
  readonly kind: 'text'
  readonly pem: string
  /** For messages. */
  readonly what: string
}

interface ServiceKey {
  readonly kind: 'service'
  readonly signer: Signer
}

async function find(keyRef: string, options: KeyOptions): Promise<KeyText | ServiceKey> {
  const [, scheme, rest = ''] = REFERENCE.exec(keyRef) ?? []
  if (scheme === undefined)
    return { kind: 'text', pem: await readKeyFile(keyRef, options), what: keyRef }
  if (scheme === 'env') return { kind: 'text', pem: fromEnvironment(rest, options), what: keyRef }
  const load = Object.hasOwn(SERVICES, scheme) ? SERVICES[scheme] : undefined
  if (!load) {
    throw new S3loError('USAGE', `no keys are known with ${scheme}://`, {
      hint: `a key is a file, env://NAME, or of ${Object.keys(SERVICES).join('://, ')}://`,
    })
  }
  const open = await load()
  return { kind: 'service', signer: await open(rest, options) }
}

async function readKeyFile(path: string, { signal }: KeyOptions): Promise<string> {
  try {
    return (await readBoundedFile(path, MAX_PEM, { signal })).toString('utf8')
  } catch (cause) {
    if (isS3loError(cause, 'NOT_FOUND')) {
      throw new S3loError('NOT_FOUND', `there is no key ${path}`, {
        hint: 's3lo generate-key-pair makes cosign.key and cosign.pub',
      })
    }
    if (!isS3loError(cause, 'INTEGRITY')) throw cause
    throw new S3loError('USAGE', `${path} is too large for a key`, { cause })
  }
}

function fromEnvironment(name: string, { env }: KeyOptions): string {
  const pem = env[name]
  if (pem !== undefined) return pem
  throw new S3loError('NOT_FOUND', `there is no key in the environment variable ${name}`)
}

async function decrypt({ pem, what }: KeyText, { env, password }: KeyOptions): Promise<KeyObject> {
  const { label } = parsePem(pem, what)
  const secret = isEncryptedKey(label)
    ? (env['COSIGN_PASSWORD'] ?? (await password?.(`Password of ${what}`)) ?? '')
    : ''
  return decryptPrivateKey(pem, secret, what)
}
