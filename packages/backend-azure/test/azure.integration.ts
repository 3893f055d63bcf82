import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { describeBackend, describeFaults } from '@s3lo/backend-conformance'
import { type FaultKind, FaultProxy } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveAccount } from '../src/account.ts'
import { type AzureBackend, azureBackend, openBackend } from '../src/index.ts'
import { type AzureServer, containerClient, requiredServer } from './azure-server.ts'

const server = requiredServer()
if (server === undefined) it.skip('a blob service is not there', () => {})
else testAgainst(server)

function testAgainst(server: AzureServer): void {
  const { endpoint, account, key } = server
  const withKey = { AZURE_STORAGE_ACCOUNT: account, AZURE_STORAGE_KEY: key }
  const withToken = {
    AZURE_STORAGE_ACCOUNT: account,
    AZURE_STORAGE_SAS_TOKEN: accountToken(server),
  }
  const open = (bucket: string, env: Record<string, string> = withKey): Promise<AzureBackend> =>
    openBackend({ scheme: 'az', bucket }, { env, endpoint })
  const makeContainer = async (): Promise<string> => {
    const bucket = `s3lo-${randomUUID()}`
    await containerClient(server, bucket).create()
    return bucket
  }
  const destroy = async ({ bucket }: { readonly bucket: string }): Promise<void> => {
    await containerClient(server, bucket).delete()
  }

  describeBackend('backend-azure with an account key', {
    open: async () => open(await makeContainer()),
    openAgain: ({ bucket }) => open(bucket),
    openDenied: () =>
      open('denied', { ...withKey, AZURE_STORAGE_KEY: Buffer.from('another').toString('base64') }),
    destroy,
  })

  describeBackend('backend-azure with a SAS token', {
    open: async () => open(await makeContainer(), withToken),
    openAgain: ({ bucket }) => open(bucket, withToken),
    openDenied: () => open('denied', { ...withToken, AZURE_STORAGE_SAS_TOKEN: 'sv=2025-01-05' }),
    destroy,
  })

  describeFaults('backend-azure', {
    endpoint,
    makeBucket: makeContainer,
    open: async (through, bucket) =>
      azureBackend(bucket, resolveAccount({ env: withKey, endpoint: through }), {
        partBytes: 100_000,
        retry: { delay: async () => {}, stallMs: 5000, attempts: 3 },
      }),
    destroy: (bucket) => destroy({ bucket }),
    kinds: ['503', 'reset-after', 'truncated', 'bit-flip-up', 'page', 'nothing', 'cut'],
    // The product has six times as many runs.
    extent: process.env['S3LO_TEST_NIGHTLY'] === undefined ? 'rotation' : 'product',
  })

  describe('a container', () => {
    it('that does not exist is an error of every method, and never an empty one', async () => {
      const backend = await open(`s3lo-${randomUUID()}`)
      const calls = [
        () => backend.head('key'),
        () => backend.get('key'),
        () => backend.put('key', Buffer.from('x')),
        () => backend.list('')[Symbol.asyncIterator]().next(),
        () => backend.listPrefixes('')[Symbol.asyncIterator]().next(),
      ]
      for (const call of calls) {
        await expect(call()).rejects.toMatchObject({ code: 'NOT_FOUND', hint: expect.any(String) })
      }
      expect(await backend.delete(['key'])).toMatchObject([{ error: { code: 'NOT_FOUND' } }])
    })

    it('opens by a connection string', async () => {
      const bucket = await makeContainer()
      const AZURE_STORAGE_CONNECTION_STRING = `AccountName=${account};AccountKey=${key};BlobEndpoint=${endpoint};`
      const env = { AZURE_STORAGE_CONNECTION_STRING }
      const backend = await openBackend({ scheme: 'az', bucket }, { env })
      await backend.put('key', Buffer.from('x'))
      expect((await backend.head('key'))?.size).toBe(1)
      await destroy({ bucket })
    })

    it('takes puts of one large object at the same time, and each of them succeeds', async () => {
      const bucket = await makeContainer()
      const backend = azureBackend(bucket, resolveAccount({ env: withKey, endpoint }), {
        partBytes: 100_000,
      })
      const content = Buffer.alloc(1_000_000, 'x')
      const puts = Array.from({ length: 6 }, () =>
        backend.put('key', Readable.from([content]), { size: content.length }),
      )
      const infos = await Promise.all(puts)
      expect(infos.every(({ size }) => size === content.length)).toBe(true)
      expect(await digestOf(backend)).toBe(sha256(content))
      await destroy({ bucket })
    })
  })

  describe('through a proxy that spoils one request', () => {
    let proxy: FaultProxy
    let bucket: string
    let backend: AzureBackend
    beforeAll(async () => {
      proxy = await FaultProxy.start(endpoint)
      bucket = await makeContainer()
      const through = resolveAccount({ env: withKey, endpoint: proxy.url })
      backend = azureBackend(bucket, through, {
        partBytes: 100_000,
        retry: { delay: async () => {} },
      })
    })
    afterAll(async () => {
      await proxy.close()
      await destroy({ bucket })
    })

    const content = Buffer.from(Array.from({ length: 350_000 }, (_, index) => index % 251))
    const absent = { condition: { kind: 'absent' } } as const
    const tomorrow = new Date(Date.now() + 86_400_000)
    const calls: Record<string, () => Promise<unknown>> = {
      'a stream is created once': () =>
        backend.put('key', Readable.from([content]), { ...absent, size: content.length }),
      'bytes are created once': () => backend.put('key', content.subarray(0, 1000), absent),
      'bytes are created in time': () =>
        backend.put('key', Buffer.from('x'), { notAfter: tomorrow }),
      'bytes are swapped': async () => {
        const { etag } = await backend.put('key', Buffer.from('old'))
        await backend.put('key', Buffer.from('new'), { condition: { kind: 'unchanged', etag } })
        expect((await backend.head('key'))?.size).toBe(3)
      },
      'a body is read': async () => {
        await backend.put('key', content)
        expect(await digestOf(backend)).toBe(sha256(content))
      },
      'an object is copied, touched, listed and deleted': async () => {
        await backend.put('key', content)
        await backend.copyFrom(backend, 'key', 'copy')
        await backend.touch('copy')
        const keys: string[] = []
        for await (const info of backend.list('')) keys.push(info.key)
        expect(keys).toEqual(['copy', 'key'])
        expect(await backend.delete(['copy'], { notAfter: tomorrow })).toEqual([])
      },
    }

    it.each(Object.entries(calls))('%s all the same', async (_title, call) => {
      proxy.spoil()
      await call()
      const requests = proxy.count
      await backend.delete(['key'])
      for (const kind of SURVIVED) {
        for (let nth = 1; nth <= requests; nth += 1) {
          proxy.spoil(nth, kind)
          await call().catch((error: unknown) => {
            throw new Error(`${kind} of request ${nth} of ${requests}`, { cause: error })
          })
          await backend.delete(['key'])
        }
      }
    })
  })
}

/** Faults that a call survives, whichever of its requests they hit. */
const SURVIVED: readonly FaultKind[] = ['503', 'reset-before', 'reset-after', 'truncated']

async function digestOf(backend: AzureBackend): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of (await backend.get('key')).body as AsyncIterable<Buffer>) {
    hash.update(chunk)
  }
  return hash.digest('hex')
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** A token for everything in the account, as the portal makes one. */
function accountToken({ account, key }: AzureServer): string {
  return generateAccountSASQueryParameters(
    {
      expiresOn: new Date(Date.now() + 3_600_000),
      permissions: AccountSASPermissions.parse('rwdlac'),
      services: AccountSASServices.parse('b').toString(),
      resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
    },
    new StorageSharedKeyCredential(account, key),
  ).toString()
}
