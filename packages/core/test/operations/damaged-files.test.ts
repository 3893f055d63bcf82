import { beforeEach, describe, expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import { recordKey } from '../../src/layout/repository-keys.ts'
import { attachArtifact } from '../../src/operations/attach-artifact.ts'
import { clean } from '../../src/operations/clean.ts'
import { copyTags } from '../../src/operations/copy-tags.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { imageHistory } from '../../src/operations/history.ts'
import { stats } from '../../src/operations/stats.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { FaultyBackend, imageFixture, MemoryBackend, putImage } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const DAY = 86_400_000
const HISTORY = 'manifests/app/v2/history.json'
const MANIFEST = 'manifests/app/v2/manifest.json'
const RECORD = 'manifests/app/v2/signatures/0123456789abcdef.json'

const images = ['one', 'two', 'three'].map((layer) => imageFixture({ layers: [layer] }))

let world: MemoryWorld
let backend: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  backend = world.bucket('b')
  for (const [i, image] of images.entries()) {
    await putImage(backend, { name: 'app', tag: `v${i + 1}` }, image)
    world.images[`app:v${i + 1}`] = image
  }
  await backend.put('s3lo.yaml', Buffer.from('default: {lifecycle: {max_age: 30d}}\n'))
})

/** How one file of app:v2 can be unusable, while the store as a whole answers. */
const DAMAGES: Readonly<Record<string, (key: string) => Promise<MemoryBackend | FaultyBackend>>> = {
  torn: async (key) => {
    await backend.put(key, Buffer.from('{ torn'))
    return backend
  },
  'of another shape': async (key) => {
    await backend.put(key, Buffer.from('[1, {"pushed_at": 7}]'))
    return backend
  },
  'not to be read': async (key) => {
    await backend.put(key, Buffer.from('[]'))
    return new FaultyBackend(backend, {
      before: (call) => {
        if (call.method === 'get' && call.key === key) throw new S3loError('FORBIDDEN', 'no')
      },
    })
  },
}

async function tags(): Promise<readonly string[]> {
  const found = (await Array.fromAsync(backend.list('manifests/app/'))).map(({ key }) => key)
  return found.filter((key) => key.endsWith('/manifest.json')).map((key) => key.slice(14, 16))
}

describe.each(Object.entries(DAMAGES))('a history that is %s', (_, damage) => {
  it('keeps its tag, which clean names, and nothing else', async () => {
    const store = new ImageStore(await damage(HISTORY))
    const now = (): number => Date.now() + 31 * DAY
    const options = { now, confirm: true, explain: true, graceMs: 0 }
    const result = await clean(store, '', options)
    expect(result).toMatchObject({
      tags_deleted: 2,
      undated: [{ image: 'app:v2', message: expect.any(String) }],
      unreadable: [],
    })
    expect(result.tags).toContainEqual(
      expect.objectContaining({ tag: 'v2', keep: true, rule: 'undated' }),
    )
    expect(await tags()).toEqual(['v2'])
  })

  it('is seen by doctor, and history shows the tag all the same', async () => {
    const store = new ImageStore(await damage(HISTORY))
    const report = await doctor(store, '', { probe: false })
    expect(report).toMatchObject({ ok: false, broken: false, file_issues: [{ key: HISTORY }] })
    const rows = await imageHistory(store, 'app')
    expect(rows.map(({ tag }) => tag).toSorted()).toEqual(['v1', 'v2', 'v3'])
  })
})

it('a damaged history is mended by the next push of its tag', async () => {
  await DAMAGES['torn']?.(HISTORY)
  await world.host.push('fix:app:v2', 'mem://b/app:v2')
  const report = await world.host.doctor('mem://b/', { probe: false })
  expect(report).toMatchObject({ ok: true })
  expect(report.file_issues).toBeUndefined()
})

describe.each(Object.entries(DAMAGES))('a manifest that is %s', (how, damage) => {
  it('is its own problem in list, history, stats and doctor', async () => {
    const faulty = await damage(MANIFEST)
    const store = new ImageStore(faulty)
    expect(await world.host.list('mem://b/')).toEqual([{ name: 'app', tags: ['v1', 'v2', 'v3'] }])
    const notices: string[] = []
    const rows = await imageHistory(store, 'app', {
      onProgress: (event) => event.type === 'notice' && notices.push(event.message),
    })
    expect(rows.map(({ tag }) => tag).toSorted()).toEqual(['v1', 'v3'])
    expect(notices).toEqual([expect.stringContaining('app:v2')])
    expect(await stats(store)).toMatchObject({ tags: 3, unreadable_tags: 1 })
    const report = await doctor(store, '', { probe: false })
    expect(report).toMatchObject({ broken: true, manifest_issues: [{ image: 'app:v2' }] })
  })

  it('keeps no tag from retention but its own, where it may be sound', async () => {
    const store = new ImageStore(await damage(MANIFEST))
    const now = (): number => Date.now() + 31 * DAY
    const before = (await Array.fromAsync(backend.list('blobs/'))).length
    const result = await clean(store, '', { now, confirm: true, graceMs: 0 })
    const stay = how === 'not to be read' ? ['v2'] : []
    expect(result).toMatchObject({
      tags_deleted: 3 - stay.length,
      failed: stay.map(() => ({ key: MANIFEST })),
    })
    expect(await tags()).toEqual(stay)
    expect(before).toBeGreaterThan(0)
  })
})

it('a damaged manifest stops no other tag of a copy of all', async () => {
  await DAMAGES['torn']?.(MANIFEST)
  const result = await world.host.copyTags('mem://b/app', 'mem://c/app')
  expect(result).toMatchObject({ tags_copied: 2, tags_failed: 1 })
})

it('a manifest that may not be read stops no other tag of a copy of all', async () => {
  const faulty = new FaultyBackend(backend, {
    before: ({ method, key }) => {
      if (method === 'get' && key === MANIFEST) throw new S3loError('FORBIDDEN', 'no')
    },
  })
  const reference = { name: 'app', tag: 'latest' }
  const from = { source: new ImageStore(faulty), reference }
  const to = { target: new ImageStore(new MemoryBackend()), reference }
  expect(await copyTags(from, to, '*')).toMatchObject({ tags_copied: 2, tags_failed: 1 })
  faulty.faults = {
    before: ({ method }) => {
      if (method === 'get') throw new S3loError('FORBIDDEN', 'no')
    },
  }
  await expect(copyTags(from, to, '*')).rejects.toMatchObject({ code: 'FORBIDDEN' })
})

it('a damaged signature record or referrer is seen by doctor and stops nothing', async () => {
  const store = new ImageStore(backend)
  const sbom = { mediaType: 'application/sbom', content: Buffer.from('{}') }
  const place = { repository: 'app', subject: images[1]!.root.descriptor }
  const digest = await attachArtifact(store, place, sbom)
  await store.close()
  const damaged = recordKey('app', digest)
  await backend.put(damaged, Buffer.from('{}'))
  await backend.put(RECORD, Buffer.from('{ torn'))
  const report = await world.host.doctor('mem://b/', { probe: false })
  expect(report.file_issues?.map(({ key }) => key)).toEqual([damaged, RECORD])
  expect(await world.host.inspect('mem://b/app:v2')).toMatchObject({ is_index: false })
  expect(await world.host.copyTags('mem://b/app', 'mem://c/app')).toMatchObject({ tags_copied: 3 })
})
