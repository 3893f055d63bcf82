import { execFile } from 'node:child_process'
import { createPrivateKey, createSign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { assertCompatible, supports } from '@s3lo/core/plugin'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveEndpoint } from '../src/endpoint.ts'
import { toFailure } from '../src/errors.ts'
import { openBackend } from '../src/index.ts'
import plugin from '../src/plugin.ts'
import { getRegistryCredential } from '../src/registry-credential.ts'
import { failureOf, textOf } from './double-backend.ts'
import { GcsDouble } from './gcs-double.ts'
import { makeAccount, type TestAccount } from './test-account.ts'

const location = { scheme: 'gs', bucket: 'bucket' }
/** No user is logged in, no machine is asked, and the double is vouched for. */
const LOGGED_OUT = {
  HOME: '/nonexistent',
  METADATA_SERVER_DETECTION: 'none',
  S3LO_TRUST_ENDPOINT: '1',
}

let folder: string
let double: GcsDouble
let account: TestAccount
let keyFile: string
let skewMs = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-gcs-test-'))
  const accounts = new Map()
  double = await GcsDouble.start({
    accounts,
    tokens: new Map([['granted', 'write']]),
    now: () => Date.now() + skewMs,
  })
  double.makeBucket('bucket')
  account = makeAccount(`${double.url}/token`)
  accounts.set(account.email, account.publicKey)
  keyFile = join(folder, 'key.json')
  await writeFile(keyFile, JSON.stringify(account.file))
})
afterAll(async () => {
  await double.close()
  await rm(folder, { recursive: true, force: true })
})

describe('the endpoint', () => {
  it('is Google, or the one given, or the emulator of the environment', () => {
    const env = { STORAGE_EMULATOR_HOST: 'localhost:4443' }
    expect([
      resolveEndpoint({ env: {} }),
      resolveEndpoint({ env }),
      resolveEndpoint({ env: { STORAGE_EMULATOR_HOST: 'https://emulator.example:1/' } }),
      resolveEndpoint({ env, endpoint: 'https://storage-psc.p.googleapis.com' }),
      resolveEndpoint({ env, endpoint: 'http://127.0.0.1:9000/' }),
      resolveEndpoint({ env: { STORAGE_EMULATOR_HOST: '' } }).origin,
    ]).toEqual([
      {
        origin: 'https://storage.googleapis.com',
        isGoogle: true,
        isAnonymous: false,
        universe: 'googleapis.com',
      },
      {
        origin: 'http://localhost:4443',
        isGoogle: false,
        isAnonymous: true,
        universe: 'googleapis.com',
      },
      {
        origin: 'https://emulator.example:1',
        isGoogle: false,
        isAnonymous: true,
        universe: 'googleapis.com',
      },
      {
        origin: 'https://storage-psc.p.googleapis.com',
        isGoogle: true,
        isAnonymous: false,
        universe: 'googleapis.com',
      },
      {
        origin: 'http://127.0.0.1:9000',
        isGoogle: false,
        isAnonymous: true,
        universe: 'googleapis.com',
      },
      'https://storage.googleapis.com',
    ])
  })

  it('is refused when it is no origin', () => {
    for (const endpoint of [
      'ftp://x',
      'https://x/path',
      'https://x/?X-Goog-Signature=1',
      '::',
      ' ',
    ]) {
      const error = expect.objectContaining({
        code: 'USAGE',
        message: expect.not.stringMatching(/Signature/) as unknown,
      })
      expect(() => resolveEndpoint({ env: {}, endpoint }), endpoint).toThrow(error)
    }
  })
})

