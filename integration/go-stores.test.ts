import { cp, mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHost } from '@s3lo/core'
import localPlugin from '@s3lo/backend-local/plugin'
import dockerPlugin from '@s3lo/source-docker/plugin'
import { layout100, layout110, layoutOfChunks, STORES } from './go-stores.ts'
import { requiredData } from './required.ts'

const host = createHost({ plugins: [localPlugin, dockerPlugin] })
/** All tags of the fixtures are younger than this by less than 90 days. */
const NOW = Date.parse('2026-05-01T00:00:00Z')
let work: string

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 's3lo-go-stores-'))
})
afterAll(() => rm(work, { recursive: true, force: true }))

/** A copy of a committed store, as old as its histories say. */
async function copyOf(name: string): Promise<string> {
  const folder = join(work, name)
  await cp(join(STORES, name), folder, { recursive: true })
  for (const key of await keysBelow(folder)) await utimes(join(folder, key), NOW / 1000, NOW / 1000)
  return `local://${folder}//`
}

async function keysBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .toSorted()
}

describe.each([
  { name: 'v1.0.0', generate: layout100 },
  { name: 'v1.1.0', generate: layout110 },
])('the committed store $name', ({ name, generate }) => {
  it('is what its generator makes', async () => {
    const files = generate()
    expect(await keysBelow(join(STORES, name))).toEqual([...files.keys()].toSorted())
    for (const [key, bytes] of files) {
      expect((await readFile(join(STORES, name, key))).equals(bytes), key).toBe(true)
    }
  })
})

/** False for a name that is the digest of frames. */
function isOfContent(key: string): boolean {
  return !/^(?:recipes|indexes)\//.test(key)
}

describe('the committed store v1.1.0-chunks', () => {
  it('has the objects that its generator makes; frames depend on the version of zstd', async () => {
    const made = [...(await layoutOfChunks()).keys()].filter(isOfContent)
    const committed = await keysBelow(join(STORES, 'v1.1.0-chunks'))
    expect(committed.filter(isOfContent)).toEqual(made.toSorted())
  })
})

describe.each([
  {
    name: 'v1.0.0',
    images: [
      { name: 'app', tags: ['v1.0', 'v1.1'] },
      { name: 'worker', tags: ['latest'] },
    ],
    legacy: 3,
  },
  {
    name: 'v1.1.0',
    images: [
      { name: 'app', tags: ['v1.0', 'v1.1'] },
      { name: 'team/web', tags: ['latest'] },
    ],
    legacy: undefined,
  },
  { name: 'v1.1.0-chunks', images: [{ name: 'app', tags: ['v3.0'] }], legacy: undefined },
])('a store $name of the Go program', ({ name, images, legacy }) => {
  let store: string
  const tags = images.flatMap((image) => image.tags.map((tag) => `${image.name}:${tag}`))
  beforeAll(async () => {
    store = await copyOf(name)
  })

  it('is listed', async () => {
    expect(await host.list(store)).toEqual(images)
  })

  it('is inspected and pulled to a layout, digests equal', async () => {
    for (const tag of tags) {
      const inspected = await host.inspect(store + tag)
      const layout = join(work, name, 'layouts', tag.replaceAll(/[/:]/g, '-'))
      await host.copy(store + tag, `oci:${layout}:copy`)
      const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[]
      }
      expect(index.manifests.map(({ digest }) => digest)).toEqual([inspected.digest])
    }
    await rm(join(work, name, 'layouts'), { recursive: true })
  })

  it('is counted', async () => {
    const stats = await host.stats(store)
    expect(stats).toMatchObject({ images: images.length, tags: tags.length, unreadable_tags: 0 })
    expect(stats.legacy_tags).toBe(legacy)
  })

  it('is whole, also when all content is hashed again', async () => {
    const found = await host.doctor(store, { deep: true, probe: false })
    expect(found).toMatchObject({ ok: true, layout_ok: true, config_ok: true, orphaned_blobs: 0 })
    expect(found.legacy_tags?.length).toBe(legacy)
  })

  it('has nothing that a clean would delete, and a clean without --confirm changes nothing', async () => {
    const folder = store.slice('local://'.length, -1)
    const before = await snapshot(folder)
    const cleaned = await host.clean(store, { now: () => NOW, graceMs: 0 })
    expect(cleaned).toMatchObject({ dry_run: true })
    expect(await snapshot(folder)).toEqual(before)
  })
})

async function snapshot(folder: string): Promise<readonly string[]> {
  const keys = await keysBelow(folder)
  return Promise.all(keys.map(async (key) => `${key} ${(await stat(join(folder, key))).size}`))
}

const real = requiredData('alpine-store')

describe.skipIf(real === undefined)('a real store that the Go program wrote', () => {
  it('has the settings and the files of a copied tag that the fixture has', async () => {
    const [folder, fixture] = [real ?? '', join(STORES, 'v1.1.0')]
    const filesOf = (root: string, tag: string): Promise<string[]> =>
      readdir(join(root, 'manifests', tag))
    expect(await filesOf(folder, 'alpine/latest')).toEqual(
      await filesOf(fixture, 'team/web/latest'),
    )
    for (const file of ['oci-layout', 'history.json']) {
      const [theirs, ours] = await Promise.all([
        readFile(join(folder, 'manifests/alpine/latest', file), 'utf8'),
        readFile(join(fixture, 'manifests/team/web/latest', file), 'utf8'),
      ])
      expect(ours.replace(/sha256:[0-9a-f]{64}/, 'DIGEST')).toBe(
        theirs.replace(/sha256:[0-9a-f]{64}/, 'DIGEST'),
      )
    }
    const settings = await readFile(join(folder, 's3lo.yaml'), 'utf8')
    // The real one has an empty line after the comment.
    expect(await readFile(join(fixture, 's3lo.yaml'), 'utf8')).toBe(settings.replace('\n\n', '\n'))
  })
})
