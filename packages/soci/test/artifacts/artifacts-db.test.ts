import { Readable } from 'node:stream'
import { clean, type Descriptor, digestOf, documentWith, ImageStore, readAll } from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { beforeEach, expect, test } from 'vitest'
import { type ArtifactEntry, ArtifactsDb } from '../../src/artifacts/artifacts-db.ts'
import { syncWithLocalStore } from '../../src/artifacts/sync.ts'
import { IndexBuilder } from '../../src/index/build.ts'
import { encodeManifest } from '../../src/index/canonical-json.ts'
import { getIndexDescriptorCollection } from '../../src/index/collection.ts'
import { convert } from '../../src/index/convert.ts'
import { StoreArtifacts } from '../../src/store-artifacts.ts'
import { LAYERS } from '../ztoc/tar-fixture.ts'

const amd64 = { os: 'linux', architecture: 'amd64' }
const digest = (text: string): string => digestOf(Buffer.from(text))

let backend: MemoryBackend
let db: ArtifactsDb

beforeEach(() => {
  backend = new MemoryBackend()
  db = new ArtifactsDb(backend)
})

function entry(name: string, change: Partial<ArtifactEntry> = {}): ArtifactEntry {
  return {
    type: 'soci_index',
    size: 12,
    digest: digest(name),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType: 'application/vnd.amazon.soci.index.v1+json',
    originalDigest: digest('manifest'),
    location: digest('manifest'),
    imageDigest: digest('image'),
    platform: 'linux/amd64',
    repository: '',
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
    spanSize: 0,
    buildToolIdentifier: 'tool',
    ...change,
  }
}

const ztoc = (name: string, change: Partial<ArtifactEntry> = {}): ArtifactEntry =>
  entry(name, {
    type: 'soci_layer',
    mediaType: 'application/octet-stream',
    artifactType: '',
    imageDigest: '',
    spanSize: 4,
    ...change,
  })

test('what is written is read, and written again is replaced', async () => {
  await db.writeArtifactEntry(entry('a'))
  expect(await db.getArtifactEntry(digest('a'))).toEqual(entry('a'))
  await db.writeArtifactEntry(entry('a', { platform: 'linux/arm64' }))
  expect((await db.getArtifactEntry(digest('a'))).platform).toBe('linux/arm64')
  expect(await db.getArtifactType(digest('a'))).toBe('soci_index')
})

test('a store without records, an absent record and a zTOC are told apart', async () => {
  await expect(db.getArtifactEntry(digest('a'))).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'the store has no record of SOCI artifacts',
  })
  await expect(db.getArtifactEntriesByImageDigest(digest('image'))).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
  await db.writeArtifactEntry(ztoc('z'))
  await expect(db.getArtifactEntry(digest('a'))).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: `SOCI artifact ${digest('a')} is not recorded in the store`,
  })
  await expect(db.removeArtifactEntryByIndexDigest(digest('z'))).rejects.toMatchObject({
    code: 'USAGE',
  })
  await expect(db.removeArtifactEntryByIndexDigest(digest('a'))).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
})

test('the walk goes by digest and ends when it is told to', async () => {
  const names = ['a', 'b', 'c', 'd']
  for (const name of names) await db.writeArtifactEntry(entry(name))
  const seen: string[] = []
  await db.walk((found) => seen.push(found.digest) < 3)
  expect(seen).toEqual(names.map(digest).toSorted().slice(0, 3))
})

test('a store without records is an error to a walk and to a removal, and none to a rebuild', async () => {
  const empty = { code: 'NOT_FOUND', message: 'the store has no record of SOCI artifacts' }
  await expect(db.walk(() => expect.unreachable())).rejects.toMatchObject(empty)
  await expect(db.removeOldArtifacts(() => Promise.resolve(true))).rejects.toMatchObject(empty)
  expect(await syncWithLocalStore(db, new StoreArtifacts(new ImageStore(backend)), [])).toEqual({
    added: [],
    removed: [],
  })
})

test('indexes are found by image and by manifest, zTOCs are not', async () => {
  await db.writeArtifactEntry(entry('a'))
  await db.writeArtifactEntry(entry('b', { imageDigest: digest('other') }))
  await db.writeArtifactEntry(ztoc('c', { imageDigest: digest('image') }))
  expect(await db.getArtifactEntriesByImageDigest(digest('image'))).toEqual([digest('a')])
  expect(
    (await db.getIndexEntries(digest('manifest'))).map((found) => found.digest).toSorted(),
  ).toEqual([digest('a'), digest('b')].toSorted())
})

