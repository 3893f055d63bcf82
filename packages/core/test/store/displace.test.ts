import { beforeEach, describe, expect, it } from 'vitest'
import { collectGarbage } from '../../src/gc/collector.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import { recordKey } from '../../src/layout/repository-keys.ts'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { restore } from '../../src/operations/restore.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { listTagEvents, readTagEvent } from '../../src/store/tag-events.ts'
import {
  dieAt,
  FaultyBackend,
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'

const V1 = { name: 'app', tag: 'v1' }
const PLACE = { scheme: 'memory', bucket: 'memory', image: 'app', ...V1 }
const [first, second, third] = ['one', 'two', 'three'].map((layer) =>
  imageFixture({ layers: [layer] }),
) as [ImageFixture, ImageFixture, ImageFixture]
const index = indexFixture({ 'linux/amd64': first, 'linux/arm64': second })
const HOUR = 3_600_000

let time: number
let inner: MemoryBackend
let backend: FaultyBackend
let store: ImageStore

beforeEach(() => {
  time = Date.UTC(2026, 0, 1)
  inner = new MemoryBackend({ now: () => new Date(time) })
  backend = new FaultyBackend(inner)
  store = new ImageStore(backend)
})

async function push(image: ImageFixture, to = V1, target = store): Promise<void> {
  const source = new FixtureSource({ 'app:v1': image })
  await copy({ source, reference: V1 }, { target, reference: to })
}

function digestOf({ root }: ImageFixture): string {
  return root.descriptor.digest
}

/** Pulls by digest: every manifest and blob of the image, verified. */
async function pull(image: ImageFixture, name = 'app'): Promise<void> {
  const reader = new ImageStore(inner)
  const target = new ImageStore(new MemoryBackend())
  const reference = { name, digest: digestOf(image) }
  await copy({ source: reader, reference }, { target, reference: V1 })
}

async function events(name = 'app'): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const event of listTagEvents(inner, { repository: name })) {
    found.push(await readTagEvent(inner, event))
  }
  return found
}

/** What was asked of the store, as `method place`. */
function requests(): readonly string[] {
  return backend.calls.map(({ method, key }) => {
    const [, area = '', part] = /^(?:\.s3lo\/)?([a-z]+)(?:\/[^_]*?(_?[a-z]+))?/.exec(key) ?? []
    return `${method} ${area === 'repositories' ? /_[a-z]+/.exec(key)?.[0] : area === 'gc' ? part : area}`
  })
}

async function age(): Promise<void> {
  time += 2 * HOUR
}

/** Deletes all that is garbage; records never expire. */
async function sweep(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await collectGarbage(inner, { confirm: true, graceMs: 0 })
    await age()
  }
}

describe('a tag that is moved', () => {
  it('leaves what it named pullable by its digest, and says what has happened', async () => {
    await push(index)
    await age()
    await push(third)
    const record = await inner.head(recordKey('app', digestOf(index)))
    expect(record?.lastModified).toEqual(new Date(time))
    expect(await events()).toMatchObject([
      { tag: 'v1', was: digestOf(index), became: digestOf(third), reason: 'moved' },
    ])
    await sweep()
    await pull(index)
    await pull(first)
    await pull(second)
  })

  it('keeps every image that it ever named, of 50', async () => {
    const images = Array.from({ length: 50 }, (_, i) => imageFixture({ layers: [`layer ${i}`] }))
    for (const image of images) await push(image)
    await sweep()
    for (const image of images) await pull(image)
    expect(await events()).toHaveLength(49)
  })

  it('by a program that writes only tags keeps its image, when s3lo moves it next', async () => {
    await putImage(inner, V1, index)
    await age()
    await push(third)
    await sweep()
    await pull(index)
    await pull(second)
  })

  it('to what it names already displaces nothing', async () => {
    await push(first)
    await push(first)
    expect(await events()).toEqual([])
  })

  it('is moved from garbage that no manifest is in', async () => {
    await inner.put(manifestKey(V1), Buffer.from('{ torn'))
    await push(first)
    expect(await events()).toEqual([])
    expect((await store.resolve(V1)).digest).toBe(digestOf(first))
  })

  it.each([
    ['a push', () => push(second, V1, new ImageStore(inner)), [first, second]],
    ['a program that writes only tags', () => putImage(inner, V1, second), [first, second]],
    ['a delete', () => deleteTag(new ImageStore(inner), PLACE), [first]],
  ])('at the same moment by %s loses neither image', async (_, other, images) => {
    await push(first)
    backend.faults = {
      before: async ({ method, key }) => {
        if (method !== 'put' || key !== manifestKey(V1)) return
        backend.faults = {}
        await other()
      },
    }
    await push(third)
    expect((await store.resolve(V1)).digest).toBe(digestOf(third))
    await sweep()
    for (const image of images) await pull(image)
  })

  it('by many at once loses no image', async () => {
    const images = Array.from({ length: 8 }, (_, i) => imageFixture({ layers: [`at once ${i}`] }))
    await push(first)
    await Promise.all(images.map((image) => push(image, V1, new ImageStore(inner))))
    await sweep()
    for (const image of [first, ...images]) await pull(image)
    // One event for each move that has taken place.
    expect(await events()).toHaveLength(8)
  })

  it('is moved all the same where the store cannot compare', async () => {
    inner = new MemoryBackend({ guarantees: { compareAndSwap: false, createOnly: false } })
    store = new ImageStore(inner)
    await push(first)
    await push(second)
    await pull(first)
  })
})

