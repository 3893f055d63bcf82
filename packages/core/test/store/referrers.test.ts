import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { withPublication } from '../../src/graph/with-publication.ts'
import { recordKey, recordsPrefix, referrerEntryKey } from '../../src/layout/repository-keys.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { attachReferrer } from '../../src/testing/attach.ts'
import {
  FaultyBackend,
  type ImageFixture,
  imageFixture,
  MemoryBackend,
  referrerFixture,
} from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['one'] })
const subject = image.root.descriptor
const sbom = referrerFixture(subject, 'application/spdx+json', 'packages')
const signature = referrerFixture(subject, 'application/signature', 'signed')

let backend: MemoryBackend
let store: ImageStore

beforeEach(() => {
  backend = new MemoryBackend()
  store = new ImageStore(backend)
})

function attach(
  repository: string,
  { root, content }: ImageFixture,
  target: ImageStore = store,
): Promise<void> {
  return attachReferrer(target, root, { repository, subject }, ({ digest }) =>
    Promise.resolve(Readable.from([content.get(digest) ?? ''])),
  )
}

function detach(repository: string, { root }: ImageFixture): Promise<void> {
  return withPublication(store, {}, (publication) =>
    publication.detach({ repository, subject }, root.descriptor.digest),
  )
}

async function listed(repository: string, from: ImageStore = store): Promise<readonly string[]> {
  const found = await Array.fromAsync(from.referrers(repository, subject))
  return found.map(({ digest }) => digest)
}

const digestOfRoot = ({ root }: ImageFixture): string => root.descriptor.digest
const entryKeyOf = (fixture: ImageFixture): string =>
  referrerEntryKey('app', subject.digest, digestOfRoot(fixture))

