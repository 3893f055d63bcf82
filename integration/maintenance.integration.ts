import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import azurePlugin from '@s3lo/backend-azure/plugin'
import gcsPlugin from '@s3lo/backend-gcs/plugin'
import s3Plugin from '@s3lo/backend-s3/plugin'
import { createHost, type Host } from '@s3lo/core'
import { imageFixture, putImage } from '@s3lo/core/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { requiredService } from './required.ts'

/** A real store: an empty bucket, and a host that opens it. */
interface Place {
  readonly name: string
  open(bucket: string): Promise<Host>
  readonly scheme: string
}

const places: readonly Place[] = [ceph(), azurite(), gcs()].filter((place) => place !== undefined)

describe.each(places)('a store at $name', (place) => {
  const { scheme } = place
  const bucket = `s3lo-${randomUUID()}`
  const store = `${scheme}://${bucket}/`
  let host: Host

  beforeAll(async () => {
    host = await place.open(bucket)
  })

  it('is initialised once, and its settings are kept', async () => {
    const first = await host.init(store)
    expect(first).toMatchObject({ bucket, config_wrote: true })
    await host.setConfig(`${store}app`, ['immutable=true'])
    expect(await host.init(store)).toMatchObject({ config_wrote: false })
    expect((await host.getConfig(`${store}app`)).settings).toMatchObject({
      immutable: true,
      lifecycle: { keep_last: 10, max_age: '90d' },
      sources: { immutable: 'images["app"]', 'lifecycle.keep_last': 'default' },
    })
  })

  it('keeps every key of edits that are made at the same time', async () => {
    const keys = ['a', 'b', 'c', 'd']
    const results = await Promise.all(
      keys.map((key) => host.setConfig(`${store}at/${key}`, ['immutable=true'])),
    )
    const config = await host.getConfig(store)
    const images = config.of === 'store' ? (config.settings.images ?? {}) : {}
    const guards = new Set(results.map(({ guard }) => guard))
    expect([...guards]).toEqual(['compare-and-swap'])
    expect(Object.keys(images)).toEqual(expect.arrayContaining(keys.map((key) => `at/${key}`)))
  })

  it('is counted, and found whole until a blob is missing', async () => {
    const opened = await host.openStore(store)
    const image = imageFixture({ layers: ['one', 'two'] })
    await putImage(opened.backend, { name: 'app', tag: 'v1' }, image)
    await putImage(opened.backend, { name: 'app', tag: 'v2' }, image)
    const stats = await host.stats(store)
    expect(stats).toMatchObject({ images: 1, tags: 2, unique_blobs: 3, dedup_percent: 50 })
    const whole = await host.doctor(store, { deep: true })
    expect(whole).toMatchObject({ ok: true, layout_ok: true, orphaned_blobs: 0, verified_blobs: 3 })
    expect(whole.guarantees).toMatchObject({
      create_only: 'enforced',
      compare_and_swap: 'enforced',
    })
    expect(Math.abs(whole.clock_skew_ms ?? Number.NaN)).toBeLessThan(60_000)
    const blobs = await Array.fromAsync(opened.backend.list('blobs/'))
    await opened.backend.delete(blobs.slice(0, 1).map(({ key }) => key))
    const broken = await host.doctor(store)
    expect(broken.manifest_issues).toHaveLength(2)
    await opened.close?.()
  })

  it('gets advice that has a next step', async () => {
    const { findings, recommendations } = await host.recommend(store)
    expect(findings.map(({ label }) => label)).toContain('retention is set in s3lo.yaml')
    for (const { description } of recommendations) expect(description).not.toBe('')
  })

  it('leaves nothing of its checks behind', async () => {
    const opened = await host.openStore(store)
    const staged = await Array.fromAsync(opened.backend.list('.s3lo/tmp/'))
    expect(staged).toEqual([])
    await opened.close?.()
  })
})

it.skipIf(places.length > 0)('there is no service to test against', () => {})

function ceph(): Place | undefined {
  const endpoint = requiredService('s3', 'S3LO_TEST_S3_ENDPOINT')
  if (endpoint === undefined) return undefined
  const accessKeyId = process.env['S3LO_TEST_S3_KEY'] ?? ''
  const secretAccessKey = process.env['S3LO_TEST_S3_SECRET'] ?? ''
  return {
    name: 'Ceph',
    scheme: 's3',
    async open(bucket) {
      const client = new S3Client({
        endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
      })
      await client.send(new CreateBucketCommand({ Bucket: bucket }))
      client.destroy()
      const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
      return createHost({ plugins: [s3Plugin], endpoint, env })
    },
  }
}

function azurite(): Place | undefined {
  const endpoint = requiredService('azure', 'S3LO_TEST_AZURE_ENDPOINT')
  if (endpoint === undefined) return undefined
  const account = process.env['AZURE_STORAGE_ACCOUNT'] ?? ''
  const key = process.env['AZURE_STORAGE_KEY'] ?? ''
  return {
    name: 'Azurite',
    scheme: 'az',
    async open(bucket) {
      const credential = new StorageSharedKeyCredential(account, key)
      await new ContainerClient(`${endpoint}/${bucket}`, credential).create()
      const env = { AZURE_STORAGE_ACCOUNT: account, AZURE_STORAGE_KEY: key }
      return createHost({ plugins: [azurePlugin], endpoint, env })
    },
  }
}

function gcs(): Place | undefined {
  const endpoint = requiredService('gcs', 'S3LO_TEST_GCS_ENDPOINT')
  if (endpoint === undefined) return undefined
  return {
    name: 'Google Cloud Storage',
    scheme: 'gs',
    async open(bucket) {
      const response = await fetch(`${endpoint}/storage/v1/b?project=s3lo-test`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: bucket }),
      })
      if (!response.ok) throw new Error(`no bucket: HTTP ${response.status}`)
      const keyFile = process.env['S3LO_TEST_GCS_KEY_FILE']
      const env = keyFile ? { GOOGLE_APPLICATION_CREDENTIALS: keyFile } : {}
      return createHost({ plugins: [gcsPlugin], endpoint, env })
    },
  }
}