describe('the credentials', () => {
  it('of a service account get a token, and sign', async () => {
    const backend = await openBackend(location, {
      env: LOGGED_OUT,
      endpoint: double.url,
      credentials: account.file,
    })
    expect(backend.guarantees).toEqual({ createOnly: true, compareAndSwap: true, deadlines: true })
    double.spoil()
    await backend.put('key', Buffer.from('x'))
    expect(await textOf(backend, 'key')).toBe('x')
    // One token is enough for all requests.
    expect(double.seen.filter((request) => request === 'POST /token')).toHaveLength(1)
    expect(double.requests.at(-1)?.headers.authorization).toBe('Bearer granted')
    await backend.close()
  })

  it('of another service account are UNAUTHORIZED, and nothing of them is told', async () => {
    const credentials = { ...makeAccount(`${double.url}/token`).file }
    const backend = await openBackend(location, {
      env: LOGGED_OUT,
      endpoint: double.url,
      credentials,
    })
    const error = await failureOf(backend.head('key'))
    expect([error.code, error.hint]).toEqual(['UNAUTHORIZED', expect.stringMatching(/gcloud auth/)])
    expect(JSON.stringify(error)).not.toMatch(/PRIVATE|assertion/)
  })

  it('are not to blame when the clock is wrong', async () => {
    skewMs = 7_200_000
    try {
      const options = { env: LOGGED_OUT, endpoint: double.url, credentials: account.file }
      const { code, hint } = await failureOf((await openBackend(location, options)).head('key'))
      expect([code, hint]).toEqual(['UNAUTHORIZED', expect.stringMatching(/120 minutes off/)])
    } finally {
      skewMs = 0
    }
  })

  it('may be a client of google-auth-library', async () => {
    const credentials = {
      getRequestHeaders: async () => new Headers({ authorization: 'Bearer granted' }),
    }
    const backend = await openBackend(location, {
      env: LOGGED_OUT,
      endpoint: double.url,
      credentials,
    })
    await backend.put('key', Buffer.from('x'))
    expect([backend.guarantees.deadlines, supports(backend, 'presignGet')]).toEqual([false, false])
  })

  it('are found in the file that is named, and sign where they are not sent', async () => {
    const env = { ...LOGGED_OUT, GOOGLE_APPLICATION_CREDENTIALS: keyFile }
    const backend = await openBackend(location, { env, endpoint: double.url })
    expect(backend.guarantees.deadlines).toBe(true)
    double.spoil()
    await failureOf(backend.head('key'))
    // An emulator would read a token that is sent in the clear.
    expect(double.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  it('are found where gcloud keeps them', async () => {
    const home = join(folder, 'home')
    await mkdir(join(home, '.config', 'gcloud'), { recursive: true })
    const path = join(home, '.config', 'gcloud', 'application_default_credentials.json')
    await writeFile(path, JSON.stringify(account.file))
    for (const env of [{ HOME: home }, { CLOUDSDK_CONFIG: join(home, '.config', 'gcloud') }]) {
      expect((await openBackend(location, { env })).guarantees.deadlines).toBe(true)
    }
  })

  it('of a user who impersonates a service account get its token, and its signatures', async () => {
    const asked: string[] = []
    const key = createPrivateKey(account.file.private_key)
    const iam = createServer((request, response) => {
      void (async () => {
        const { payload } = JSON.parse(String(await buffer(request))) as { payload?: string }
        asked.push(`${request.headers.authorization} ${request.url?.split(':').at(-1)}`)
        const text = Buffer.from(payload ?? '', 'base64')
        const signedBlob = createSign('RSA-SHA256').update(text).sign(key, 'base64')
        const expireTime = new Date(Date.now() + 3_600_000).toISOString()
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ accessToken: 'granted', expireTime, signedBlob }))
      })()
    })
    iam.listen(0, '127.0.0.1')
    await once(iam, 'listening')
    const { port } = iam.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/v1/projects/-/serviceAccounts/${account.email}`
    const credentials = {
      type: 'impersonated_service_account',
      service_account_impersonation_url: `${url}:generateAccessToken`,
      source_credentials: account.file,
    }
    const options = { env: LOGGED_OUT, endpoint: double.url, credentials }
    const backend = await openBackend(location, options)
    await backend.put('key', Buffer.from('y'), { notAfter: new Date(Date.now() + 60_000) })
    expect(await textOf(backend, 'key')).toBe('y')
    expect(asked).toEqual(['Bearer granted signBlob', 'Bearer granted generateAccessToken'])
    iam.closeAllConnections()
    iam.close()
  })

  it('of any kind sign by the service account that S3LO_GCS_SIGNER names', async () => {
    const key = createPrivateKey(account.file.private_key)
    const urls: string[] = []
    const credentials = {
      getRequestHeaders: async () => ({ authorization: 'Bearer granted' }),
      request: async ({ url, data }: { readonly url: string; readonly data: string }) => {
        urls.push(url)
        const { payload } = JSON.parse(data) as { readonly payload: string }
        const text = Buffer.from(payload, 'base64')
        return { data: { signedBlob: createSign('RSA-SHA256').update(text).sign(key, 'base64') } }
      },
    }
    const env = { ...LOGGED_OUT, S3LO_GCS_SIGNER: account.email }
    const backend = await openBackend(location, { env, endpoint: double.url, credentials })
    await backend.put('key', Buffer.from('signed'), { notAfter: new Date(Date.now() + 60_000) })
    expect(await textOf(backend, 'key')).toBe('signed')
    expect(urls).toEqual([
      expect.stringMatching(
        /^https:\/\/iamcredentials\.googleapis\.com\/v1\/.*\/tester%40[\w.-]+:signBlob$/,
      ),
    ])
  })

  it('that are waited for do not hold up a call that is aborted', async () => {
    const credentials = { getRequestHeaders: () => new Promise<Headers>(() => {}) }
    const backend = await openBackend(location, { env: {}, endpoint: double.url, credentials })
    const controller = new AbortController()
    const reason = new Error('stop')
    const head = backend.head('key', { signal: controller.signal })
    setImmediate(() => controller.abort(reason))
    await expect(head).rejects.toBe(reason)
  })

  it('that never sign do not hold up a write with a deadline that is aborted', async () => {
    const credentials = {
      getRequestHeaders: async () => ({ authorization: 'Bearer granted' }),
      request: () => new Promise<never>(() => {}),
    }
    const env = { ...LOGGED_OUT, S3LO_GCS_SIGNER: account.email }
    const backend = await openBackend(location, { env, endpoint: double.url, credentials })
    const controller = new AbortController()
    const reason = new Error('stop')
    const notAfter = new Date(Date.now() + 60_000)
    const put = backend.put('key', Buffer.from('x'), { notAfter, signal: controller.signal })
    setImmediate(() => controller.abort(reason))
    await expect(put).rejects.toBe(reason)
  })

  it('that name a signer who is not there say so', async () => {
    const credentials = {
      getRequestHeaders: async () => ({ authorization: 'Bearer granted' }),
      request: async () => {
        throw Object.assign(new Error('not found'), { response: { status: 404 } })
      },
    }
    const env = { ...LOGGED_OUT, S3LO_GCS_SIGNER: account.email }
    const backend = await openBackend(location, { env, endpoint: double.url, credentials })
    const notAfter = new Date(Date.now() + 60_000)
    const error = await failureOf(backend.put('key', Buffer.from('x'), { notAfter }))
    expect([error.code, error.message, error.hint]).toEqual([
      'UNAUTHORIZED',
      `there is no Google service account ${account.email}`,
      expect.stringContaining('S3LO_GCS_SIGNER'),
    ])
  })

  it('that cannot be used are refused when the store is opened', async () => {
    const broken = join(folder, 'broken.json')
    await writeFile(broken, '{"private_key": "SECRET"')
    const damaged = join(folder, 'damaged.json')
    await writeFile(damaged, JSON.stringify({ ...account.file, private_key: 'SECRET' }))
    for (const path of [broken, damaged, join(folder, 'missing.json')]) {
      const env = { GOOGLE_APPLICATION_CREDENTIALS: path }
      const error = await failureOf(openBackend(location, { env }))
      expect([error.code, error.hint]).toEqual(['UNAUTHORIZED', expect.any(String)])
      expect(JSON.stringify([error.message, error])).not.toMatch(/SECRET/)
    }
    for (const credentials of ['text', 1, {}, null]) {
      const error = await failureOf(openBackend(location, { env: {}, credentials }))
      expect(error.code).toBe('USAGE')
    }
  })

  it('are not sent in the clear to another machine', async () => {
    const credentials = { getRequestHeaders: async () => new Headers() }
    const endpoint = 'http://storage.example'
    const error = await failureOf(openBackend(location, { env: {}, endpoint, credentials }))
    expect(error.code).toBe('USAGE')
  })

  it('that are missing are UNAUTHORIZED, with what to type', async () => {
    const backend = await openBackend(location, { env: LOGGED_OUT })
    const { code, hint } = await failureOf(backend.head('key'))
    expect([code, hint]).toEqual(['UNAUTHORIZED', expect.stringMatching(/gcloud auth/)])
  })
})

describe('the bucket', () => {
  it('has a name that Google allows', async () => {
    const env = { STORAGE_EMULATOR_HOST: 'http://127.0.0.1:1' }
    const open = (bucket: string) => openBackend({ scheme: 'gs', bucket }, { env })
    for (const bucket of ['abc', 'a-b_c.d', '0'.repeat(63)]) await open(bucket)
    for (const bucket of ['', 'ab', 'Abc', '-ab', 'a/b', 'a..b', '..', '0'.repeat(64)]) {
      expect((await failureOf(open(bucket))).code, bucket).toBe('INVALID_REFERENCE')
    }
  })
})

describe('the network', () => {
  const table: readonly [string, string, boolean][] = [
    ['ENOTFOUND', 'UNAVAILABLE', false],
    ['EAI_AGAIN', 'UNAVAILABLE', true],
    ['ECONNREFUSED', 'UNAVAILABLE', true],
    ['ECONNRESET', 'UNAVAILABLE', true],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'UNSUPPORTED', false],
    ['CERT_HAS_EXPIRED', 'UNSUPPORTED', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'UNSUPPORTED', false],
  ]
  it.each(table)('that fails with %s is %s', (code, meaning, retryable) => {
    const cause = Object.assign(new Error('it failed'), { code })
    const failure = toFailure(cause, 'gs://bucket/key')
    expect(failure).toMatchObject({
      retryable,
      error: { code: meaning, hint: expect.any(String), message: expect.stringMatching(/^gs:/) },
    })
  })

  it('without a listener at the port is UNAVAILABLE after some attempts', async () => {
    const closed = await GcsDouble.start()
    const endpoint = closed.url
    await closed.close()
    const delays: number[] = []
    const retry = {
      attempts: 3,
      random: () => 1,
      delay: async (ms: number) => void delays.push(ms),
    }
    const backend = await openBackend(location, { env: {}, endpoint }, { retry })
    expect([(await failureOf(backend.head('key'))).code, delays]).toEqual([
      'UNAVAILABLE',
      [250, 500],
    ])
  })

  it('waits as long as the service asks for', async () => {
    const busy = await GcsDouble.start()
    busy.makeBucket('bucket')
    busy.spoil([1, { kind: 'status', status: 429, headers: { 'retry-after': '7' } }])
    const delays: number[] = []
    const retry = { delay: async (ms: number) => void delays.push(ms) }
    const backend = await openBackend(location, { env: {}, endpoint: busy.url }, { retry })
    expect([await backend.head('key'), delays]).toEqual([undefined, [7000]])
    await busy.close()
  })
})

describe('the plugin', () => {
  it('offers gs://, and the registries of Google', async () => {
    assertCompatible(plugin)
    expect(await plugin.backends.gs.load()).toHaveProperty('openBackend')
    expect(plugin.registryCredentials[0].hosts).toEqual(['*.pkg.dev', 'gcr.io', '*.gcr.io'])
    expect(await plugin.registryCredentials[0].load()).toHaveProperty('getRegistryCredential')
  })

  it('gives a registry the token of the credentials, and says when it ends', async () => {
    const env = { ...LOGGED_OUT, GOOGLE_APPLICATION_CREDENTIALS: keyFile }
    const credential = await getRegistryCredential('europe-docker.pkg.dev', { env })
    expect(credential).toMatchObject({ username: 'oauth2accesstoken', password: 'granted' })
    const left = (credential?.expiresAt?.getTime() ?? 0) - Date.now()
    expect(left).toBeGreaterThan(3_000_000)
    expect(await getRegistryCredential('gcr.io', { env: LOGGED_OUT })).toBeUndefined()
  })

  it('calls credentials for a registry that do not work UNAUTHORIZED', async () => {
    const path = join(folder, 'stranger.json')
    await writeFile(path, JSON.stringify(makeAccount(`${double.url}/token`).file))
    const env = { GOOGLE_APPLICATION_CREDENTIALS: path }
    expect((await failureOf(getRegistryCredential('gcr.io', { env }))).code).toBe('UNAUTHORIZED')
  })

  it('loads no library before it is asked, and none for an emulator', async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { default: plugin } = await import('@s3lo/backend-gcs/plugin')
      const { openBackend } = await plugin.backends.gs.load()
      const env = { STORAGE_EMULATOR_HOST: 'http://127.0.0.1:1' }
      await openBackend({ scheme: 'gs', bucket: 'abc' }, { env })
      await openBackend({ scheme: 'gs', bucket: 'abc' }, { env: {} })
      console.log(loaded.filter((url) => /google|gaxios/.test(url.split('/backend-gcs/').at(-1))).length)`
    const flags = ['--conditions=s3lo-source', '--input-type=module', '--eval', program]
    const cwd = join(import.meta.dirname, '..')
    const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd })
    expect(stdout.trim()).toBe('0')
  })
})
