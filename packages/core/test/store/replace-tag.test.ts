import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { readTagContent } from '../../src/store/manifests.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend } from '../../src/testing/index.ts'

const reference = { name: 'app', tag: 'v1' }
const [first, second, third] = ['one', 'two', 'three'].map((layer) =>
  imageFixture({ layers: [layer] }),
)

describe('a tag that is replaced', () => {
  it('is published only while it is what was read, where the store compares', async () => {
    const store = new ImageStore(new MemoryBackend())
    await store.begin().tag(first!.root, reference)
    const read = await readTagContent(store.backend, reference)
    expect(digestOf(read!.content)).toBe(first!.root.descriptor.digest)
    const replaces = read?.etag
    await store.begin().tag(second!.root, reference, { replaces })
    const late = store.begin().tag(third!.root, reference, { replaces })
    await expect(late).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await store.resolve(reference)).digest).toBe(second!.root.descriptor.digest)
  })

  it('is published all the same where the store cannot compare', async () => {
    const backend = new MemoryBackend({ guarantees: { compareAndSwap: false } })
    const store = new ImageStore(backend)
    await store.begin().tag(first!.root, reference)
    await store.begin().tag(second!.root, reference, { replaces: 'another' })
    expect((await store.resolve(reference)).digest).toBe(second!.root.descriptor.digest)
  })

  it('that is not there has no content', async () => {
    expect(await readTagContent(new MemoryBackend(), reference)).toBeUndefined()
  })
})
