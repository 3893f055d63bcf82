import { expect, it } from 'vitest'
import { manifestKey } from '../../src/layout/keys.ts'
import type { ManifestDocument } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { ManifestMemory } from '../../src/store/manifest-memory.ts'
import { readAll } from '../../src/stream/read-all.ts'
import { FaultyBackend, imageFixture, MemoryBackend } from '../../src/testing/index.ts'

it('of more manifests than fit, the older ones are read again', async () => {
  const { root } = imageFixture({ layers: [] })
  const { digest } = root.descriptor
  const memory = new ManifestMemory(root.content.byteLength + 1024)
  let reads = 0
  const again = (): Promise<ManifestDocument> => {
    reads++
    return Promise.resolve(root)
  }
  const gone = (): Promise<undefined> => Promise.resolve(undefined)
  memory.add(digest, root.content, again)
  expect(await memory.content(digest, {})).toEqual(root.content)
  expect(reads).toBe(0)
  memory.add('other', root.content, gone)
  expect(await memory.content(digest, {})).toEqual(root.content)
  expect(reads).toBe(1)
  expect(await memory.content('other', {})).toBeUndefined()
  expect(await memory.content('unknown', {})).toBeUndefined()
})

it('a store that has read very many manifests still gives the first ones', async () => {
  const backend = new FaultyBackend(new MemoryBackend())
  const store = new ImageStore(backend)
  const { root } = imageFixture({ layers: [] })
  const manifest = JSON.parse(Buffer.from(root.content).toString()) as object
  for (let i = 0; i < 6; i++) {
    const entries = Array.from({ length: 100 }, (_, j) => [`${i}.${j}`, 'x'.repeat(35_000)])
    const large = { ...manifest, annotations: Object.fromEntries(entries) as object }
    const content = Buffer.from(JSON.stringify(large))
    await backend.put(manifestKey({ name: 'app', tag: `v${i}` }), content)
  }
  const roots = []
  for (let i = 0; i < 6; i++) roots.push(await store.read({ name: 'app', tag: `v${i}` }))
  backend.calls.splice(0)
  for (const { descriptor, content } of roots) {
    const stream = await store.fetch(descriptor)
    expect(Buffer.from(content).equals(await readAll(stream, content.byteLength, 'root'))).toBe(
      true,
    )
  }
  expect(backend.calls.length).toBeGreaterThan(0)
})
