import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { clean, type CleanOptions } from '../../src/operations/clean.ts'
import type { CleanResult } from '../../src/operations/clean-result.ts'
import { blobKey, manifestKey, referrerBlobKey } from '../../src/layout/keys.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend, putImage } from '../../src/testing/index.ts'

const CENSUS = '.s3lo/gc/tags/'
const ID = '0123456789abcdef0123456789abcdef'
const LOST = blobKey(`sha256:${'a'.repeat(64)}`)

let time: number
let backend: MemoryBackend

beforeEach(() => {
  time = Date.UTC(2026, 5, 1)
  backend = new MemoryBackend({ now: () => new Date(time) })
})

function run(options: CleanOptions = {}, through: StorageBackend = backend): Promise<CleanResult> {
  const store = new ImageStore(through)
  return clean(store, '', { graceMs: 0, now: () => time, confirm: true, ...options })
}

async function keys(prefix = ''): Promise<readonly string[]> {
  return (await Array.fromAsync(backend.list(prefix))).map(({ key }) => key)
}

async function plantTags(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await putImage(backend, { name: 'app', tag: `v${i}` }, imageFixture({ layers: [`layer ${i}`] }))
  }
}

async function dropTags(count: number): Promise<void> {
  const all = (await keys('manifests/')).slice(0, count)
  await backend.delete(all)
}

/** The store as one sees it whose listings of tags from number `from` on say nothing. */
function lying(from: number): StorageBackend {
  let listings = 0
  return new Proxy(backend, {
    get: (target, name) => {
      if (name !== 'list') {
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? member.bind(target) : member
      }
      return (...args: Parameters<StorageBackend['list']>) =>
        args[0].startsWith('manifests/') && ++listings >= from
          ? Readable.from([])
          : target.list(...args)
    },
  })
}

describe('the count of tags that a clean is held against', () => {
  it('is not there for the first clean, and is kept by each that changes something', async () => {
    await plantTags(3)
    await run({ confirm: false })
    expect(await keys(CENSUS)).toEqual([])
    for (let i = 0; i < 3; i++) {
      time += 1000
      await run()
    }
    expect(await keys(CENSUS)).toEqual([expect.stringMatching(/\/000000000003-[0-9a-f]{32}\.txt$/)])
  })

  it.each([{ confirm: true }, { confirm: false }, { only: 'tags' }, { only: 'blobs' }] as const)(
    'stops a clean (%o) that sees fewer than half, and nothing is changed',
    async (options) => {
      await plantTags(5)
      await run()
      await dropTags(3)
      const before = await keys()
      await expect(run(options)).rejects.toMatchObject({
        code: 'INTEGRITY',
        message: expect.stringMatching(/2 tags.* 5 /),
        hint: expect.stringContaining('--expect-fewer'),
      })
      expect(await keys()).toEqual(before)
    },
  )

  it('lets a clean run that expects fewer, and is counted anew by it', async () => {
    await plantTags(5)
    await run()
    await dropTags(4)
    expect(await run({ expectFewer: true })).toMatchObject({ deleted: 8 })
    expect(await run()).toMatchObject({ deleted: 0 })
  })

  it('lets half of the tags go', async () => {
    await plantTags(4)
    await run()
    await dropTags(2)
    expect(await run()).toMatchObject({ deleted: 4 })
  })

  it('is made without the tags that the rules of the same clean drop', async () => {
    await plantTags(9)
    await run()
    await backend.put('s3lo.yaml', Buffer.from('default: { lifecycle: { keep_last: 1 } }'))
    expect(await run({ confirm: false })).toMatchObject({ tags_deleted: 8 })
    expect(await run()).toMatchObject({ tags_deleted: 8, deleted: 0 })
    expect(await run()).toMatchObject({ tags_deleted: 0, deleted: 0 })
  })

  it.each([LOST, referrerBlobKey(`sha256:${'a'.repeat(64)}`)])(
    'stops a clean that sees %s and not one tag',
    async (key) => {
      await backend.put(key, Buffer.from('x'))
      await expect(run()).rejects.toMatchObject({ code: 'INTEGRITY' })
      await expect(run({ confirm: false })).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await keys()).toEqual([key])
      expect(await run({ expectFewer: true })).toMatchObject({ deleted: 1 })
    },
  )

  it('has nothing against an empty store', async () => {
    await backend.put('s3lo.yaml', Buffer.from(''))
    expect(await run()).toMatchObject({ deleted: 0 })
  })

  it.each([2, 3, 4])('stops a clean whose listing number %i loses the tags', async (number) => {
    await plantTags(4)
    await backend.put(LOST, Buffer.from('x'))
    await backend.put('s3lo.yaml', Buffer.from('default: { lifecycle: { keep_last: 9 } }'))
    const before = await keys()
    const result = run({}, lying(number))
    // The second listing dates tags: what it does not show is not judged.
    await expect(result).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await keys()).toEqual(before)
  })

  it.each([
    `${CENSUS}000000000900`,
    `${CENSUS}900-${ID}.txt`,
    `${CENSUS}x/000000000900-${ID}.txt`,
    `${CENSUS}000000000900-${ID}.txt/manifest.json`,
  ])('is not read from %s, which stays', async (key) => {
    await plantTags(1)
    await backend.put(key, Buffer.from('torn'))
    await run()
    expect(await keys(CENSUS)).toContain(key)
  })

  it('stops at a forged number until the operator has spoken, and then forgets it', async () => {
    await plantTags(1)
    await run()
    time += 1000
    await backend.put(`${CENSUS}999999999999-${ID}.txt`, Buffer.from(''))
    await expect(run()).rejects.toMatchObject({ code: 'INTEGRITY' })
    time += 1000
    await run({ expectFewer: true })
    await run()
    expect(await keys(CENSUS)).toHaveLength(1)
  })

  it('outlives cleans that run at once', async () => {
    await plantTags(2)
    await Promise.all([run(), run(), run()])
    time += 1000
    await Promise.all([run(), run(), run()])
    time += 1000
    await run()
    expect(await keys(CENSUS)).toHaveLength(1)
    expect(await backend.head(manifestKey({ name: 'app', tag: 'v0' }))).toBeDefined()
  })
})
