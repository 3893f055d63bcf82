import { constants, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isS3loError } from '@s3lo/core'
import { afterEach, describe, expect, it } from 'vitest'
import { openPublicKey, openSigner, PublicKey, signImage, verifyImage } from '../src/index.ts'
import { openAzureKey } from '../src/kms/azure.ts'
import { openGoogleKey } from '../src/kms/google.ts'
import { DigestSigner, type Exchange, KeyService, transit } from './key-services.ts'
import { keysOfEveryKind, referenceTo, storeWithImage } from './world.ts'

const TOKEN = 'hvs.a-token-that-opens-nothing'
const message = Buffer.from('a message')
const keys = keysOfEveryKind()

let service: KeyService | undefined
afterEach(async () => {
  await service?.stop()
  service = undefined
})

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(TOKEN)
    return isS3loError(error) ? error.code : String(error)
  }
}

function pemOf(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString()
}

describe('a key in Vault', () => {
  const kinds = Object.entries(keys).filter(([name]) => name !== 'RSA-PSS')
  it.each(kinds)('of %s signs an image, and its public key verifies it', async (_, key) => {
    service = await KeyService.start(transit(key, TOKEN))
    const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN }
    const signer = await openSigner('hashivault://release', { env })
    const store = await storeWithImage()
    await signImage(store, referenceTo(), signer, { keyRef: 'hashivault://release' })
    const publicKey = await openPublicKey('hashivault://release', { env })
    expect(publicKey.toPem()).toBe(pemOf(key))
    expect(await verifyImage(store, referenceTo(), publicKey)).toMatchObject({ verified: true })
  })

  it('is asked with the namespace and at the path that the environment says', async () => {
    const asked: Exchange[] = []
    service = await KeyService.start((exchange) => {
      asked.push(exchange)
      return { status: 404, body: {} }
    })
    const env = {
      VAULT_ADDR: `${service.url}/behind/`,
      VAULT_TOKEN: TOKEN,
      VAULT_NAMESPACE: 'team',
      TRANSIT_SECRET_ENGINE_PATH: '/keys/of/team/',
    }
    expect(await codeOf(openSigner('hashivault://release', { env }))).toBe('NOT_FOUND')
    expect(asked[0]).toMatchObject({
      path: '/behind/v1/keys/of/team/keys/release',
      headers: { 'x-vault-token': TOKEN, 'x-vault-namespace': 'team' },
    })
  })

  it('takes the token of `vault login`', async () => {
    const home = await mkdtemp(join(tmpdir(), 's3lo-home-'))
    try {
      service = await KeyService.start(transit(keys['ECDSA P-256']!, TOKEN))
      const env = { VAULT_ADDR: service.url, HOME: home }
      expect(await codeOf(openSigner('hashivault://release', { env }))).toBe('UNAUTHORIZED')
      await writeFile(join(home, '.vault-token'), `${TOKEN}\n`)
      expect(await codeOf(openSigner('hashivault://release', { env }))).toBe('none')
    } finally {
      await rm(home, { recursive: true })
    }
  })

  it.each([
    ['a wrong token', { VAULT_TOKEN: 'other' }, 'FORBIDDEN'],
    ['no address', { VAULT_ADDR: '' }, 'USAGE'],
    ['a server that is not there', { VAULT_ADDR: 'http://127.0.0.1:1' }, 'UNAVAILABLE'],
  ])('cannot be used with %s', async (_, changes, code) => {
    service = await KeyService.start(transit(keys['ECDSA P-256']!, TOKEN))
    const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN, ...changes }
    expect(await codeOf(openSigner('hashivault://release', { env }))).toBe(code)
  })

  it.each([
    ['nothing', {}],
    ['no version', { data: { keys: {} } }],
    [
      'a symmetric key',
      { data: { type: 'aes256-gcm96', latest_version: 1, keys: { 1: 1767225600 } } },
    ],
    ['a key that is none', { data: { latest_version: 1, keys: { 1: { public_key: 'x' } } } }],
  ])('is an error, no crash, when the answer has %s', async (_, body) => {
    service = await KeyService.start(() => ({ body }))
    const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN }
    expect(await codeOf(openSigner('hashivault://release', { env }))).toMatch(/^(USAGE|INTEGRITY)$/)
  })

  it('that signs with another key than it shows is found out before anything is stored', async () => {
    const [shown, signing] = [keys['ECDSA P-256']!, keys['ECDSA P-384']!]
    const [show, use] = [transit(shown, TOKEN), transit(signing, TOKEN)]
    service = await KeyService.start((exchange) =>
      exchange.path.includes('/sign/') ? use(exchange) : show(exchange),
    )
    const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN }
    const signer = await openSigner('hashivault://release', { env })
    const store = await storeWithImage()
    expect(await codeOf(signImage(store, referenceTo(), signer))).toBe('INTEGRITY')
    expect(await Array.fromAsync(store.backend.list('manifests/org/app/v1.0/signatures/'))).toEqual(
      [],
    )
  })

  it('is not asked again at another address, where the token would go', async () => {
    const other = await KeyService.start(() => ({ body: {} }))
    service = await KeyService.start(() => ({ status: 307, body: {} }))
    const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN }
    expect(await codeOf(openSigner('hashivault://release', { env }))).toBe('USAGE')
    expect(other.exchanges).toEqual([])
    await other.stop()
  })
})

