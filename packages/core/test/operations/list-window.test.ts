import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { list, type ListedImage } from '../../src/operations/list.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

/** A store with these tags; of layout v1.0.0 where the name begins with `old`. */
async function storeOf(tags: readonly (readonly [image: string, tag: string])[]) {
  const backend = new MemoryBackend({ bucket: 'b' })
  for (const [image, tag] of tags) {
    if (!image.startsWith('old')) {
      await backend.put(`manifests/${image}/${tag}/manifest.json`, Buffer.from('{}'))
      continue
    }
    await backend.put(`${image}/${tag}/manifest.json`, Buffer.from('{}'))
    await backend.put(`${image}/${tag}/blobs/sha256/${'0'.repeat(64)}`, Buffer.from(''))
  }
  return backend
}

/** Every window of so many images, one after another. */
async function windows(backend: MemoryBackend, limit: number): Promise<readonly ListedImage[]> {
  const images: ListedImage[] = []
  for (;;) {
    const window = await list(backend, '', { limit, after: images.at(-1)?.name })
    expect(window.length).toBeLessThanOrEqual(limit)
    images.push(...window)
    if (window.length < limit) return images
  }
}

describe('a window of the images', () => {
  it('is the first by name after a name, with all their tags', async () => {
    const backend = await storeOf([
      ['app', 'a'],
      ['app', 'z'],
      ['app-1', 'v'],
      ['app/web', 'm'],
      ['b', 'v'],
    ])
    expect(await list(backend, '', { limit: 2 })).toEqual([
      { name: 'app', tags: ['a', 'z'] },
      { name: 'app-1', tags: ['v'] },
    ])
    expect(await list(backend, '', { after: 'app-1', limit: 1 })).toEqual([
      { name: 'app/web', tags: ['m'] },
    ])
    expect(await list(backend, 'app/', { limit: 1, after: 'app' })).toEqual([
      { name: 'app/web', tags: ['m'] },
    ])
    expect(await list(backend, '', { after: 'b' })).toEqual([])
  })

  it('follows the one before, with nothing left out or there twice, for any names', async () => {
    const part = fc.stringMatching(/^[ab0](?:[-._]?[ab0]){0,2}$/)
    const name = fc
      .array(part, { minLength: 1, maxLength: 3 })
      .map((parts) => parts.join('/'))
      .chain((text) => fc.constantFrom(text, `old/${text}`))
    const tags = fc.array(fc.tuple(name, fc.constantFrom('a', 'm', 'z')), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(tags, fc.integer({ min: 1, max: 5 }), async (given, limit) => {
        const backend = await storeOf(given)
        expect(await windows(backend, limit)).toEqual(await list(backend))
      }),
      { numRuns: 200 },
    )
  })

  it('reads no further than it has to', async () => {
    const backend = await storeOf(
      Array.from({ length: 500 }, (_, i) => [`app${String(i).padStart(3, '0')}`, 'v'] as const),
    )
    let read = 0
    const listed = backend.list.bind(backend)
    backend.list = async function* (prefix, options) {
      for await (const info of listed(prefix, options)) {
        if (prefix.startsWith('manifests/')) read++
        yield info
      }
    }
    const window = await list(backend, '', { limit: 10, after: 'app249' })
    expect(window[0]?.name).toBe('app250')
    expect(window).toHaveLength(10)
    expect(read).toBeLessThan(20)
  })
})
