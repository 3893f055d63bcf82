import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byUtf8 } from '../../src/layout/key-order.ts'
import type { WindowOptions } from '../../src/store/name-window.ts'
import type { TagEntry } from '../../src/store/tag-entry.ts'
import { readImageTags, readRepositories, readTagEntries, readTags } from '../../src/store/tags.ts'
import { FaultyBackend, MemoryBackend } from '../../src/testing/index.ts'

interface Tag {
  readonly repository: string
  readonly tag: string
  readonly layout: TagEntry['layout']
}

const EMPTY = Buffer.from('{}')

async function putTag(backend: MemoryBackend, { repository, tag, layout }: Tag): Promise<void> {
  if (layout === '1.1.0') {
    await backend.put(`manifests/${repository}/${tag}/history.json`, EMPTY)
    await backend.put(`manifests/${repository}/${tag}/manifest.json`, EMPTY)
    await backend.put(`manifests/${repository}/${tag}/signatures/${'0'.repeat(16)}.json`, EMPTY)
    return
  }
  await backend.put(`${repository}/${tag}/blobs/sha256/${'0'.repeat(64)}`, EMPTY)
  await backend.put(`${repository}/${tag}/manifest.json`, EMPTY)
}

async function storeOf(tags: readonly Tag[]): Promise<MemoryBackend> {
  const backend = new MemoryBackend({ bucket: 'b' })
  for (const tag of tags) await putTag(backend, tag)
  return backend
}

function current(repository: string, ...tags: readonly string[]): readonly Tag[] {
  return tags.map((tag) => ({ repository, tag, layout: '1.1.0' }))
}

function legacy(repository: string, ...tags: readonly string[]): readonly Tag[] {
  return tags.map((tag) => ({ repository, tag, layout: '1.0.0' }))
}

type ReadWindow = (options: WindowOptions) => AsyncIterable<string>

/** All names, read in windows of so many. */
async function inWindows(read: ReadWindow, limit: number): Promise<readonly string[]> {
  const names: string[] = []
  for (;;) {
    const window = await Array.fromAsync(read({ limit, after: names.at(-1) }))
    names.push(...window)
    if (window.length < limit) return names
    expect(window).toHaveLength(limit)
  }
}

function sorted(names: Iterable<string>): readonly string[] {
  return [...new Set(names)].toSorted(byUtf8)
}

function tagsOf(tags: readonly Tag[], repository: string): readonly string[] {
  return sorted(tags.filter((tag) => tag.repository === repository).map(({ tag }) => tag))
}

/** As {@link readTagEntries}: v1.1.0 hides v1.0.0. */
function entriesOf(tags: readonly Tag[]): readonly string[] {
  const layouts = new Map<string, string>()
  for (const { repository, tag, layout } of tags.toSorted((a, b) => byUtf8(a.layout, b.layout))) {
    layouts.set(`${repository}:${tag}`, layout)
  }
  return sorted(Array.from(layouts, ([name, layout]) => `${name} ${layout}`))
}