describe('a key in AWS KMS', () => {
  const env = (url: string): Record<string, string> => ({
    AWS_ENDPOINT_URL_KMS: url,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: TOKEN,
  })
  const ARN = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'

  it.each([
    ['ECDSA P-256', 'ECDSA_SHA_256', 'sha256'],
    ['ECDSA P-384', 'ECDSA_SHA_384', 'sha384'],
    ['RSA', 'RSASSA_PKCS1_V1_5_SHA_256', 'sha256'],
    ['RSA', 'RSASSA_PSS_SHA_512', 'sha512'],
  ])('of %s signs with %s', async (kind, theirs, hash) => {
    const key = keys[kind]!
    const isPss = theirs.includes('PSS')
    const padding = isPss
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : {}
    service = await KeyService.start(({ headers, body }) => {
      if (headers['x-amz-target'] === 'TrentService.GetPublicKey') {
        const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
        return {
          body: {
            KeyId: ARN,
            PublicKey: spki.toString('base64'),
            KeyUsage: 'SIGN_VERIFY',
            SigningAlgorithms: [theirs],
          },
        }
      }
      const signed = Buffer.from(String(body['Message']), 'base64')
      const signature = sign(hash, signed, { key, ...padding }).toString('base64')
      return { body: { KeyId: ARN, Signature: signature, SigningAlgorithm: theirs } }
    })
    const signer = await openSigner('awskms:///alias/release', { env: env(service.url) })
    const store = await storeWithImage()
    await signImage(store, referenceTo(), signer)
    const verified = await verifyImage(store, referenceTo(), new PublicKey(key))
    expect(verified).toMatchObject({ verified: true })
    expect(service.exchanges.map(({ body }) => body)).toMatchObject([
      { KeyId: 'alias/release' },
      { KeyId: ARN, MessageType: 'RAW', SigningAlgorithm: theirs },
      { KeyId: ARN },
      { KeyId: ARN },
    ])
  })

  it.each([
    ['NotFoundException', 'NOT_FOUND'],
    ['AccessDeniedException', 'FORBIDDEN'],
    ['DisabledException', 'FORBIDDEN'],
    ['UnrecognizedClientException', 'UNAUTHORIZED'],
    ['ValidationException', 'USAGE'],
  ])('that answers %s is %s', async (name, code) => {
    service = await KeyService.start(() => ({ status: 400, body: { __type: name, message: 'no' } }))
    expect(await codeOf(openSigner('awskms:///alias/release', { env: env(service.url) }))).toBe(
      code,
    )
  })
})

