import { join } from 'node:path'
import { asObject, asString, type JsonObject, readOptionalFile, S3loError } from '@s3lo/core/plugin'
import { createPublicKey } from 'node:crypto'
import { decodeBase64, encodeBase64 } from '../base64.ts'
import { hashOf, type SignatureAlgorithm } from '../keys/algorithm.ts'
import type { KeyOptions } from '../keys/open-key.ts'
import { PublicKey } from '../keys/public-key.ts'
import type { Signer } from '../keys/signer.ts'
import { ServiceSigner } from './digest-signer.ts'
import { requestJson } from './request.ts'

const SERVICE = 'vault'
/** A batch token of Vault can have some kilobytes. */
const MAX_TOKEN = 64 * 1024

/** Vault's names of the hashes in its paths. */
const HASHES = { sha256: 'sha2-256', sha384: 'sha2-384', sha512: 'sha2-512' } as const

/** DER of an Ed25519 SubjectPublicKeyInfo before its 32 bytes (RFC 8410, 4): Vault gives only those. */
const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

interface Access {
  readonly address: URL
  readonly mount: string
  readonly headers: Readonly<Record<string, string>>
}

/** Opens `hashivault://KEY`: the newest version of a key of the transit engine. */
export async function openVaultKey(key: string, options: KeyOptions): Promise<Signer> {
  if (!/^[\w.-]+$/.test(key) || key.startsWith('.')) {
    throw new S3loError('USAGE', `hashivault://${key} names no key`, {
      hint: 'write hashivault://KEY',
    })
  }
  const access = await findAccess(options)
  const { signal } = options
  const { headers } = access
  const answer = await requestJson(pathOf(access, `keys/${key}`), {
    service: SERVICE,
    headers,
    signal,
  })
  const { publicKey, version } = newestKey(asObject(answer['data'], 'vault.data'), key)
  return new ServiceSigner(publicKey, publicKey.algorithms, async (request, call) => {
    const { algorithm, message } = request
    const hash = hashOf(algorithm)
    const path = hash ? `sign/${key}/${HASHES[hash]}` : `sign/${key}`
    // The message, not its hash: so every kind of key is asked in the same way.
    const body = {
      input: encodeBase64(message),
      key_version: version,
      ...paddingOf(algorithm),
    }
    const given = { service: SERVICE, method: 'POST', headers, body, ...call } as const
    return signatureOf(await requestJson(pathOf(access, path), given))
  })
}

function paddingOf(algorithm: SignatureAlgorithm): { readonly signature_algorithm?: string } {
  if (algorithm.startsWith('RSA_PKCS1_')) return { signature_algorithm: 'pkcs1v15' }
  return algorithm.startsWith('RSA_PSS_') ? { signature_algorithm: 'pss' } : {}
}

/** `vault:v1:<base64>`. */
function signatureOf(answer: JsonObject): Uint8Array {
  const data = asObject(answer['data'], 'vault.data')
  const text = asString(data['signature'], 'vault.data.signature')
  const signature = /^vault:v\d+:(.+)$/.exec(text)?.[1]
  const bytes = signature === undefined ? undefined : decodeBase64(signature)
  if (bytes) return bytes
  throw new S3loError('INTEGRITY', 'vault answered with no signature')
}

function newestKey(
  data: JsonObject,
  key: string,
): { readonly publicKey: PublicKey; readonly version: number } {
  const version = data['latest_version']
  const versions = asObject(data['keys'], 'vault.data.keys')
  const newest = typeof version === 'number' ? versions[String(version)] : undefined
  if (typeof version !== 'number' || typeof newest !== 'object') {
    throw new S3loError('USAGE', `hashivault://${key} is no key that signs`, {
      hint: 'its type is ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519 or rsa-…',
    })
  }
  const text = asString(asObject(newest, 'vault.data.keys')['public_key'], 'vault: public_key')
  return { publicKey: asPublicKey(text, key), version }
}

function asPublicKey(text: string, key: string): PublicKey {
  const raw = text.startsWith('-----') ? undefined : decodeBase64(text)
  if (!raw) return PublicKey.parse(text, `hashivault://${key}`)
  const der = Buffer.concat([ED25519_PREFIX, raw])
  return new PublicKey(createPublicKey({ key: der, format: 'der', type: 'spki' }))
}

function pathOf({ address, mount }: Access, path: string): URL {
  const base = address.href.endsWith('/') ? address : new URL(`${address.href}/`)
  return new URL(`v1/${mount}/${path}`, base)
}

async function findAccess({ env, signal }: KeyOptions): Promise<Access> {
  const address = URL.parse(env['VAULT_ADDR'] ?? '')
  if (!address || !/^https?:$/.test(address.protocol)) {
    throw new S3loError('USAGE', 'VAULT_ADDR does not say where Vault is', {
      hint: 'for example VAULT_ADDR=https://vault.example.com:8200',
    })
  }
  const token = env['VAULT_TOKEN'] || (await storedToken(env['HOME'], signal))
  if (!token) {
    throw new S3loError('UNAUTHORIZED', 'there is no token for Vault', {
      hint: 'set VAULT_TOKEN, or log in: vault login',
    })
  }
  const namespace = env['VAULT_NAMESPACE']
  return {
    address,
    mount: (env['TRANSIT_SECRET_ENGINE_PATH'] || 'transit').replaceAll(/^\/+|\/+$/g, ''),
    headers: {
      'x-vault-token': token,
      'x-vault-request': 'true',
      ...(namespace ? { 'x-vault-namespace': namespace } : {}),
    },
  }
}

/** Where `vault login` leaves it. */
async function storedToken(
  home: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (!home) return undefined
  const content = await readOptionalFile(join(home, '.vault-token'), MAX_TOKEN, { signal })
  return content?.toString('utf8').trim()
}
