import { beforeEach, describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { clean, type CleanOptions } from '../../src/operations/clean.ts'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { FixtureSource, imageFixture, type ImageFixture } from '../../src/testing/fixtures.ts'
import { MemoryBackend } from '../../src/testing/memory-backend.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const KEPT_DAYS = 14
const V1 = { name: 'app', tag: 'v1' }
const PLACE = { scheme: 'memory', bucket: 'memory', name: 'app' }

let time: number
let backend: MemoryBackend
let store: ImageStore

beforeEach(() => {
  time = Date.UTC(2026, 0, 1)
  backend = new MemoryBackend({ now: () => new Date(time) })
  store = new ImageStore(backend)
})

async function push(image: ImageFixture): Promise<void> {
  const source = new FixtureSource({ 'app:v1': image })
  await copy({ source, reference: V1 }, { target: store, reference: V1 })
}

/** With nothing but what the user says. */
function cleanUp(options?: CleanOptions): ReturnType<typeof clean> {
  return clean(store, '', { confirm: true, ...options })
}

/** Reads every byte by the digest. */
async function isPullable({ root }: ImageFixture): Promise<boolean> {
  const reference = { name: 'app', digest: root.descriptor.digest }
  const target = new ImageStore(new MemoryBackend())
  try {
    await copy({ source: new ImageStore(backend), reference }, { target, reference: V1 })
    return true
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) return false
    throw error
  }
}

async function blobsOf({ content }: ImageFixture): Promise<number> {
  const heads = await Promise.all(
    [...content.keys()].map((digest) => backend.head(blobKey(digest))),
  )
  return heads.filter((info) => info !== undefined).length
}

describe('clean with default settings', () => {
  it('frees nothing that is younger than 14 days without a tag, and all that is older', async () => {
    const images = Array.from({ length: 20 }, (_, n) => imageFixture({ layers: [`day ${n}`] }))
    for (const image of images) {
      await push(image)
      time += DAY
    }
    // The last one has its tag. The one before lost it a day ago, the one before that two days ago.
    const daysAgo = (n: number): number => images.length - 1 - n
    const kept = images.map((_, n) => n === images.length - 1 || daysAgo(n) <= KEPT_DAYS)
    const first = await cleanUp()
    expect(first.records_deleted).toBe(kept.filter((isKept) => !isKept).length)
    expect(await Promise.all(images.map(isPullable))).toEqual(kept)
    // What only they needed is found now, and goes after the grace period.
    expect(first.deleted).toBe(0)
    time += HOUR + 1
    await cleanUp()
    expect(await Promise.all(images.map(blobsOf))).toEqual(kept.map((isKept) => (isKept ? 2 : 0)))
    expect(await Promise.all(images.map(isPullable))).toEqual(
      // An hour later, one more has been without a tag for 14 days.
      images.map((_, n) => n === images.length - 1 || daysAgo(n) < KEPT_DAYS),
    )
  })

  it('frees a purged image as soon as the grace period is over', async () => {
    const [image, purged] = ['stays', 'goes'].map((layer) => imageFixture({ layers: [layer] })) as [
      ImageFixture,
      ImageFixture,
    ]
    await push(purged)
    await push(image)
    time += DAY
    await deleteTag(store, { ...PLACE, digest: purged.root.descriptor.digest })
    expect(await isPullable(purged)).toBe(false)
    expect(await cleanUp()).toMatchObject({ deleted: 0 })
    time += HOUR - 1
    expect(await cleanUp()).toMatchObject({ deleted: 0 })
    time += 1
    expect(await cleanUp()).toMatchObject({ deleted: 2 })
    expect([await blobsOf(purged), await blobsOf(image)]).toEqual([0, 2])
  })
})