describe('a key in Google Cloud KMS', () => {
  const NAME = 'projects/p/locations/global/keyRings/r/cryptoKeys/k'

  it('signs with the newest version that is enabled', async () => {
    const key = keys['ECDSA P-256']!
    const signer = new DigestSigner(key)
    signer.expect(message, 'sha256')
    service = await KeyService.start(({ method, path, headers, body }) => {
      if (headers.authorization !== `Bearer ${TOKEN}`) return { status: 401, body: {} }
      if (path.startsWith(`/v1/${NAME}/cryptoKeyVersions?`)) {
        const versions = [3, 12, 9].map((n) => ({ name: `${NAME}/cryptoKeyVersions/${n}` }))
        return { body: { cryptoKeyVersions: versions } }
      }
      if (path === `/v1/${NAME}/cryptoKeyVersions/12/publicKey`) {
        return { body: { pem: pemOf(key), algorithm: 'EC_SIGN_P256_SHA256' } }
      }
      if (method !== 'POST' || path !== `/v1/${NAME}/cryptoKeyVersions/12:asymmetricSign`) {
        return { status: 404, body: {} }
      }
      const { sha256 } = body['digest'] as Record<string, string>
      const signature = signer.sign(Buffer.from(sha256!, 'base64'), 'sha256')
      return { body: { signature: signature.toString('base64') } }
    })
    const access = { endpoint: service.url, token: () => Promise.resolve(TOKEN) }
    const opened = await openGoogleKey(NAME, { env: {} }, access)
    const signature = await opened.sign(message, 'ECDSA_SHA_256')
    expect(new PublicKey(key).verify('ECDSA_SHA_256', message, signature)).toBe(true)
    expect(await codeOf(opened.sign(message, 'ED25519'))).toBe('UNSUPPORTED')
    const denied = { ...access, token: () => Promise.resolve('another') }
    expect(await codeOf(openGoogleKey(NAME, { env: {} }, denied))).toBe('UNAUTHORIZED')
  })

  it('that has no enabled version, or is of a kind that does not sign, is an error', async () => {
    service = await KeyService.start(({ path }) => ({
      body: path.endsWith('publicKey')
        ? { pem: pemOf(keys['RSA']!), algorithm: 'RSA_DECRYPT_OAEP_2048_SHA256' }
        : {},
    }))
    const access = { endpoint: service.url, token: () => Promise.resolve(TOKEN) }
    expect(await codeOf(openGoogleKey(NAME, { env: {} }, access))).toBe('NOT_FOUND')
    const version = `${NAME}/versions/1`
    expect(await codeOf(openGoogleKey(version, { env: {} }, access))).toBe('UNSUPPORTED')
  })
})

describe('a key in Azure Key Vault', () => {
  it.each([
    ['ECDSA P-256', 'EC-HSM', 'ECDSA_SHA_256', 'ES256', 'sha256'],
    ['ECDSA P-384', 'EC', 'ECDSA_SHA_384', 'ES384', 'sha384'],
    ['ECDSA P-521', 'EC', 'ECDSA_SHA_512', 'ES512', 'sha512'],
    ['RSA', 'RSA', 'RSA_PKCS1_SHA_256', 'RS256', 'sha256'],
  ] as const)('of %s (%s) signs with %s', async (kind, kty, ours, alg, hash) => {
    const key = keys[kind]!
    const signer = new DigestSigner(key)
    signer.expect(message, hash)
    service = await KeyService.start(({ method, path, body }) => {
      if (path === '/keys/release?api-version=7.4') {
        const jwk = createPublicKey(key).export({ format: 'jwk' })
        const kid = 'https://v.vault.azure.net/keys/release/0123456789abcdef'
        return { body: { key: { ...jwk, kid, kty } } }
      }
      if (method !== 'POST' || path !== '/keys/release/0123456789abcdef/sign?api-version=7.4') {
        return { status: 404, body: {} }
      }
      expect(body['alg']).toBe(alg)
      const digest = Buffer.from(String(body['value']), 'base64url')
      const raw = signer.sign(digest, hash, { dsaEncoding: 'ieee-p1363' })
      return { body: { value: raw.toString('base64url') } }
    })
    const access = { endpoint: service.url, token: () => Promise.resolve(TOKEN) }
    const opened = await openAzureKey('v.vault.azure.net/release', { env: {} }, () => access)
    for (let i = 0; i < 20; i++) {
      const signature = await opened.sign(message, ours)
      expect(new PublicKey(key).verify(ours, message, signature)).toBe(true)
    }
  })

  it('is asked with a token at the hosts of Azure alone', async () => {
    for (const text of [
      'v.vault.azure.net.example.com/k',
      'example.com/v.vault.azure.net/k',
      'v.vault.azure.net:8443/k',
      'user@v.vault.azure.net/k',
      'v.vault.azure.net/k/../../x',
    ]) {
      expect(await codeOf(openAzureKey(text, { env: {} }))).toBe('USAGE')
    }
  })
})

it('a service that answers with an endless text is an error', async () => {
  service = await KeyService.start(() => ({ body: 'x'.repeat(2 * 1024 * 1024) }))
  const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN }
  expect(await codeOf(openSigner('hashivault://release', { env }))).toBe('UNAVAILABLE')
})

it('a request to a service ends with its signal', async () => {
  service = await KeyService.start(() => ({ body: {} }))
  const signal = AbortSignal.abort(new Error('enough'))
  const env = { VAULT_ADDR: service.url, VAULT_TOKEN: TOKEN }
  await expect(openSigner('hashivault://release', { env, signal })).rejects.toThrow('enough')
})