test('writers at once keep each other’s records', async () => {
  const names = Array.from({ length: 50 }, (_, i) => `n${i}`)
  await Promise.all(names.map((name) => new ArtifactsDb(backend).writeArtifactEntry(entry(name))))
  let count = 0
  await db.walk(() => void count++)
  expect(count).toBe(50)
})

test('a record that is not one is refused, and a digest that is none never becomes a key', async () => {
  const { hex } = { hex: digest('a').slice(7) }
  for (const content of ['x', '{}', '{"type":"soci_layer","digest":"../x"}', '{"type":"other"}']) {
    await backend.put(`.s3lo/soci/artifacts/sha256-${hex}.json`, Buffer.from(content))
    await expect(db.getArtifactEntry(digest('a'))).rejects.toMatchObject({ code: 'INTEGRITY' })
  }
  await expect(db.find('../../x')).rejects.toMatchObject({ code: 'INTEGRITY' })
})

async function goldenImage(store: ImageStore): Promise<Descriptor> {
  const put = async (content: Buffer, mediaType: string): Promise<Descriptor> => {
    const descriptor = { mediaType, digest: digestOf(content), size: content.length }
    await store.begin().put(descriptor, async () => Readable.from([content]))
    return descriptor
  }
  const config = await put(
    Buffer.from('{"architecture":"amd64","os":"linux"}'),
    'application/vnd.oci.image.config.v1+json',
  )
  const layers = [await put(LAYERS.A, 'application/vnd.oci.image.layer.v1.tar+gzip')]
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  return put(encodeManifest({ schemaVersion: 2, mediaType, config, layers }), mediaType)
}

test.each(['v1', 'v2'] as const)(
  'the records of indexes of %s are rebuilt from the store',
  async (version) => {
    const store = new ImageStore(backend)
    const image = await goldenImage(store)
    const now = (): Date => new Date(0)
    const options = { repository: 'app', minLayerSize: 0, now }
    const builder = new IndexBuilder(store, store, db, options)
    let root = image
    if (version === 'v1') {
      await builder.build(image, { platform: amd64 })
    } else {
      const { document } = await convert(builder, image)
      root = document.descriptor
      await store.begin().put(root, async () => Readable.from([document.content]))
    }
    const named = { repository: 'app', image: root }
    const before: ArtifactEntry[] = []
    await db.walk((found) => void before.push(found))
    const keys = before.map(
      (found) => `.s3lo/soci/artifacts/${found.digest.replace(':', '-')}.json`,
    )
    await backend.delete(keys)
    const { added, removed } = await syncWithLocalStore(db, new StoreArtifacts(store), [named], {
      now,
    })
    expect([added.length, removed.length]).toEqual([2, 0])
    const after: ArtifactEntry[] = []
    await db.walk((found) => void after.push(found))
    expect(after).toEqual(before)
    expect(await syncWithLocalStore(db, new StoreArtifacts(store), [named], { now })).toEqual({
      added: [],
      removed: [],
    })
    const { indexes } = await getIndexDescriptorCollection(store, db, root, [amd64])
    expect(indexes).toHaveLength(1)
  },
)

test('an index of the default version is attached to its image, and a collection keeps it', async () => {
  const store = new ImageStore(backend)
  const image = await goldenImage(store)
  const root = documentWith(image, await readAll(await store.fetch(image), 1e6, 'x'))
  await store.begin().tag(root, { name: 'app', tag: 'v1' })
  const options = { repository: 'app', minLayerSize: 0 }
  const builder = new IndexBuilder(store, store, db, options)
  const { document } = await builder.build(image, { platform: amd64 })
  await store.close()
  const { objects = [] } = await clean(store, '', { graceMs: 0, explain: true })
  // The manifest itself lives under its tag.
  expect(objects.map(({ key }) => key)).toEqual([`blobs/${image.digest.replace(':', '/')}`])
  const found = await Array.fromAsync(new ImageStore(backend).referrers('app', image))
  expect(found).toMatchObject([{ digest: document.descriptor.digest }])
  const fresh = new StoreArtifacts(new ImageStore(backend))
  for (const { digest, size, mediaType } of found) {
    expect(await fresh.fetch({ digest, size, mediaType })).toBeDefined()
  }
})

test('records of artifacts that are gone are removed', async () => {
  await db.writeArtifactEntry(entry('gone'))
  const { removed } = await syncWithLocalStore(db, new StoreArtifacts(new ImageStore(backend)), [])
  expect(removed).toEqual([digest('gone')])
  expect(await db.find(digest('gone'))).toBeUndefined()
})
