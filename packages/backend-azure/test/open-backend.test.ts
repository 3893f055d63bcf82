import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isS3loError } from '@s3lo/core'
import { assertCompatible, supports } from '@s3lo/core/plugin'
import { describe, expect, it } from 'vitest'
import { resolveAccount } from '../src/account.ts'
import { parseConnectionString } from '../src/connection-string.ts'
import { openBackend } from '../src/index.ts'
import plugin from '../src/plugin.ts'

const KEY = Buffer.from('a secret key').toString('base64')

describe('the account', () => {
  it('is the one that AZURE_STORAGE_ACCOUNT names, in the public cloud', () => {
    expect(resolveAccount({ env: { AZURE_STORAGE_ACCOUNT: 'one' } }).url).toBe(
      'https://one.blob.core.windows.net',
    )
  })

  it('is the one of the connection string, with its protocol and suffix', () => {
    const AZURE_STORAGE_CONNECTION_STRING = `DefaultEndpointsProtocol=https;AccountName=two;AccountKey=${KEY};EndpointSuffix=core.chinacloudapi.cn`
    const { url, credential } = resolveAccount({ env: { AZURE_STORAGE_CONNECTION_STRING } })
    expect(url).toBe('https://two.blob.core.chinacloudapi.cn')
    expect(credential).toHaveProperty('accountName', 'two')
  })

  it('stands in the path where the endpoint is an address', () => {
    const env = { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_KEY: KEY }
    const urls = [
      'http://127.0.0.1:10000',
      'http://localhost:10000/one/',
      'https://one.example.com',
    ]
    expect(urls.map((endpoint) => resolveAccount({ env, endpoint }).url)).toEqual([
      'http://127.0.0.1:10000/one',
      'http://localhost:10000/one',
      'https://one.example.com',
    ])
  })

  it('takes a SAS token with or without its question mark, and signs nothing with it', async () => {
    const env = { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_SAS_TOKEN: '?sv=1&sig=x' }
    expect(resolveAccount({ env }).sasToken).toBe('sv=1&sig=x')
    const backend = await openBackend({ scheme: 'az', bucket: 'images' }, { env })
    expect([backend.guarantees.deadlines, supports(backend, 'presignGet')]).toEqual([false, false])
  })

  it('signs with a key: deadlines hold and URLs can be presigned', async () => {
    const env = { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_KEY: KEY }
    const backend = await openBackend({ scheme: 'az', bucket: 'images' }, { env })
    expect(backend.guarantees).toEqual({ createOnly: true, compareAndSwap: true, deadlines: true })
    expect(supports(backend, 'presignGet')).toBe(true)
  })

  it('is refused when it is missing, contradicts itself or is no account', () => {
    const AZURE_STORAGE_CONNECTION_STRING = `AccountName=two;AccountKey=${KEY}`
    const environments = [
      {},
      { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_CONNECTION_STRING },
      { AZURE_STORAGE_ACCOUNT: 'evil.example.com/' },
      { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_KEY: 'not base64!' },
      { AZURE_STORAGE_CONNECTION_STRING: 'SECRET' },
    ]
    for (const env of environments) expect(() => resolveAccount({ env })).toThrow(usage())
  })

  it('is refused when the endpoint is no URL, holds a token or would send one in the clear', () => {
    const env = { AZURE_STORAGE_ACCOUNT: 'one' }
    for (const endpoint of ['one', 'ftp://x', 'https://x/?sig=SECRET', 'http://127.0.0.1:1']) {
      expect(() => resolveAccount({ env, endpoint })).toThrow(usage())
    }
  })

  it('is the published one for development storage', () => {
    const { accountName, blobEndpoint } = parseConnectionString('UseDevelopmentStorage=true;')
    expect([accountName, blobEndpoint]).toEqual([
      'devstoreaccount1',
      'http://127.0.0.1:10000/devstoreaccount1',
    ])
  })
})

describe('an identity', () => {
  it('that never comes does not hold up a call that is aborted', async () => {
    const credentials = { getToken: (): Promise<never> => new Promise(() => {}) }
    const env = { AZURE_STORAGE_ACCOUNT: 'one' }
    const backend = await openBackend({ scheme: 'az', bucket: 'abc' }, { env, credentials })
    const controller = new AbortController()
    const reason = new Error('stop')
    const head = backend.head('key', { signal: controller.signal })
    setImmediate(() => controller.abort(reason))
    await expect(head).rejects.toBe(reason)
  })
})

describe('the container', () => {
  it('has a name that Azure allows', async () => {
    const env = { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_KEY: KEY }
    const open = (bucket: string): Promise<unknown> =>
      openBackend({ scheme: 'az', bucket }, { env })
    for (const bucket of ['abc', 'a-b-c', '$web', '0'.repeat(63)]) await open(bucket)
    for (const bucket of ['', 'ab', 'Abc', 'a--b', '-ab', 'a/b', '..', '0'.repeat(64)]) {
      const error: unknown = await open(bucket).catch((reason: unknown) => reason)
      expect(isS3loError(error, 'INVALID_REFERENCE'), bucket).toBe(true)
    }
  })
})

describe('the plugin', () => {
  it('offers az://', async () => {
    assertCompatible(plugin)
    expect(await plugin.backends.az.load()).toHaveProperty('openBackend')
  })

  it('loads no SDK before it is asked, and no identity where there is a key', async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { default: plugin } = await import('@s3lo/backend-azure/plugin')
      const early = loaded.filter((url) => url.includes('/@azure/')).length
      const { openBackend } = await plugin.backends.az.load()
      const env = { AZURE_STORAGE_ACCOUNT: 'one', AZURE_STORAGE_KEY: 'YWJj' }
      await openBackend({ scheme: 'az', bucket: 'abc' }, { env })
      await openBackend({ scheme: 'az', bucket: 'abc' }, { env: { AZURE_STORAGE_ACCOUNT: 'one' } })
      const has = (name) => loaded.some((url) => url.includes('/@azure/' + name))
      console.log(JSON.stringify([early, has('storage-blob'), has('identity')]))`
    const flags = ['--conditions=s3lo-source', '--input-type=module', '--eval', program]
    const cwd = join(import.meta.dirname, '..')
    const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd })
    expect(JSON.parse(stdout)).toEqual([0, true, false])
  })
})

function usage(): unknown {
  return expect.objectContaining({
    code: 'USAGE',
    message: expect.not.stringMatching(/SECRET/) as unknown,
  })
}