describe('a tag that is deleted', () => {
  it('leaves its image pullable by its digest, and says so', async () => {
    await push(index)
    await age()
    const result = await deleteTag(store, PLACE)
    expect(result).toMatchObject({ deleted: true, digest: digestOf(index) })
    expect(await events()).toMatchObject([{ was: digestOf(index), reason: 'deleted' }])
    await push(third)
    await sweep()
    await pull(index)
    await pull(first)
  })

  it('of a program that writes only tags keeps its image as well', async () => {
    await putImage(inner, V1, index)
    await putImage(inner, { name: 'other', tag: 'v1' }, third)
    await deleteTag(store, PLACE)
    await sweep()
    await pull(index)
    await pull(second)
  })

  it('is what it is when it is deleted: one that is moved meanwhile is kept as well', async () => {
    await push(first)
    backend.faults = {
      before: async ({ method, key }) => {
        if (method !== 'put' || !key.includes('/_history/')) return
        backend.faults = {}
        await putImage(inner, V1, second)
      },
    }
    expect(await deleteTag(store, PLACE)).toMatchObject({ digest: digestOf(second) })
    expect(await store.find(V1)).toBeUndefined()
    await push(third)
    await sweep()
    await pull(first)
    await pull(second)
    expect(await events()).toMatchObject([{ was: digestOf(second), reason: 'deleted' }])
  })

  it('while it is pushed leaves the image of the push', async () => {
    await push(first)
    backend.faults = {
      before: async ({ method, key }) => {
        if (method !== 'delete' || key !== manifestKey(V1)) return
        backend.faults = {}
        await push(second, V1, new ImageStore(inner))
      },
    }
    await deleteTag(store, PLACE)
    await push(third)
    await sweep()
    await pull(first)
    await pull(second)
  })
})