describe('a referrer of one repository', () => {
  it('is listed there and in no other one that has the same manifest', async () => {
    await attach('app', sbom)
    await attach('app/nested', signature)
    expect(await listed('app')).toEqual([digestOfRoot(sbom)])
    expect(await listed('app/nested')).toEqual([digestOfRoot(signature)])
    expect(await listed('other')).toEqual([])
    const options = { repository: 'other' }
    await expect(store.fetch(sbom.root.descriptor, options)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('stays when the same one is taken off in another repository', async () => {
    for (const repository of ['app', 'other']) await attach(repository, sbom)
    await detach('other', sbom)
    expect(await listed('other')).toEqual([])
    expect(await listed('app')).toEqual([digestOfRoot(sbom)])
    const content = await store.fetch(sbom.root.descriptor, { repository: 'app' })
    expect(Buffer.concat(await Array.fromAsync(content))).toEqual(Buffer.from(sbom.root.content))
  })

  it('is described as the manifest describes itself, without reading it', async () => {
    await attach('app', sbom)
    const faulty = new FaultyBackend(backend, {
      before: ({ method, key }) => {
        if (method === 'get' && key.startsWith(recordsPrefix('app'))) throw new Error('not read')
      },
    })
    const [found] = await Array.fromAsync(new ImageStore(faulty).referrers('app', subject))
    expect(found).toEqual({ ...sbom.root.descriptor, artifactType: 'application/spdx+json' })
  })
})

describe('the entry of a referrer', () => {
  it('is written behind the record and removed before it, so none is listed that is not there', async () => {
    const writes: string[] = []
    const watched = new FaultyBackend(backend, {
      before: ({ method, key }) => {
        if (method === 'put' && key.includes('/repositories/')) writes.push(key)
      },
    })
    await attach('app', sbom, new ImageStore(watched))
    expect(writes).toEqual([recordKey('app', digestOfRoot(sbom)), entryKeyOf(sbom)])
    await backend.delete([entryKeyOf(sbom)])
    expect(await listed('app')).toEqual([])
  })

  it('without a record lists nothing', async () => {
    for (const each of [sbom, signature]) await attach('app', each)
    await backend.delete([recordKey('app', digestOfRoot(sbom))])
    expect(await listed('app')).toEqual([digestOfRoot(signature)])
  })

  it.each([
    ['is torn', '{"v":'],
    ['is of another version', JSON.stringify({ v: 2, ...sbom.root.descriptor })],
    ['is of another digest', JSON.stringify({ v: 1, ...signature.root.descriptor })],
    ['has another size', JSON.stringify({ v: 1, ...sbom.root.descriptor, size: 1 })],
    ['is no manifest', JSON.stringify({ v: 1, ...sbom.root.descriptor, mediaType: 'text/plain' })],
  ])('that %s hides nothing: the record says the same', async (_, content) => {
    await attach('app', sbom)
    await backend.put(entryKeyOf(sbom), Buffer.from(content))
    const found = await Array.fromAsync(store.referrers('app', subject))
    expect(found).toEqual([{ ...sbom.root.descriptor, artifactType: 'application/spdx+json' }])
  })

  it('that is damaged like its record is an error, after all others', async () => {
    for (const each of [sbom, signature]) await attach('app', each)
    for (const key of [entryKeyOf(sbom), recordKey('app', digestOfRoot(sbom))]) {
      await backend.put(key, Buffer.from('{}'))
    }
    const seen: string[] = []
    const listing = (async () => {
      for await (const { digest } of store.referrers('app', subject)) seen.push(digest)
    })()
    await expect(listing).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(seen).toEqual([digestOfRoot(signature)])
  })

  it('that was put at another subject is not believed once it is damaged', async () => {
    await attach('app', sbom)
    const other = imageFixture({ layers: ['other'] }).root.descriptor
    const key = referrerEntryKey('app', other.digest, digestOfRoot(sbom))
    await backend.put(key, Buffer.from('{}'))
    await expect(Array.fromAsync(store.referrers('app', other))).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })
})

describe('what it takes', () => {
  /** Requests for what is below `.s3lo/`, without those for pins. */
  async function countOf(run: (target: ImageStore) => Promise<unknown>): Promise<string> {
    const calls: string[] = []
    const counted = new FaultyBackend(backend, {
      before: ({ method, key }) => {
        if (!key.startsWith('.s3lo/gc/')) calls.push(method)
      },
    })
    await run(new ImageStore(counted))
    return calls.join(' ')
  }

  it('to attach one is a look and a write for each blob, and two writes', async () => {
    // Each digest once.
    const blobs = sbom.content.size
    const looks = Array.from({ length: blobs }, () => 'head put').join(' ')
    expect(await countOf((target) => attach('app', sbom, target))).toBe(`${looks} put put`)
    const again = Array.from({ length: blobs }, () => 'head').join(' ')
    expect(await countOf((target) => attach('app', sbom, target))).toBe(`${again} put put`)
  })

  it('to list one is a listing, a read and a look', async () => {
    await attach('app', sbom)
    expect(await countOf((target) => listed('app', target))).toBe('list get head')
    expect(await countOf((target) => listed('other', target))).toBe('list')
  })
})

describe('many referrers', () => {
  const many = Array.from({ length: 40 }, (_, i) => referrerFixture(subject, 'a/b', `no. ${i}`))

  it('are all listed in the order of their digests, those without a record left out', async () => {
    const lost = new Set([3, 8, 9, 39].map((i) => digestOfRoot(many[i] ?? sbom)))
    for (const each of many) await attach('app', each)
    for (const digest of lost) await backend.delete([recordKey('app', digest)])
    const expected = many.map(digestOfRoot).filter((digest) => !lost.has(digest))
    expect(await listed('app')).toEqual(expected.toSorted())
  })

  it('cost one listing of records and no look at each of them', async () => {
    for (const each of many) await attach('app', each)
    const calls = new Map<string, number>()
    const counted = new FaultyBackend(backend, {
      before: ({ method }) => void calls.set(method, (calls.get(method) ?? 0) + 1),
    })
    await listed('app', new ImageStore(counted))
    expect(Object.fromEntries(calls)).toEqual({ list: 2, get: many.length, head: 8 })
  })

  it('are listed from a digest on', async () => {
    for (const each of many) await attach('app', each)
    const all = await listed('app')
    const rest = await Array.fromAsync(store.referrers('app', subject, { after: all[29] ?? '' }))
    expect(rest.map(({ digest }) => digest)).toEqual(all.slice(30))
  })

  it('are listed as far as they are asked for', async () => {
    for (const each of many) await attach('app', each)
    let reads = 0
    const counted = new FaultyBackend(backend, {
      before: ({ method }) => {
        if (method === 'get') reads++
      },
    })
    for await (const _ of new ImageStore(counted).referrers('app', subject)) break
    expect(reads).toBeLessThanOrEqual(16)
  })
})
