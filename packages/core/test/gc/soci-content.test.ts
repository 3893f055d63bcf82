import { beforeEach, describe, expect, it } from 'vitest'
import { collectGarbage, type CollectOptions, type CollectResult } from '../../src/gc/collector.ts'
import { writeControl } from '../../src/gc/control-object.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import { blobKey, layerIndexKey, manifestKey, referrerBlobKey } from '../../src/layout/keys.ts'
import { recordKey, referrerEntryKey } from '../../src/layout/repository-keys.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { parseManifest, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { type ImageFixture, referrerFixture } from '../../src/testing/fixtures.ts'
import { HOUR, layered, TimedStore } from './world.ts'

const TYPE = 'application/vnd.amazon.soci.index'
const TAG = manifestKey({ name: 'app', tag: 'latest' })
const image = layered('base', 'top')
const other = layered('base', 'other')

let store: TimedStore

beforeEach(() => {
  store = new TimedStore()
})

function collect(options: CollectOptions = {}): Promise<CollectResult> {
  store.advance(2 * HOUR)
  return collectGarbage(store.backend, { confirm: true, graceMs: 0, who: 'test', ...options })
}

/** The layers of an image, with an index kept beside each. */
async function indexLayers(fixture: ImageFixture): Promise<readonly Descriptor[]> {
  const manifest = parseManifest(fixture.root.content, 'image')
  const layers = manifest.kind === 'manifest' ? manifest.layers : []
  for (const { digest } of layers) {
    await store.backend.put(layerIndexKey('soci', digest), Buffer.from(`index of ${digest}`))
  }
  return layers
}

function layerIndexes(): Promise<readonly string[]> {
  return store.keys('.s3lo/soci/layers/')
}

describe('the index that is kept beside a layer', () => {
  it('lives as long as the layer', async () => {
    await store.plant(image, 'app')
    await store.plant(other)
    const layers = await indexLayers(image)
    const dead = await indexLayers(other)
    expect(dead[0]).toEqual(layers[0])
    // The layer that is not shared and its index, and the config.
    expect(await collect()).toMatchObject({ deleted: 3, failed: 0 })
    const expected = layers.map(({ digest }) => layerIndexKey('soci', digest)).toSorted()
    expect(await layerIndexes()).toEqual(expected)
    await store.backend.delete([TAG])
    await collect()
    expect([await layerIndexes(), await store.keys('blobs/')]).toEqual([[], []])
  })

  it('goes when the layer is gone already', async () => {
    const [layer] = await indexLayers(image)
    expect(await store.backend.head(blobKey(layer?.digest ?? ''))).toBeUndefined()
    expect(await collect()).toMatchObject({ deleted: 2 })
    expect(await layerIndexes()).toEqual([])
  })

  it('is kept while it is young, while a push names the layer, and in a dry run', async () => {
    const [layer] = await indexLayers(image)
    expect(await collect({ graceMs: 3 * HOUR })).toMatchObject({ deleted: 0, recent: 2 })
    const names = [nameOf(layer?.digest ?? '')]
    store.advance(HOUR)
    await writeControl(store.backend, 'pin', { names, who: '' }, { ttlSeconds: undefined })
    expect(await collect()).toMatchObject({ deleted: 1, pinned: 1 })
    const now = (): number => store.time
    expect(await collect({ confirm: false, now })).toMatchObject({ dryRun: true, deleted: 1 })
    expect(await layerIndexes()).toEqual([layerIndexKey('soci', layer?.digest ?? '')])
  })

  it('is nothing but that: records and foreign keys below the prefix stay', async () => {
    const keys = ['.s3lo/soci/layers/README', '.s3lo/soci/layers/sha256/abc', '.s3lo/soci/notes']
    for (const key of keys) await store.backend.put(key, Buffer.from('x'))
    expect(await collect()).toMatchObject({ deleted: 0 })
    expect(await store.keys('.s3lo/soci/')).toEqual(keys)
  })
})

describe('an index of version 1', () => {
  it('lives with its zTOCs while the image that it refers to does', async () => {
    await store.plant(image, 'app')
    const index = referrerFixture(image.root.descriptor, `${TYPE}.v1+json`, 'zTOC')
    for (const [digest, content] of index.content) {
      await store.backend.put(referrerBlobKey(digest), content)
    }
    const subject = image.root.descriptor.digest
    const { digest } = index.root.descriptor
    await store.backend.put(recordKey('app', digest), index.root.content)
    await store.backend.put(referrerEntryKey('app', subject, digest), Buffer.from('{}'))
    expect(await collect()).toMatchObject({ deleted: 0 })
    await store.backend.delete([TAG])
    store.advance(24 * HOUR)
    await collect({ keepUntagged: () => 0 })
    expect(await store.keys('.s3lo/')).toEqual([])
  })
})

describe('an index of version 2', () => {
  it('lives with its zTOCs while the converted image does', async () => {
    const ztocs = referrerFixture(image.root.descriptor, `${TYPE}.v2+json`, 'zTOC')
    const entries = [
      { ...image.root.descriptor, platform: { os: 'linux', architecture: 'amd64' } },
      { ...ztocs.root.descriptor, artifactType: `${TYPE}.v2+json` },
    ]
    const root = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: entries }
    const converted = toDocument(Buffer.from(JSON.stringify(root)), MEDIA_TYPE.ociIndex)
    for (const part of [image, ztocs]) {
      await store.plant(part)
      await store.backend.put(blobKey(part.root.descriptor.digest), part.root.content)
    }
    await store.backend.put(TAG, converted.content)
    const before = await store.keys('blobs/')
    expect(before).toHaveLength(7)
    expect(await collect()).toMatchObject({ deleted: 0 })
    expect(await store.keys('blobs/')).toEqual(before)
    await store.backend.delete([TAG])
    await collect()
    expect(await store.keys('blobs/')).toEqual([])
  })
})
