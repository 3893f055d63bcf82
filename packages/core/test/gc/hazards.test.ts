import { describe, expect, it } from 'vitest'
import type {
  DeadlineOptions,
  DeleteFailure,
  PutOptions,
} from '../../src/contract/storage-backend.ts'
import { S3loError } from '../../src/errors.ts'
import { collectGarbage } from '../../src/gc/collector.ts'
import { LiveContent } from '../../src/gc/live-content.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import { Protection } from '../../src/gc/protection.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import type { ObjectInfo } from '../../src/contract/storage-backend.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { readVersion } from '../../src/store/read-object.ts'
import { FaultyBackend, MemoryBackend, throwAt } from '../../src/testing/index.ts'
import { layered } from './world.ts'
import type { Readable } from 'node:stream'

const one = layered('one')
const two = layered('two')
const KEY = manifestKey({ name: 'app', tag: 'v1' })

function blobsOf(image: typeof one): readonly { readonly digest: string; readonly size: number }[] {
  return successors(parseManifest(image.root.content, 'image'))
}

/** A store that tells of every write, and repeats those that `isRepeated` selects without an answer. */
class Watched extends MemoryBackend {
  readonly writes: { readonly key: string; readonly notAfter: Date | undefined }[] = []
  isRepeated: (key: string) => boolean = () => false

  override put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    this.writes.push({ key, notAfter: options.notAfter })
    if (this.isRepeated(key)) options.onUnanswered?.()
    return super.put(key, body, options)
  }

  override delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    if (keys.some(this.isRepeated)) options.onUnanswered?.()
    return super.delete(keys, options)
  }

  async keysOf(prefix: string): Promise<readonly string[]> {
    return Array.fromAsync(this.list(prefix), ({ key }) => key)
  }
}

async function publish(backend: Watched): Promise<void> {
  const protection = new Protection(backend, () => Promise.resolve(true))
  await protection.publish({
    key: KEY,
    content: one.root.content,
    digests: blobsOf(one).map(({ digest }) => digest),
  })
  await protection.release()
}

async function withGarbage(backend: Watched): Promise<Watched> {
  for (const [digest, content] of two.content) await backend.put(blobKey(digest), content)
  return backend
}

describe('a request that was sent again without an answer', () => {
  it('leaves the pin of a publication, which may land once more', async () => {
    const backend = new Watched()
    backend.isRepeated = (key) => key === KEY
    await publish(backend)
    expect(await backend.keysOf('.s3lo/gc/pins/')).toHaveLength(1)
  })

  it('leaves the round of a delete, which may land once more', async () => {
    const backend = await withGarbage(new Watched())
    backend.isRepeated = (key) => key.startsWith('blobs/')
    expect(await collectGarbage(backend, { confirm: true, graceMs: 0 })).toMatchObject({
      deleted: 2,
    })
    expect(await backend.keysOf('.s3lo/gc/rounds/')).toHaveLength(1)
  })
})

describe('a pin, a round and a reading of the clock', () => {
  it.each([true, false])(
    'are written as fences where the store enforces deadlines (%s)',
    async (deadlines) => {
      const backend = await withGarbage(new Watched({ guarantees: { deadlines } }))
      await publish(backend)
      await collectGarbage(backend, { confirm: true, graceMs: 0 })
      const control = backend.writes.filter(({ key }) => key.startsWith('.s3lo/gc/'))
      expect(new Set(control.map(({ key }) => key.split('/')[2]))).toEqual(
        new Set(['pins', 'clock', 'rounds']),
      )
      for (const { notAfter } of control) expect(notAfter !== undefined).toBe(deadlines)
    },
  )
})

describe('a tag that is overwritten while it is read', () => {
  it('is known by what was read, so that its first manifest counts when it comes back', async () => {
    const backend = new Watched()
    await backend.put(KEY, one.root.content)
    let overwritten = false
    const faulty = new FaultyBackend(backend, {
      before: async ({ method }) => {
        if (method !== 'get' || overwritten) return
        overwritten = true
        await backend.put(KEY, two.root.content)
      },
    })
    const live = new LiveContent(faulty)
    await live.scan()
    const isLive = (): readonly boolean[] =>
      [one, two].map((image) =>
        blobsOf(image).every(({ digest }) => live.has({ name: nameOf(digest) })),
      )
    expect(isLive()).toEqual([false, true])
    await backend.put(KEY, one.root.content)
    await live.scan()
    expect(isLive()).toEqual([true, true])
  })

  it('is read again', async () => {
    const backend = new Watched()
    await backend.put(KEY, one.root.content)
    const conflict = new S3loError('CONFLICT', 'was changed')
    const faulty = new FaultyBackend(backend, { before: throwAt(1, conflict) })
    const version = await readVersion(faulty, KEY, 10_000)
    expect(version?.content).toEqual(Buffer.from(one.root.content))
  })
})

describe('a manifest that lacks a child', () => {
  it('is no reason to stop when its tag is gone by then', async () => {
    const backend = new Watched()
    const child = { ...one.root.descriptor }
    const index = { schemaVersion: 2, mediaType: INDEX, manifests: [child] }
    await backend.put(KEY, Buffer.from(JSON.stringify(index)))
    const faulty = new FaultyBackend(backend, {
      before: async ({ method, key }) => {
        if (method === 'get' && key.startsWith('blobs/')) await backend.delete([KEY])
      },
    })
    const live = new LiveContent(faulty)
    await live.scan()
    expect(live.unreadable).toEqual([])
    await backend.put(KEY, Buffer.from(JSON.stringify(index)))
    const still = new LiveContent(backend)
    await still.scan()
    expect(still.unreadable).toMatchObject([{ name: 'app:v1', error: { code: 'NOT_FOUND' } }])
  })
})

const INDEX = 'application/vnd.oci.image.index.v1+json'
