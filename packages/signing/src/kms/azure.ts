import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { asObject, asString, type JsonObject, S3loError } from '@s3lo/core/plugin'
import { hashOf, type SignatureAlgorithm } from '../keys/algorithm.ts'
import { ecdsaToDer } from '../keys/ecdsa-der.ts'
import type { KeyOptions } from '../keys/open-key.ts'
import { PublicKey } from '../keys/public-key.ts'
import type { Signer } from '../keys/signer.ts'
import { ServiceSigner } from './digest-signer.ts'
import { loadOptional } from './optional-package.ts'
import { requestJson } from './request.ts'

const SERVICE = 'azure key vault'
const API_VERSION = '7.4'

/** The clouds whose vaults are sent a token, and no other host. */
const CLOUDS = ['azure.net', 'azure.cn', 'usgovcloudapi.net'] as const

/** Azure's names of algorithms (RFC 7518, 3.1), by ours. */
const ALGORITHMS: Readonly<Partial<Record<SignatureAlgorithm, string>>> = {
  ECDSA_SHA_256: 'ES256',
  ECDSA_SHA_384: 'ES384',
  ECDSA_SHA_512: 'ES512',
  RSA_PKCS1_SHA_256: 'RS256',
  RSA_PKCS1_SHA_384: 'RS384',
  RSA_PKCS1_SHA_512: 'RS512',
  RSA_PSS_SHA_256: 'PS256',
  RSA_PSS_SHA_384: 'PS384',
  RSA_PSS_SHA_512: 'PS512',
}

/** Where the vault is and how its token is got; tests give their own. */
export interface AzureAccess {
  readonly endpoint: string
  readonly token: () => Promise<string>
}

/** Opens `azurekms://VAULT.vault.azure.net/KEY[/VERSION]`; without a version, the current one. */
export async function openAzureKey(
  text: string,
  { signal }: KeyOptions,
  access: (host: string, cloud: string) => AzureAccess = accessOf,
): Promise<Signer> {
  const [, host = '', cloud = '', key = ''] = KEY.exec(text) ?? []
  if (!key) {
    throw new S3loError('USAGE', 'the azurekms key is not understood', {
      hint: 'write azurekms://VAULT.vault.azure.net/KEY',
    })
  }
  const { endpoint, token } = access(host, cloud)
  const headers = async (): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await token()}`,
  })
  const answer = await requestJson(urlOf(endpoint, `keys/${key}`), {
    service: SERVICE,
    headers: await headers(),
    signal,
  })
  const jwk = asObject(answer['key'], `${SERVICE}.key`)
  const publicKey = asPublicKey(jwk)
  const path = pathOf(jwk, key)
  const algorithms = publicKey.algorithms.filter((algorithm) => isOffered(publicKey, algorithm))
  return new ServiceSigner(publicKey, algorithms, async ({ algorithm, digest }, call) => {
    const body = { alg: ALGORITHMS[algorithm], value: Buffer.from(digest).toString('base64url') }
    const given = {
      service: SERVICE,
      method: 'POST',
      headers: await headers(),
      body,
      ...call,
    } as const
    const { value } = await requestJson(urlOf(endpoint, `${path}/sign`), given)
    const signature = Buffer.from(asString(value, `${SERVICE}.value`), 'base64url')
    return algorithm.startsWith('ECDSA_') ? ecdsaToDer(signature) : signature
  })
}

const KEY = new RegExp(
  `^([\\w-]+\\.(?:vault|managedhsm)\\.(${CLOUDS.join('|').replaceAll('.', '\\.')}))/([\\w-]+(?:/[0-9a-f]+)?)$`,
)

/** An Azure key signs with the hash of its curve and no other. */
function isOffered({ kind }: PublicKey, algorithm: SignatureAlgorithm): boolean {
  if (kind === 'ecdsa-p384') return hashOf(algorithm) === 'sha384'
  if (kind === 'ecdsa-p521') return hashOf(algorithm) === 'sha512'
  return algorithm in ALGORITHMS
}

/** The version that was looked at, even when a newer one appears before it signs. */
function pathOf(jwk: JsonObject, key: string): string {
  const path = /\/(keys\/[\w-]+\/[0-9a-f]+)$/.exec(asString(jwk['kid'], `${SERVICE}.key.kid`))?.[1]
  return path ?? `keys/${key}`
}

function asPublicKey(jwk: JsonObject): PublicKey {
  const kty = asString(jwk['kty'], `${SERVICE}.key.kty`).replace(/-HSM$/, '')
  const members = kty === 'EC' ? ['crv', 'x', 'y'] : ['n', 'e']
  const key: JsonWebKey = { kty }
  for (const member of members) key[member] = asString(jwk[member], `${SERVICE}.key.${member}`)
  try {
    return new PublicKey(createPublicKey({ key, format: 'jwk' }))
  } catch (cause) {
    throw new S3loError('UNSUPPORTED', `${SERVICE} gave a key that is not understood`, { cause })
  }
}

function urlOf(endpoint: string, path: string): URL {
  return new URL(`${path}?api-version=${API_VERSION}`, endpoint)
}

function accessOf(host: string, cloud: string): AzureAccess {
  const service = host.includes('.managedhsm.') ? 'managedhsm' : 'vault'
  return {
    endpoint: `https://${host}/`,
    token: () => getToken(`https://${service}.${cloud}/.default`),
  }
}

async function getToken(scope: string): Promise<string> {
  const name = '@azure/identity'
  const { DefaultAzureCredential } = await loadOptional(name, () => import('@azure/identity'))
  const found = await new DefaultAzureCredential().getToken(scope).catch(() => undefined)
  if (found) return found.token
  // Not the library's error: it may hold the request with its secret.
  throw new S3loError('UNAUTHORIZED', 'there are no Azure credentials that work', {
    hint: 'log in: az login',
  })
}
