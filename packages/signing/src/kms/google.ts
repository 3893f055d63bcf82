import { asArray, asObject, asString, optional, S3loError } from '@s3lo/core/plugin'
import { decodeBase64, encodeBase64 } from '../base64.ts'
import { hashOf, type SignatureAlgorithm } from '../keys/algorithm.ts'
import type { KeyOptions } from '../keys/open-key.ts'
import { PublicKey } from '../keys/public-key.ts'
import type { Signer } from '../keys/signer.ts'
import { ServiceSigner } from './digest-signer.ts'
import { loadOptional } from './optional-package.ts'
import { requestJson } from './request.ts'

const SERVICE = 'google cloud kms'
const ENDPOINT = 'https://cloudkms.googleapis.com/'
const SCOPE = 'https://www.googleapis.com/auth/cloudkms'

/** Ours, by Google's name of the algorithm of a key version. */
const ALGORITHMS: readonly (readonly [RegExp, SignatureAlgorithm])[] = [
  [/^EC_SIGN_P256_SHA256$/, 'ECDSA_SHA_256'],
  [/^EC_SIGN_P384_SHA384$/, 'ECDSA_SHA_384'],
  [/^EC_SIGN_ED25519$/, 'ED25519'],
  [/^RSA_SIGN_PKCS1_\d+_SHA256$/, 'RSA_PKCS1_SHA_256'],
  [/^RSA_SIGN_PKCS1_\d+_SHA512$/, 'RSA_PKCS1_SHA_512'],
  [/^RSA_SIGN_PSS_\d+_SHA256$/, 'RSA_PSS_SHA_256'],
  [/^RSA_SIGN_PSS_\d+_SHA512$/, 'RSA_PSS_SHA_512'],
]

const KEY =
  /^(projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+)(?:\/(?:cryptoKeyVersions|versions)\/(\d+))?$/

/** Where the service is and how its token is got; tests give their own. */
export interface GoogleAccess {
  readonly endpoint: string
  readonly token: () => Promise<string>
}

/** Opens `gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/V]`; without a version, the newest that is enabled. */
export async function openGoogleKey(
  text: string,
  { signal }: KeyOptions,
  access: GoogleAccess = { endpoint: ENDPOINT, token: getToken },
): Promise<Signer> {
  const [, key, version] = KEY.exec(text) ?? []
  if (key === undefined || /[?#%\s]|\.\./.test(text)) {
    throw new S3loError('USAGE', 'the gcpkms key is not understood', {
      hint: 'write gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K',
    })
  }
  const ask: Ask = async (path, body, call) =>
    requestJson(new URL(`v1/${path}`, access.endpoint), {
      service: SERVICE,
      headers: { authorization: `Bearer ${await access.token()}` },
      ...(body === undefined ? {} : { method: 'POST', body }),
      ...call,
    })
  const name = version
    ? `${key}/cryptoKeyVersions/${version}`
    : await newestVersion(key, ask, signal)
  const found = await ask(`${name}/publicKey`, undefined, { signal })
  const algorithm = algorithmOf(asString(found['algorithm'], `${SERVICE}.algorithm`))
  const publicKey = PublicKey.parse(asString(found['pem'], `${SERVICE}.pem`), `gcpkms://${name}`)
  return new ServiceSigner(publicKey, [algorithm], async ({ digest }, call) => {
    const hash = hashOf(algorithm)
    const body = hash
      ? { digest: { [hash]: encodeBase64(digest) } }
      : { data: encodeBase64(digest) }
    const answer = await ask(`${name}:asymmetricSign`, body, call)
    const signature = decodeBase64(asString(answer['signature'], `${SERVICE}.signature`))
    if (signature) return signature
    throw new S3loError('INTEGRITY', `${SERVICE} answered with no signature`)
  })
}

type Ask = (
  path: string,
  body?: unknown,
  call?: { readonly signal?: AbortSignal | undefined },
) => ReturnType<typeof requestJson>

function algorithmOf(name: string): SignatureAlgorithm {
  const ours = ALGORITHMS.find(([pattern]) => pattern.test(name))?.[1]
  if (ours) return ours
  throw new S3loError('UNSUPPORTED', `keys of ${SERVICE} with the algorithm ${name} are not used`, {
    hint: 'for example EC_SIGN_P256_SHA256',
  })
}

async function newestVersion(key: string, ask: Ask, signal?: AbortSignal): Promise<string> {
  const answer = await ask(
    `${key}/cryptoKeyVersions?filter=state%3DENABLED&orderBy=name%20desc&pageSize=1000`,
    undefined,
    { signal },
  )
  const listed = optional(answer, 'cryptoKeyVersions', SERVICE, asArray) ?? []
  const numbers = listed
    .map((version) => asString(asObject(version, SERVICE)['name'], `${SERVICE}.name`))
    .map((name) => Number(/\/(\d+)$/.exec(name)?.[1] ?? 0))
  const newest = Math.max(0, ...numbers)
  if (newest > 0) return `${key}/cryptoKeyVersions/${newest}`
  throw new S3loError('NOT_FOUND', `gcpkms://${key} has no version that is enabled`)
}

async function getToken(): Promise<string> {
  const name = 'google-auth-library'
  const { GoogleAuth } = await loadOptional(name, () => import('google-auth-library'))
  const token = await new GoogleAuth({ scopes: [SCOPE] }).getAccessToken().catch(() => undefined)
  if (token) return token
  // Not the library's error: it may hold the request with its secret.
  throw new S3loError('UNAUTHORIZED', 'there are no Google credentials that work', {
    hint: 'log in: gcloud auth application-default login',
  })
}
