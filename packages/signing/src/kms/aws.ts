import { createPublicKey } from 'node:crypto'
import type { KMSClient, KMSClientConfig, SigningAlgorithmSpec } from '@aws-sdk/client-kms'
import { type CallOptions, type ErrorCode, S3loError } from '@s3lo/core/plugin'
import type { SignatureAlgorithm } from '../keys/algorithm.ts'
import type { KeyOptions } from '../keys/open-key.ts'
import { PublicKey } from '../keys/public-key.ts'
import type { Signer } from '../keys/signer.ts'
import { ServiceSigner } from './digest-signer.ts'
import { loadOptional } from './optional-package.ts'

/** The longest message that the service hashes itself (bytes). */
const MAX_RAW = 4096

/** AWS's names, by ours. */
const ALGORITHMS: ReadonlyMap<SignatureAlgorithm, SigningAlgorithmSpec> = new Map([
  ['ECDSA_SHA_256', 'ECDSA_SHA_256'],
  ['ECDSA_SHA_384', 'ECDSA_SHA_384'],
  ['ECDSA_SHA_512', 'ECDSA_SHA_512'],
  ['RSA_PKCS1_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_256'],
  ['RSA_PKCS1_SHA_384', 'RSASSA_PKCS1_V1_5_SHA_384'],
  ['RSA_PKCS1_SHA_512', 'RSASSA_PKCS1_V1_5_SHA_512'],
  ['RSA_PSS_SHA_256', 'RSASSA_PSS_SHA_256'],
  ['RSA_PSS_SHA_384', 'RSASSA_PSS_SHA_384'],
  ['RSA_PSS_SHA_512', 'RSASSA_PSS_SHA_512'],
])

/** What AWS's error names mean; the others are `UNAVAILABLE`. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  NotFoundException: 'NOT_FOUND',
  AccessDeniedException: 'FORBIDDEN',
  DisabledException: 'FORBIDDEN',
  KMSInvalidStateException: 'FORBIDDEN',
  InvalidKeyUsageException: 'USAGE',
  ValidationException: 'USAGE',
  InvalidArnException: 'USAGE',
  UnsupportedOperationException: 'USAGE',
  CredentialsProviderError: 'UNAUTHORIZED',
  UnrecognizedClientException: 'UNAUTHORIZED',
  InvalidSignatureException: 'UNAUTHORIZED',
  ExpiredTokenException: 'UNAUTHORIZED',
  InvalidClientTokenId: 'UNAUTHORIZED',
}

/** Opens `awskms:///KEY` or `awskms://HOST[:PORT]/KEY`: KEY is an id, `alias/NAME` or an ARN. */
export async function openAwsKey(text: string, { env, signal }: KeyOptions): Promise<Signer> {
  const { host, keyId } = splitKey(text)
  const kms = await loadOptional('@aws-sdk/client-kms', () => import('@aws-sdk/client-kms'))
  const client = new kms.KMSClient(clientConfig(host, keyId, env))
  const found = await ask(keyId, { signal }, (call) =>
    client.send(new kms.GetPublicKeyCommand({ KeyId: keyId }), call),
  )
  if (!found.PublicKey) throw new S3loError('USAGE', `awskms key ${keyId} has no public key`)
  const der = Buffer.from(found.PublicKey)
  const publicKey = new PublicKey(createPublicKey({ key: der, format: 'der', type: 'spki' }))
  const offered: readonly string[] = found.SigningAlgorithms ?? []
  const algorithms = publicKey.algorithms.filter((ours) =>
    offered.includes(ALGORITHMS.get(ours) ?? ''),
  )
  if (algorithms.length === 0) {
    throw new S3loError('USAGE', `awskms key ${keyId} does not sign`, {
      hint: 'its key usage is SIGN_VERIFY, and its spec ECC_NIST_P256 or RSA_2048, for example',
    })
  }
  // An alias may be pointed elsewhere: what signs is the key that was looked at.
  const resolved = found.KeyId ?? keyId
  return new ServiceSigner(
    publicKey,
    algorithms,
    async ({ message, digest, algorithm }, options) => {
      const isRaw = message.byteLength <= MAX_RAW
      const command = new kms.SignCommand({
        KeyId: resolved,
        Message: isRaw ? message : digest,
        MessageType: isRaw ? 'RAW' : 'DIGEST',
        SigningAlgorithm: ALGORITHMS.get(algorithm),
      })
      const { Signature } = await ask(keyId, options, (call) => client.send(command, call))
      if (Signature) return Signature
      throw new S3loError('INTEGRITY', `awskms key ${keyId} gave no signature`)
    },
  )
}

function splitKey(text: string): { readonly host: string; readonly keyId: string } {
  const [, host = '', keyId = ''] = /^([^/@]*)\/(.+)$/s.exec(text) ?? []
  const isKey = /^(?:alias\/[\w/-]+|arn:[\w-]+:kms:[\w-]+:\d+:(?:key|alias)\/[\w/-]+|[\w-]+)$/.test(
    keyId,
  )
  if (isKey && /^[\w.:[\]-]*$/.test(host)) return { host, keyId }
  throw new S3loError('USAGE', 'the awskms key is not understood', {
    hint: 'write awskms:///alias/NAME, awskms:///arn:aws:kms:… or awskms://HOST:PORT/KEY',
  })
}

function clientConfig(host: string, keyId: string, env: KeyOptions['env']): KMSClientConfig {
  const region = /^arn:[\w-]+:kms:([\w-]+):/.exec(keyId)?.[1]
  const endpoint = host ? `https://${host}` : env['AWS_ENDPOINT_URL_KMS'] || env['AWS_ENDPOINT_URL']
  const accessKeyId = env['AWS_ACCESS_KEY_ID']
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY']
  const sessionToken = env['AWS_SESSION_TOKEN']
  const named = region ?? (env['AWS_REGION'] || env['AWS_DEFAULT_REGION'])
  return {
    ...(named ? { region: named } : {}),
    ...(endpoint ? { endpoint } : {}),
    ...(env['AWS_PROFILE'] ? { profile: env['AWS_PROFILE'] } : {}),
    ...(accessKeyId && secretAccessKey
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } }
      : {}),
  }
}

async function ask<T>(
  keyId: string,
  { signal }: CallOptions = {},
  send: (options: Parameters<KMSClient['send']>[1] & object) => Promise<T>,
): Promise<T> {
  try {
    return await send(signal ? { abortSignal: signal } : {})
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    const { name, message } = error instanceof Error ? error : { name: '', message: String(error) }
    // Not the SDK's error as the cause: it holds the request with its credentials.
    throw new S3loError(CODES[name] ?? 'UNAVAILABLE', `awskms key ${keyId}: ${message || name}`)
  }
}
