import { describe, expect, it } from 'vitest'
import { clean } from '../../src/operations/clean.ts'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { stats } from '../../src/operations/stats.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { recordKey, referrerEntryKey } from '../../src/layout/repository-keys.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  referrerFixture,
} from '../../src/testing/fixtures.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const TIME = Date.UTC(2026, 0, 1)
const one = imageFixture({ layers: ['base', 'one'] })
const two = imageFixture({ layers: ['base', 'two'] })
const { digest } = one.root.descriptor

function emptyStore(): ImageStore {
  return new ImageStore(new MemoryBackend({ now: () => new Date(TIME) }))
}

async function push(
  store: ImageStore,
  image: ImageFixture,
  name = 'app',
  tag = 'v1',
): Promise<void> {
  const source = new FixtureSource({ [`${name}:${tag}`]: image })
  const reference = { name, tag }
  await copy({ source, reference }, { target: store, reference })
}

/** Bytes of what only the first image has. */
const HELD = [...one.content]
  .filter(([name]) => !two.content.has(name))
  .reduce((bytes, [, { byteLength }]) => bytes + byteLength, 0)

describe('what stats and doctor say of untagged images', () => {
  it('is nothing while every image has its tag', async () => {
    const store = emptyStore()
    await push(store, one)
    expect(await stats(store)).not.toHaveProperty('untagged')
    const report = await doctor(store, '', { probe: false })
    expect(report).not.toHaveProperty('untagged')
    expect(report).toMatchObject({ ok: true, orphaned_blobs: 0 })
  })

  it('is how many there are, what they alone need, and until when they stay', async () => {
    const store = emptyStore()
    await push(store, one)
    await push(store, two)
    const untagged = {
      images: 1,
      bytes: HELD,
      first_expires_at: '2026-01-15T00:00:00Z',
      last_expires_at: '2026-01-15T00:00:00Z',
    }
    expect(await stats(store)).toMatchObject({ untagged })
    expect(await doctor(store, '', { probe: false })).toMatchObject({
      ok: true,
      orphaned_blobs: 0,
      untagged,
    })
    expect(await stats(store, 'other/')).not.toHaveProperty('untagged')
  })

  it('goes by the setting of their repository', async () => {
    const store = emptyStore()
    const config = 'images: { app: { lifecycle: { keep_untagged: forever } } }'
    await store.backend.put('s3lo.yaml', Buffer.from(config))
    await push(store, one)
    await push(store, two)
    const { untagged } = await stats(store)
    expect(untagged).toEqual({ images: 1, bytes: HELD, kept_forever: 1 })
  })

  it('counts an untagged index once, and no manifest of a tagged one', async () => {
    const store = emptyStore()
    await push(store, indexFixture({ 'linux/amd64': one, 'linux/arm64': two }))
    expect(await stats(store)).not.toHaveProperty('untagged')
    await push(store, two)
    expect((await stats(store)).untagged?.images).toBe(1)
  })

  it('names damaged records and entries that have none', async () => {
    const store = emptyStore()
    await push(store, one)
    const record = recordKey('app', digest)
    const entry = referrerEntryKey('app', digest, two.root.descriptor.digest)
    await store.backend.put(record, Buffer.from('{}'))
    await store.backend.put(entry, Buffer.from('{}'))
    const report = await doctor(store, '', { probe: false })
    expect(report.ok).toBe(false)
    expect(new Set(report.file_issues?.map(({ key }) => key))).toEqual(new Set([record, entry]))
  })

  it.each([
    ['an untagged image', two, /^push the image again, or remove .*: s3lo delete .*@sha256:/],
    ['a tagged image', one, /^push or copy the image to another tag/],
  ])('names what mends the damaged record of %s, and costs no tag', async (_, last, hint) => {
    const store = emptyStore()
    await push(store, one)
    await push(store, last)
    const key = recordKey('app', digest)
    // A bit that has turned, so that the size is right.
    await store.backend.put(key, one.root.content.with(3, 0))
    const report = await doctor(store, '', { probe: false })
    expect(report.file_issues).toMatchObject([{ key, hint: expect.stringMatching(hint) }])
    if (last === two) {
      expect((await clean(store, '', { confirm: true })).unreadable).toHaveLength(1)
      const place = { scheme: 'memory', bucket: 'memory', image: 'app', name: 'app', digest }
      expect(await deleteTag(store, place)).toMatchObject({ tags: [], purged: { records: 1 } })
      await expect(deleteTag(store, place)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    } else await push(store, one, 'app', 'v2')
    expect(await doctor(store, '', { probe: false })).not.toHaveProperty('file_issues')
    expect((await clean(store, '', { confirm: true })).unreadable).toEqual([])
    expect(await Array.fromAsync(store.tags('app'))).toContain('v1')
  })

  it('takes what a referrer needs, and a manifest of its own, for no garbage', async () => {
    const store = emptyStore()
    await push(store, one)
    await store.backend.put(blobKey(digest), one.root.content)
    const { root, content } = referrerFixture(one.root.descriptor, 'application/x', 'about')
    await store.backend.put(recordKey('app', root.descriptor.digest), root.content)
    for (const [name, bytes] of content) await store.backend.put(blobKey(name), bytes)
    const report = await doctor(store, '', { probe: false })
    expect(report).toMatchObject({ orphaned_blobs: 0 })
    expect(report).not.toHaveProperty('untagged')
  })

  it('leaves garbage that no record needs to be garbage', async () => {
    const store = emptyStore()
    await push(store, one)
    const { digest: name } = imageFixture({ layers: ['garbage'] }).root.descriptor
    await store.backend.put(blobKey(name), Buffer.from('garbage'))
    const report = await doctor(store, '', { probe: false })
    expect(report).toMatchObject({ orphaned_blobs: 1, orphaned_bytes: 7 })
  })
})
