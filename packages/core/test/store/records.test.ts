import { describe, expect, it } from 'vitest'
import { Protection } from '../../src/gc/protection.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { recordKey } from '../../src/layout/repository-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { copy } from '../../src/operations/copy.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { listRecords, readRecord, writeRecord } from '../../src/store/records.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'

const [one, two] = ['one', 'two'].map((layer) => imageFixture({ layers: [layer] })) as [
  ImageFixture,
  ImageFixture,
]
const { digest } = one.root.descriptor

async function write(backend: FaultyBackend, repository: string, image: ImageFixture) {
  const protection = new Protection(backend, () => Promise.resolve(true))
  await writeRecord(protection, repository, image.root)
  await protection.release()
}

describe('the record of a digest', () => {
  it('holds the very bytes, and is read under its repository alone', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await write(backend, 'team/app', one)
    const record = await readRecord(backend, 'team/app', digest)
    expect(digestOf(record!.content)).toBe(digest)
    expect(record?.descriptor).toEqual(one.root.descriptor)
    expect(await readRecord(backend, 'team', digest)).toBeUndefined()
  })

  it('is written under a pin of its digest, once rounds were looked for', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await write(backend, 'app', one)
    expect(backend.calls.map(({ method, key }) => `${method} ${key.split('/')[2]}`)).toEqual([
      'put pins',
      'list rounds',
      'put app',
      'delete pins',
    ])
  })

  it('is refused by the store once its pin may have been overlooked', async () => {
    let time = Date.UTC(2026, 0, 1)
    const backend = new FaultyBackend(new MemoryBackend({ now: () => new Date(time) }))
    let refused = 0
    backend.faults = {
      before: ({ method, key }) => {
        if (method !== 'put' || !key.includes('/_manifests/') || refused++ > 0) return
        time += 3_600_000
      },
    }
    await write(backend, 'app', one)
    const pins = backend.calls.filter(
      ({ method, key }) => method === 'put' && key.includes('/pins/'),
    )
    expect([refused, pins.length]).toEqual([2, 2])
  })

  it('is listed with those of its repository, or of all of them', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await write(backend, 'app', one)
    await write(backend, 'app/web', two)
    await backend.put('.s3lo/repositories/app/_manifests/other.json', new Uint8Array(1))
    const names = async (repository?: string): Promise<readonly string[]> =>
      (await Array.fromAsync(listRecords(backend, repository))).map(
        (entry) => `${entry.repository}@${entry.digest}`,
      )
    expect(await names('app')).toEqual([`app@${digest}`])
    expect(await names()).toEqual([`app@${digest}`, `app/web@${two.root.descriptor.digest}`])
  })
})

describe('a manifest by its digest', () => {
  it('takes one request where it has a record, with anything else beside it', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    const index = indexFixture({ 'linux/amd64': one })
    await putImage(backend, { name: 'app', tag: 'v1' }, index)
    await write(backend, 'app', one)
    backend.calls.length = 0
    const store = new ImageStore(backend)
    expect(digestOf((await store.read({ name: 'app', digest })).content)).toBe(digest)
    expect(backend.calls.map(({ method, key }) => `${method} ${key}`)).toEqual([
      `get ${recordKey('app', digest)}`,
    ])
  })

  it.each([1, 200])(
    'takes one request in a repository of %i images, and so does each child of an index',
    async (images) => {
      const backend = new FaultyBackend(new MemoryBackend())
      const target = new ImageStore(backend)
      const index = indexFixture({ 'linux/amd64': one, 'linux/arm64': two })
      const push = (image: ImageFixture, tag: string) =>
        copy(
          { source: new FixtureSource({ 'app:x': image }), reference: { name: 'app', tag: 'x' } },
          { target, reference: { name: 'app', tag } },
        )
      for (let n = 0; n < images; n++) await push(imageFixture({ layers: [`layer ${n}`] }), `v${n}`)
      await push(index, 'moved')
      await push(one, 'moved')
      for (const { root } of [index, one, two]) {
        backend.calls.length = 0
        await new ImageStore(backend).read({ name: 'app', digest: root.descriptor.digest })
        expect(backend.calls).toHaveLength(1)
      }
    },
  )

  it('is found without its record, and in spite of a damaged one', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await putImage(backend, { name: 'app', tag: 'v1' }, one)
    const store = new ImageStore(backend)
    expect(digestOf((await store.read({ name: 'app', digest })).content)).toBe(digest)
    await backend.put(recordKey('app', digest), new TextEncoder().encode('{}'))
    expect(digestOf((await store.read({ name: 'app', digest })).content)).toBe(digest)
    await backend.delete([manifestKey({ name: 'app', tag: 'v1' }), blobKey(digest)])
    await expect(store.read({ name: 'app', digest })).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})
