import { describe, expect, it } from 'vitest'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { layerTableKey } from '../../src/layout/chunk-keys.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { layerSharing } from '../../src/operations/layer-sharing.ts'
import { LIST_PRICES, parsePrices } from '../../src/operations/prices.ts'
import { stats } from '../../src/operations/stats.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  imageFixture,
  indexFixture,
  MemoryBackend,
  putChunkedImage,
  putImage,
} from '../../src/testing/index.ts'
import { sampleStore } from '../support/sample-store.ts'

const GIB = 2 ** 30
const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })

const base = 'base layer '.repeat(10)
const app = imageFixture({ layers: [base, 'app'] })
const other = imageFixture({ layers: [base, 'other'], platform: 'linux/arm64' })
const multi = indexFixture({ 'linux/amd64': app, 'linux/arm64': other }, { attestations: true })

const sizeOf = (images: readonly { content: ReadonlyMap<string, Uint8Array> }[]): number => {
  const blobs = new Map(images.flatMap(({ content }) => [...content]))
  return [...blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
}

async function filled(): Promise<MemoryBackend> {
  const backend = new MemoryBackend()
  await putImage(backend, { name: 'app', tag: 'v1' }, app)
  await putImage(backend, { name: 'app', tag: 'v2' }, app)
  await putImage(backend, { name: 'team/multi', tag: 'latest' }, multi)
  return backend
}

describe('stats', () => {
  it('counts what there is, what it would be without sharing, and what it costs', async () => {
    const result = await stats(new ImageStore(await filled()))
    const stored = sizeOf([app, other, multi])
    const single = sizeOf([app])
    // Of the index: each manifest's config and layers, attestations included, but no manifest.
    const manifests = new Set(
      [...multi.content].filter(([, bytes]) => Buffer.from(bytes).includes('"schemaVersion"')),
    )
    const inManifests = [...manifests].reduce((sum, [, bytes]) => sum + bytes.byteLength, 0)
    const logical = 2 * single + sizeOf([multi]) - inManifests + base.length
    expect(result).toMatchObject({
      images: 2,
      tags: 3,
      blob_bytes: stored,
      chunks: 0,
      chunk_bytes: 0,
      logical_bytes: logical,
      dedup_savings: Math.max(0, logical - stored),
      storage_by_class: { STANDARD: stored },
      prices: LIST_PRICES,
      unreadable_tags: 0,
    })
    expect(result.cost.s3_monthly).toBeCloseTo((stored / GIB) * 0.023, 12)
    expect(result.cost.s3_no_dedup_monthly).toBeCloseTo((logical / GIB) * 0.023, 12)
  })

  it('of an empty store is all zero', async () => {
    expect(await stats(new ImageStore(new MemoryBackend()))).toEqual({
      images: 0,
      tags: 0,
      unique_blobs: 0,
      blob_bytes: 0,
      chunks: 0,
      chunk_bytes: 0,
      logical_bytes: 0,
      dedup_savings: 0,
      dedup_percent: 0,
      storage_by_class: {},
      cost: {
        s3_monthly: 0,
        s3_no_dedup_monthly: 0,
        ecr_monthly: 0,
        savings_vs_ecr: 0,
        savings_pct: 0,
      },
      prices: LIST_PRICES,
      unreadable_tags: 0,
    })
  })

  it('narrows tags by name and not what is stored', async () => {
    const backend = await filled()
    const whole = await stats(new ImageStore(backend))
    expect(await stats(new ImageStore(backend), 'app/')).toMatchObject({
      images: 1,
      tags: 2,
      logical_bytes: 2 * sizeOf([app]),
      blob_bytes: whole.blob_bytes,
    })
  })

  it('tells storage classes and chunks apart', async () => {
    const backend = new MemoryBackend()
    const blob = Buffer.from('cold')
    await backend.put(blobKey(`sha256:${'a'.repeat(64)}`), blob, {
      storageClass: 'tiered',
    })
    await backend.put(`chunks/sha256/${'b'.repeat(64)}`, Buffer.from('chunk'))
    await backend.put('blobs/sha256/not-a-digest', Buffer.from('not counted'))
    const prices = { ...LIST_PRICES, by_class: { tiered: 0 } }
    const result = await stats(new ImageStore(backend), '', { prices })
    expect(result).toMatchObject({
      unique_blobs: 1,
      blob_bytes: 9,
      chunks: 1,
      chunk_bytes: 5,
      storage_by_class: { tiered: 4, STANDARD: 5 },
    })
    expect(result.cost.s3_monthly).toBeCloseTo((5 / GIB) * 0.023, 15)
  })

  it('takes only layers that are not compressed for smaller in ECR', async () => {
    const backend = new MemoryBackend()
    await putImage(backend, { name: 'plain', tag: 'v1' }, app)
    const [config = 0, ...layers] = [...app.content.values()]
      .map(({ byteLength }) => byteLength)
      .toReversed()
    const plain = layers.reduce((sum, size) => sum + size, 0)
    const { cost } = await stats(new ImageStore(backend))
    expect(cost.ecr_monthly).toBeCloseTo(((config + plain / 3.4) / GIB) * 0.1, 12)
    const gzip = Buffer.from(
      Buffer.from(app.root.content).toString().replaceAll('layer.v1.tar"', 'layer.v1.tar+gzip"'),
    )
    await backend.put(manifestKey({ name: 'plain', tag: 'v1' }), gzip)
    const compressed = await stats(new ImageStore(backend))
    expect(compressed.cost.ecr_monthly).toBeCloseTo(((config + plain) / GIB) * 0.1, 12)
  })

  it('says which tags it could not count', async () => {
    const backend = await filled()
    await backend.put(manifestKey({ name: 'app', tag: 'v1' }), Buffer.from('{'))
    await backend.delete([blobKey(app.root.descriptor.digest)])
    const events: ProgressEvent[] = []
    const result = await stats(new ImageStore(backend), '', { onProgress: (e) => events.push(e) })
    expect(result).toMatchObject({ tags: 3, unreadable_tags: 2, logical_bytes: sizeOf([app]) })
    const notices = events.flatMap((event) => (event.type === 'notice' ? [event.message] : []))
    expect(notices).toEqual([
      expect.stringContaining('app:v1'),
      expect.stringContaining('team/multi:latest'),
    ])
  })

  it('fails when the store does, and never counts less instead', async () => {
    const backend = new FaultyBackend(await filled(), {
      before: ({ method, key }) => {
        if (method === 'get' && key.startsWith('blobs/')) throw new Error('no network')
      },
    })
    await expect(stats(new ImageStore(backend))).rejects.toThrow('no network')
  })

  it('reads every manifest once, however many tags share it', async () => {
    const backend = await filled()
    for (let i = 0; i < 50; i++) {
      await backend.put(manifestKey({ name: 'team/multi', tag: `t${i}` }), multi.root.content)
    }
    const counting = new FaultyBackend(backend)
    await stats(new ImageStore(counting))
    const count = (name: string) => counting.calls.filter(({ method }) => method === name).length
    // 53 tags; two platforms and two attestations.
    expect(count('get')).toBe(53 + 4)
    expect(count('list')).toBe(8)
    // And one look for folders of layout v1.0.0.
    expect(counting.calls).toHaveLength(53 + 4 + 8 + 1)
  })
})

describe('parsePrices', () => {
  const parse = (value: unknown) => parsePrices(Buffer.from(JSON.stringify(value)), 'prices.json')

  it('takes what the file leaves out from the list prices', () => {
    expect(parse({ as_of: '2026-11-21', s3_gib_month: 0.01, by_class: { COLD: 0.004 } })).toEqual({
      ...LIST_PRICES,
      as_of: '2026-11-21',
      s3_gib_month: 0.01,
      by_class: { COLD: 0.004 },
    })
  })

  it.each([
    [[]],
    [{}],
    [{ as_of: 'today' }],
    [{ as_of: '2026-11', s3_gib_month: -1 }],
    [{ as_of: '2026-11', ecr_gib_month: '1' }],
    [{ as_of: '2026-11', ecr_compression: 0 }],
    [{ as_of: '2026-11', by_class: { COLD: null } }],
  ])('refuses %j', (value) => {
    expect(() => parse(value)).toThrow(code('INTEGRITY'))
  })
})

describe('layerSharing', () => {
  const layers = [Buffer.alloc(100, 1), Buffer.alloc(200, 2), Buffer.alloc(50, 3)] as const

  it('counts each layer once for every tag that uses it', async () => {
    const backend = new MemoryBackend()
    const [a, b, c] = layers
    await putImage(backend, { name: 'x', tag: '1' }, imageFixture({ layers: [a] }))
    await putImage(backend, { name: 'x', tag: '2' }, imageFixture({ layers: [a, b, a] }))
    await putImage(backend, { name: 'y', tag: '1' }, imageFixture({ layers: [a, b, c] }))
    const result = await layerSharing(new ImageStore(backend))
    expect(result).toMatchObject({
      tags: ['x:1', 'x:2', 'y:1'],
      stored_bytes: 350,
      logical_bytes: 750,
      unreadable_tags: 0,
    })
    expect(result.saved_percent).toBeCloseTo(53.33, 2)
    expect(result.layers.map(({ size, tags }) => [size, tags])).toEqual([
      [100, ['x:1', 'x:2', 'y:1']],
      [200, ['x:2', 'y:1']],
      [50, ['y:1']],
    ])
    expect(result.layers[0]?.digest).toMatch(/^[0-9a-f]{64}$/)
  })

  it('leaves attestations out', async () => {
    const backend = await filled()
    const { layers: found } = await layerSharing(new ImageStore(backend), 'team/')
    expect(found.map(({ size }) => size)).toEqual([110, 5, 3])
  })
})

describe('the sample store', async () => {
  const backend = await sampleStore()

  it.skipIf(!backend)('has the size that its manifests say', async () => {
    const result = await stats(new ImageStore(backend ?? new MemoryBackend()))
    expect(result).toMatchObject({ images: 1, tags: 1, logical_bytes: 30_343_991 })
  })
})

describe('stats of layers in chunks', () => {
  it('tell what they hold, compress and share, in both formats', async () => {
    const backend = new MemoryBackend()
    const [a, b] = [Buffer.alloc(4000, 'shared'), Buffer.alloc(4000, 'other')]
    for (const format of [1, 2] as const) {
      const layers = [a, Buffer.concat([a, b])]
      await putChunkedImage(
        backend,
        { name: 'app', tag: `v${format}` },
        { layers, chunkSize: 4000, format },
      )
    }
    const result = await stats(new ImageStore(backend))
    expect(result).toMatchObject({ chunks: 4, unreadable_tags: 0 })
    expect(result.chunked).toMatchObject({ layers: 4, content_bytes: 24_000 })
    const {
      layer_bytes: frames = 0,
      compression = 0,
      shared_percent: shared,
    } = result.chunked ?? {}
    expect(compression).toBeCloseTo(24_000 / frames)
    expect(shared).toBeCloseTo((100 * (frames - result.chunk_bytes)) / frames)
    expect(result.chunked).toMatchObject({ tables: 0, table_bytes: 0 })
    const { blob_bytes: before } = result
    await backend.put(layerTableKey(digestOf(Buffer.from('a layer'))), Buffer.from('table'))
    expect(await stats(new ImageStore(backend))).toMatchObject({
      blob_bytes: before + 5,
      chunked: { tables: 1, table_bytes: 5 },
    })
    await backend.put('.s3lo/recipes/sha256/' + 'a'.repeat(64), Buffer.from('{}'))
    expect((await stats(new ImageStore(backend))).chunked).toMatchObject({
      layers: 4,
      unreadable: 1,
    })
  })
})
