import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { assertCompatible } from '@s3lo/core/plugin'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { resolveEndpoint } from '../src/endpoint.ts'
import { openBackend } from '../src/index.ts'
import plugin from '../src/plugin.ts'
import {
  ACCESS_KEY,
  facts,
  failureOf,
  resolveToLoopback,
  SECRET_KEY,
  useFakeS3,
} from './fake-s3.ts'

const KEYS = { AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET_KEY }

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

describe('the name of a bucket', () => {
  it.each(['images', 'my.images', 'My_Old-Images', 'images-s3alias', 'a1b'])(
    '%s is one',
    async (bucket) => {
      const backend = await openBackend({ scheme: 's3', bucket }, { env: KEYS })
      expect([backend.scheme, backend.bucket]).toEqual(['s3', bucket])
    },
  )

  it.each(['', 'a', '..', 'a..b', 'a/b', '-a-', 'a b', 'a?b', 'x'.repeat(256)])(
    '"%s" is none',
    async (bucket) => {
      const opening = openBackend({ scheme: 's3', bucket }, { env: KEYS })
      expect((await failureOf(opening)).code).toBe('INVALID_REFERENCE')
    },
  )

  it('is not an ARN, but the alias of the access point is', async () => {
    const bucket = 'arn:aws:s3:us-west-2:123456789012:accesspoint/images'
    const error = await failureOf(openBackend({ scheme: 's3', bucket }, { env: KEYS }))
    expect([error.code, error.hint]).toEqual([
      'UNSUPPORTED',
      "use the access point's alias, which ends in -s3alias, in place of a bucket",
    ])
  })
})

describe('the endpoint', () => {
  it('is AWS unless another is named: by an option, or by a variable', () => {
    const env = { AWS_ENDPOINT_URL_S3: 'https://two.example', AWS_ENDPOINT_URL: 'http://three' }
    expect(resolveEndpoint({ env: {} })).toEqual({ isAws: true, name: 'aws' })
    expect(resolveEndpoint({ env, endpoint: 'https://one.example/' }).url).toBe(
      'https://one.example',
    )
    expect(resolveEndpoint({ env }).url).toBe('https://two.example')
    expect(resolveEndpoint({ env: { ...env, AWS_ENDPOINT_URL_S3: '' } }).url).toBe('http://three')
  })

  it.each([
    ['https://s3.eu-west-1.amazonaws.com', true],
    ['https://bucket.vpce-1-2.s3.us-east-1.vpce.amazonaws.com', true],
    ['https://s3.cn-north-1.amazonaws.com.cn', true],
    ['https://s3.amazonaws.com.example.org', false],
    ['https://notamazonaws.com', false],
    ['https://account.r2.cloudflarestorage.com', false],
    ['http://127.0.0.1:9000', false],
  ])('%s is AWS: %s', (endpoint, isAws) => {
    expect(resolveEndpoint({ env: {}, endpoint }).isAws).toBe(isAws)
  })

  it.each([
    'minio:9000',
    'ftp://example.com',
    'https://key:secret@example.com',
    'https://example.com/?token=secret',
    'https://example.com/#secret',
  ])('%s is none, and is not repeated', (endpoint) => {
    let text = ''
    try {
      resolveEndpoint({ env: {}, endpoint })
    } catch (error) {
      expect(error).toMatchObject({ code: 'USAGE' })
      text = String(error)
    }
    expect(text).toContain('endpoint')
    expect(text).not.toContain('secret')
  })

  it('has the bucket in its path, and in the host name at AWS', async () => {
    service.script(facts(), facts())
    await service.backend().head('key')
    await service.aws().head('key')
    const asked = service.requests.map(({ headers, url }) => `${headers.host}${url}`)
    expect(asked).toEqual([
      `127.0.0.1:${service.port}/bucket/key`,
      `bucket.s3.amazonaws.com:${service.port}/key`,
    ])
  })
})

describe('credentials', () => {
  const usedKey = (): string | undefined =>
    /Credential=([^/]+)/.exec(service.requests[0]?.headers.authorization ?? '')?.[1]

  it('that are given go before those of the environment', async () => {
    service.script(facts())
    const credentials = { accessKeyId: 'GIVEN', secretAccessKey: 'x', sessionToken: 'session' }
    await service.backend({ credentials }).head('key')
    expect(usedKey()).toBe('GIVEN')
    expect(service.requests[0]?.headers['x-amz-security-token']).toBe('session')
  })

  it('may be a provider of the SDK', async () => {
    service.script(facts())
    const credentials = async (): Promise<object> => ({
      accessKeyId: 'PROVIDED',
      secretAccessKey: 'x',
    })
    await service.backend({ credentials }).head('key')
    expect(usedKey()).toBe('PROVIDED')
  })

  it.each([[7], ['AKID:secret'], [{ accessKeyId: 'only' }], [null]])(
    'of another kind are refused',
    (credentials) => {
      expect(() => service.backend({ credentials })).toThrow(
        expect.objectContaining({ code: 'USAGE' }),
      )
    },
  )

  it('come from the environment that was given, and not from that of the process', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'OFTHEPROCESS')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x')
    service.script(facts())
    await service.backend().head('key')
    expect(usedKey()).toBe(ACCESS_KEY)
  })
})

describe('opening', () => {
  it('asks the service nothing', async () => {
    service.script()
    const options = { env: KEYS, endpoint: service.url }
    const backend = await openBackend({ scheme: 's3', bucket: 'bucket' }, options)
    await backend.close()
    expect(service.requests).toEqual([])
  })

  it('stops when it is aborted', async () => {
    const reason = new Error('stop')
    const options = { env: KEYS, signal: AbortSignal.abort(reason) }
    const opening = openBackend({ scheme: 's3', bucket: 'bucket' }, options)
    await expect(opening).rejects.toBe(reason)
  })
})

describe('the plugin', () => {
  it('offers s3://', async () => {
    assertCompatible(plugin)
    expect(Object.keys(plugin.backends)).toEqual(['s3'])
    expect(await plugin.backends.s3.load()).toHaveProperty('openBackend', openBackend)
  })

  it('loads nothing of the SDK before it is asked, and no client of it then', async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { default: plugin } = await import('@s3lo/backend-s3/plugin')
      const before = loaded.filter((url) => /@(aws-sdk|smithy)\\//.test(url)).length
      await plugin.backends.s3.load()
      console.log(before, loaded.some((url) => url.includes('@aws-sdk/')))`
    const flags = ['--conditions=s3lo-source', '--input-type=module', '--eval', program]
    const cwd = join(import.meta.dirname, '..')
    const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd })
    expect(stdout.trim()).toBe('0 false')
  })
})