describe('a purge', () => {
  it('of a tag leaves neither record nor history of its image, and frees it', async () => {
    await push(index)
    await push(third)
    await push(index)
    const result = await deleteTag(store, PLACE, { purge: true })
    // Its own record, those of its two images, and the event of its move.
    expect(result).toMatchObject({ remaining: [], purged: { records: 3, events: 1 } })
    expect(result).not.toHaveProperty('also_in')
    await expect(pull(index)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await pull(third)
    expect(await events()).toMatchObject([{ was: digestOf(third) }])
    await putImage(inner, { name: 'other', tag: 'v1' }, third)
    await sweep()
    expect(await Array.fromAsync(inner.list('blobs/'))).toHaveLength(third.content.size)
  })

  it('of a tag leaves what another tag or index needs, and says what', async () => {
    await push(index)
    await push(index, { name: 'app', tag: 'v2' })
    expect(await deleteTag(store, PLACE, { purge: true })).toMatchObject({
      remaining: ['app:v2'],
      purged: { records: 0 },
    })
    await pull(index)
    await push(first)
    expect(await deleteTag(store, PLACE, { purge: true })).toMatchObject({
      remaining: ['app:v2'],
      purged: { records: 1 },
    })
    await pull(index)
    await pull(first)
  })

  it('names the repositories that have the same image or a part of it, whose own stays', async () => {
    for (const name of ['app', 'team/all', 'team/same']) await push(index, { name, tag: 'v1' })
    await push(first, { name: 'part', tag: 'v1' })
    await push(third, { name: 'other', tag: 'v1' })
    const result = await deleteTag(store, PLACE, { purge: true })
    expect(result).toMatchObject({ also_in: ['part', 'team/all', 'team/same'] })
    await sweep()
    await pull(index, 'team/all')
    await pull(first, 'part')
  })

  it('of a digest leaves what it lists, and lists no other repository, where that is asked for', async () => {
    await push(index)
    await push(index, { name: 'other', tag: 'v1' })
    const { scheme, bucket } = backend
    const place = { scheme, bucket, name: 'app', digest: digestOf(index) }
    const result = await deleteTag(store, place, { keepChildren: true, alsoIn: false })
    expect(result).toMatchObject({ tags: ['v1'], remaining: [], purged: { records: 1 } })
    expect(result).not.toHaveProperty('also_in')
    await expect(pull(index)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await pull(first)
    await pull(second)
  })

  it('of a digest takes every tag that names it, and leaves what shares its manifests', async () => {
    await push(index)
    await push(index, { name: 'app', tag: 'v2' })
    await push(first, { name: 'app', tag: 'v3' })
    const result = await deleteTag(store, { ...PLACE, digest: digestOf(index) })
    expect(result).toMatchObject({ tags: ['v1', 'v2'], remaining: [], purged: { records: 2 } })
    expect(await Array.fromAsync(store.tags('app'))).toEqual(['v3'])
    await pull(first)
    await expect(pull(index)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(deleteTag(store, { ...PLACE, digest: digestOf(index) })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('a purge beside a move that has looked at its tag again', () => {
  /** Moves the tag, and calls `beside` before the move writes the record of what it displaces. */
  async function moveBeside(beside: () => Promise<void>): Promise<void> {
    await push(first)
    const key = recordKey('app', digestOf(first))
    let isReached = false
    backend.faults = {
      before: async (call) => {
        if (isReached || call.method !== 'put' || call.key !== key) return
        isReached = true
        await beside()
      },
    }
    await push(second)
    expect(isReached).toBe(true)
  }

  it('waits for it, says so, and leaves no record', async () => {
    const notices: string[] = []
    const purger = new ImageStore(inner)
    const polls = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
    const moved = Promise.withResolvers<void>()
    let looks = 0
    let purged: Promise<unknown> = Promise.resolve()
    const delay = (): Promise<void> => {
      polls[looks++]?.resolve()
      return looks < polls.length ? Promise.resolve() : moved.promise
    }
    await moveBeside(async () => {
      purged = deleteTag(purger, PLACE, {
        purge: true,
        protection: { delay },
        onProgress: (event) => void (event.type === 'notice' && notices.push(event.code)),
      })
      await polls[1].promise
    })
    moved.resolve()
    expect(await purged).toMatchObject({ digest: digestOf(first), purged: { records: 1 } })
    expect(notices).toContain('waiting-for-push')
    expect(await inner.head(recordKey('app', digestOf(first)))).toBeUndefined()
    expect((await store.resolve(V1)).digest).toBe(digestOf(second))
    await sweep()
    await pull(second)
    expect(await Array.fromAsync(inner.list('.s3lo/gc/rounds/'))).toEqual([])
  })

  it('fails when it has no time to wait, keeps what is there whole, and can be repeated', async () => {
    const purger = new ImageStore(inner)
    await moveBeside(async () => {
      await expect(deleteTag(purger, PLACE, { purge: true, maxWaitMs: 0 })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        hint: expect.stringMatching(/s3lo delete .*app@sha256:/),
      })
    })
    await sweep()
    await pull(first)
    const again = { ...PLACE, digest: digestOf(first) }
    expect(await deleteTag(purger, again)).toMatchObject({ purged: { records: 1 } })
    await expect(pull(first)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('a process that is stopped for weeks', () => {
  const WEEKS = 20 * 24 * HOUR

  it.each([
    ['before its first record', '/_manifests/'],
    ['before the event', '/_history/'],
    ['before the tag', '/v1/manifest.json'],
  ])('%s leaves what it displaces a young record, and the tag one of its own', async (_, part) => {
    await push(index)
    let isStopped = false
    backend.faults = {
      before: ({ method, key }) => {
        if (isStopped || method !== 'put' || !key.includes(part)) return
        isStopped = true
        time += WEEKS
      },
    }
    await push(third)
    expect((await store.resolve(V1)).digest).toBe(digestOf(third))
    for (const image of [index, third]) {
      const record = await inner.head(recordKey('app', digestOf(image)))
      expect(record?.lastModified).toEqual(new Date(time))
    }
    expect(await events()).toHaveLength(1)
    await pull(index)
  })

  it('before it deletes a tag does not delete it any more', async () => {
    await push(first)
    backend.faults = {
      before: ({ method, key }) => {
        if (method === 'delete' && key === manifestKey(V1)) time += WEEKS
      },
    }
    await expect(deleteTag(store, PLACE)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect((await store.resolve(V1)).digest).toBe(digestOf(first))
    expect(await events()).toEqual([])
  })
})

describe('a process that dies', () => {
  const isReadable = async (): Promise<void> => {
    backend.faults = {}
    await sweep()
    await pull(first)
    await pull(second).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'NOT_FOUND' })
    })
  }

  it.each([
    ['moving a tag', () => push(second), 'own'],
    ['moving a tag of a program that writes only tags', () => push(second), 'foreign'],
    ['deleting a tag', () => deleteTag(store, PLACE), 'own'],
    ['deleting a tag of a program that writes only tags', () => deleteTag(store, PLACE), 'foreign'],
  ] as const)('anywhere in %s loses nothing', async (_, work, writer) => {
    for (const when of ['before', 'after'] as const) {
      for (let count = 1; ; count++) {
        inner = new MemoryBackend({ now: () => new Date(time) })
        await putImage(inner, { name: 'other', tag: 'v1' }, third)
        if (writer === 'foreign') await putImage(inner, V1, first)
        else await push(first, V1, new ImageStore(inner))
        backend = new FaultyBackend(inner)
        store = new ImageStore(backend)
        const { faults, died } = dieAt(count, when)
        backend.faults = faults
        const end = await Promise.race([work().then(() => 'done'), died.then(() => 'died')])
        await isReadable()
        if (end === 'done') break
        expect(count).toBeLessThan(60)
      }
    }
  })
})

describe('the requests', () => {
  const V2 = { name: 'app', tag: 'v2' }
  const retag = (): Promise<unknown> =>
    copy({ source: store, reference: V1 }, { target: store, reference: V2 })

  it.each([
    ['a push', 1, () => push(first), ['put _manifests', 'put manifests']],
    ['an unchanged push', 1, () => push(first), ['head _manifests', 'put manifests']],
    [
      'a move',
      5,
      () => push(second),
      [
        'put _manifests',
        'head _manifests',
        'get manifests',
        'put _manifests',
        'put _history',
        'put manifests',
      ],
    ],
    ['a retag', 1, retag, ['put _manifests', 'put manifests']],
    [
      'a delete',
      5,
      () => deleteTag(store, PLACE),
      ['head _manifests', 'get manifests', 'put _manifests', 'put _history', 'head manifests'],
    ],
  ])('of %s are %i more for what stays pullable by its digest', async (name, more, work, parts) => {
    if (name !== 'a push') await push(first)
    backend.calls.length = 0
    await work()
    const all = requests()
    const start = all.indexOf(parts[0]!)
    expect(all.slice(start, start + parts.length)).toEqual(parts)
    const own = parts.filter((part) => part !== 'put manifests')
    expect(own).toHaveLength(more)
    // A tag that is not moved is not read a second time.
    if (name === 'an unchanged push') expect(all).toHaveLength(10)
  })

  it('of a restore are 21 in all', async () => {
    await push(first)
    await deleteTag(store, PLACE)
    backend.calls.length = 0
    await restore(store, PLACE)
    expect(requests()).toHaveLength(21)
  })
})
