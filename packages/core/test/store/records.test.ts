import { describe, expect, it } from 'vitest'
import { Protection } from '../../src/gc/protection.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { recordKey } from '../../src/layout/repository-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { listRecords, readRecord, writeRecord } from '../../src/store/records.ts'
import {
  FaultyBackend,
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

  it('is written under a deadline, with all that the manifest names pinned', async () => {
    const inner = new MemoryBackend()
    const backend = new FaultyBackend(inner)
    let pin = ''
    backend.faults = {
      before: async ({ method, key }) => {
        if (method !== 'put' || !key.includes('/_manifests/')) return
        const [control] = await Array.fromAsync(inner.list('.s3lo/gc/pins/'))
        const chunks = await Array.fromAsync((await inner.get(control!.key)).body)
        pin = Buffer.concat(chunks as Buffer[]).toString()
      },
    }
    await write(backend, 'app', one)
    const names = [digest, ...one.content.keys()].map((name) => name.slice('sha256:'.length))
    expect(names.every((name) => pin.includes(name))).toBe(true)
    expect(backend.calls.map(({ method, key }) => `${method} ${key.split('/')[2]}`)).toEqual([
      'put pins',
      'list rounds',
      'put app',
      'delete pins',
    ])
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
  it('takes one request where it has a record, whatever else is there', async () => {
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