const part = fc.stringMatching(/^[ab0](?:[-._]?[ab0]){0,2}$/)
const tagName = fc.oneof(
  part,
  fc.constantFrom('v1', 'v1-rc', 'v1.0', 'v10', 'm', 'n\u{10000}', 'n\uffff'),
)
const repositoryName = fc
  .array(part, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
const anyTags: fc.Arbitrary<readonly Tag[]> = fc.array(
  fc.record({
    repository: repositoryName,
    tag: tagName,
    layout: fc.constantFrom('1.0.0' as const, '1.1.0' as const),
  }),
  { maxLength: 25 },
)

describe('the tags of a repository', () => {
  const four = ['v1', 'v1-rc', 'v1.0', 'v10']

  it.each(['1.1.0', '1.0.0'] as const)(
    'are in the order of their bytes in windows of any size, without those of nested ones (layout %s)',
    async (layout) => {
      const nested = [...current('app/v1', 'a', 'z'), ...current('app/v1.0/web', 'v1', 'v2')]
      const own = four.map((tag) => ({ repository: 'app', tag, layout }))
      const backend = await storeOf([...own, ...nested, ...current('app-1', 'v1')])
      const read: ReadWindow = (options) => readTags(backend, 'app', options)
      expect(await Array.fromAsync(read({}))).toEqual(four)
      for (let n = 1; n <= 6; n++) expect(await inWindows(read, n)).toEqual(four)
      expect(await Array.fromAsync(read({ after: 'v1-' }))).toEqual(['v1-rc', 'v1.0', 'v10'])
      expect(await Array.fromAsync(read({ after: 'v1.0' }))).toEqual(['v10'])
      expect(await Array.fromAsync(read({ limit: 0 }))).toEqual([])
    },
  )

  it('of a tag in both layouts are one', async () => {
    const backend = await storeOf([...current('app', 'v1'), ...legacy('app', 'v0', 'v1', 'v2')])
    expect(await Array.fromAsync(readTags(backend, 'app'))).toEqual(['v0', 'v1', 'v2'])
    const entries = await Array.fromAsync(readImageTags(backend, 'app'))
    expect(entries.map(({ tag, layout }) => [tag, layout])).toEqual([
      ['v0', '1.0.0'],
      ['v1', '1.1.0'],
      ['v2', '1.0.0'],
    ])
  })

  it('equal those of a plain search, whole and in windows, for any store', async () => {
    await fc.assert(
      fc.asyncProperty(anyTags, fc.integer({ min: 1, max: 4 }), async (tags, limit) => {
        const backend = await storeOf(tags)
        for (const repository of new Set(tags.map((tag) => tag.repository))) {
          const read: ReadWindow = (options) => readTags(backend, repository, options)
          const expected = tagsOf(tags, repository)
          expect(await Array.fromAsync(read({}))).toEqual(expected)
          expect(await inWindows(read, limit)).toEqual(expected)
          const entries = await Array.fromAsync(readImageTags(backend, repository))
          expect(sorted(entries.map(({ tag }) => tag))).toEqual(expected)
          expect(entries).toHaveLength(expected.length)
        }
        const all = await Array.fromAsync(readTagEntries(backend, ''))
        const found = all.map(({ image, tag, layout }) => `${image}:${tag} ${layout}`)
        expect(found.toSorted(byUtf8)).toEqual(entriesOf(tags))
      }),
      { numRuns: 150 },
    )
  })

  it('cost one listing of each layout and no request for each tag', async () => {
    const tags = Array.from({ length: 50 }, (_, i) => `v${i}`)
    const inner = await storeOf([...current('app', ...tags), ...legacy('app', ...tags)])
    const backend = new FaultyBackend(inner)
    for await (const _ of readTags(backend, 'app')) continue
    for await (const _ of readImageTags(backend, 'app')) continue
    for await (const _ of readTagEntries(backend, 'app/')) continue
    expect(backend.calls.map(({ method }) => method)).toEqual(Array(6).fill('list'))
  })

  it('are looked for one by one only where a window ends and an earlier name may follow', async () => {
    const tags = Array.from({ length: 50 }, (_, i) => `1.2.${i}`)
    const backend = new FaultyBackend(await storeOf(current('app', '1', ...tags)))
    const window = await Array.fromAsync(readTags(backend, 'app', { limit: 3 }))
    expect(window).toEqual(['1', '1.2.0', '1.2.1'])
    const looks = backend.calls.filter(({ method }) => method === 'head').map(({ key }) => key)
    expect(looks).toEqual(['manifests/app/1/manifest.json', 'manifests/app/1.2/manifest.json'])
  })

  it('are a failure where a look or a listing fails', async () => {
    const backend = new FaultyBackend(await storeOf(current('app', 'v1', 'v1.0', 'v1.1')))
    const failure = new Error('no answer')
    for (const failing of ['head', 'list']) {
      backend.faults = {
        before: ({ method }) => {
          if (method === failing) throw failure
        },
      }
      await expect(Array.fromAsync(readTags(backend, 'app', { limit: 1 }))).rejects.toBe(failure)
    }
  })
})

describe('the tags of a repository with many nested ones', () => {
  /** Counts the listings below `manifests/`, and the keys that they give. */
  async function counted(skipsByReading: boolean) {
    const backend = await storeOf(current('app', 'a', 'x', 'x-1', 'z'))
    for (let i = 0; i < 6000; i++) {
      const folder = ['x/a', 'x/z', 'y/web'][i % 3]
      await backend.put(`manifests/app/${folder}/v${i}/manifest.json`, EMPTY)
    }
    const counts = { listings: 0, keys: 0 }
    const store = Object.assign(Object.create(backend) as MemoryBackend, {
      skipsByReading,
      head: backend.head.bind(backend),
      listPrefixes: backend.listPrefixes.bind(backend),
      async *list(...[prefix, options]: Parameters<MemoryBackend['list']>) {
        const isCounted = prefix.startsWith('manifests/')
        if (isCounted) counts.listings++
        for await (const info of backend.list(prefix, options)) {
          if (isCounted) counts.keys++
          yield info
        }
      },
    })
    return { store, counts }
  }

  it('are found without reading what is nested', async () => {
    const { store, counts } = await counted(false)
    expect(await Array.fromAsync(readTags(store, 'app'))).toEqual(['a', 'x', 'x-1', 'z'])
    expect(counts.listings).toBe(4)
    expect(counts.keys).toBeLessThan(3100)
  })

  it('are found in one listing where a store cannot start at a key', async () => {
    const { store, counts } = await counted(true)
    expect(await Array.fromAsync(readTags(store, 'app'))).toEqual(['a', 'x', 'x-1', 'z'])
    expect(counts.listings).toBe(1)
  })
})

describe('the repositories of a store', () => {
  it('are in the order of their bytes in windows of any size', async () => {
    const names = ['app', 'app-1', 'app/web', 'app.x', 'b', 'old/app']
    const backend = await storeOf(
      names.flatMap((name) => (name.startsWith('old') ? legacy(name, 'v1') : current(name, 'v1'))),
    )
    const read: ReadWindow = (options) => readRepositories(backend, options)
    for (let n = 1; n <= 7; n++) expect(await inWindows(read, n)).toEqual(sorted(names))
    expect(await Array.fromAsync(read({ limit: 0 }))).toEqual([])
    const below = await Array.fromAsync(readRepositories(backend, { filter: 'app/' }))
    expect(below).toEqual(['app', 'app/web'])
  })

  it('equal those of a plain search, whole and in windows, for any store', async () => {
    await fc.assert(
      fc.asyncProperty(anyTags, fc.integer({ min: 1, max: 4 }), async (tags, limit) => {
        const backend = await storeOf(tags)
        const read: ReadWindow = (options) => readRepositories(backend, options)
        const expected = sorted(tags.map(({ repository }) => repository))
        expect(await Array.fromAsync(read({}))).toEqual(expected)
        expect(await inWindows(read, limit)).toEqual(expected)
      }),
      { numRuns: 100 },
    )
  })

  it('are read no further than a window has to', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `app${String(i).padStart(3, '0')}`)
    const backend = await storeOf(names.flatMap((name) => current(name, 'v1')))
    let last = ''
    const listed = backend.list.bind(backend)
    backend.list = async function* (prefix, options) {
      for await (const info of listed(prefix, options)) {
        if (prefix.startsWith('manifests/')) last = info.key
        yield info
      }
    }
    const window = await Array.fromAsync(readRepositories(backend, { limit: 2, after: 'app100' }))
    expect(window).toEqual(['app101', 'app102'])
    expect(last).toBe('manifests/app103/v1/manifest.json')
  })
})
