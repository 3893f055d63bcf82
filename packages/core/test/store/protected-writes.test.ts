import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { StreamingSource } from '../../src/contract/image-source.ts'
import { isS3loError, S3loError } from '../../src/errors.ts'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  referrerFixture,
  throwAt,
} from '../../src/testing/index.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'

const V1 = { name: 'app', tag: 'v1' }
const V2 = { name: 'app', tag: 'v2' }
const small = imageFixture({ layers: ['a'] })
const large = imageFixture({ layers: Array.from({ length: 60 }, (_, i) => `layer ${i}`) })

function sourceOf(image: ImageFixture): { source: FixtureSource; reference: typeof V1 } {
  return { source: new FixtureSource({ 'app:v1': image }), reference: V1 }
}

/** What an engine gives: every blob once, in its own order. */
function streamOf(image: ImageFixture): { source: StreamingSource; reference: typeof V1 } {
  const source: StreamingSource = {
    kind: 'streaming',
    name: 'stream',
    matches: (_reference, document) =>
      Promise.resolve(document.descriptor.digest === image.root.descriptor.digest),
    transfer: async (_reference, sink) => {
      for (const descriptor of successors(parseManifest(image.root.content, 'image'))) {
        if (await sink.has(descriptor)) continue
        await sink.put(descriptor, Readable.from([image.content.get(descriptor.digest)!]))
      }
      return image.root
    },
  }
  return { source, reference: V1 }
}

class World {
  readonly backend: FaultyBackend
  readonly target: ImageStore

  constructor(inner: MemoryBackend = new MemoryBackend()) {
    this.backend = new FaultyBackend(inner)
    this.target = new ImageStore(this.backend)
  }

  /** The requests that are there for collectors, as `method kind`. */
  control(): readonly string[] {
    return this.backend.calls
      .filter(({ key }) => key.startsWith('.s3lo/gc/'))
      .map(({ method, key }) => `${method} ${key.split('/')[2]}`)
  }

  /** Requests about blobs. */
  blobs(method: string): number {
    return this.backend.calls.filter(
      (call) => call.method === method && call.key.startsWith('blobs/'),
    ).length
  }

  async pins(): Promise<readonly string[]> {
    return (await Array.fromAsync(this.backend.list('.s3lo/gc/'))).map(({ key }) => key)
  }
}

const THREE = ['put pins', 'list rounds', 'delete pins']

describe('a publication in a store', () => {
  it.each([
    ['a small image', sourceOf(small)],
    ['a large image', sourceOf(large)],
    ['a small stream', streamOf(small)],
    ['a large stream', streamOf(large)],
  ])('takes three requests more for collectors: %s', async (_, from) => {
    const world = new World()
    await copy(from, { target: world.target, reference: V1 })
    expect(world.control()).toEqual(THREE)
    expect(await world.pins()).toEqual([])
  })

  it.each([
    ['from a source', sourceOf(large)],
    ['from a stream', streamOf(large)],
  ])('of what is there already writes no blob and takes no more: %s', async (_, from) => {
    const world = new World()
    await copy(from, { target: world.target, reference: V1 })
    world.backend.calls.length = 0
    await copy(from, { target: world.target, reference: V1 })
    expect(world.control()).toEqual(THREE)
    expect(world.blobs('put')).toBe(0)
    expect(world.blobs('head')).toBe(61)
  })

  it('keeps its pins until its own tag is there, with anything published beside it', async () => {
    const world = new World()
    const tags = ['sig', 'att', 'sbom'].map(
      (suffix) => `sha256-${large.root.descriptor.digest.slice(7)}.${suffix}`,
    )
    const signatures = tags.map((tag) => [`app:${tag}`, imageFixture({ layers: [tag] })] as const)
    const source = new FixtureSource({ 'app:v1': large, ...Object.fromEntries(signatures) })
    Object.assign(source, {
      tags: async function* () {
        yield* ['v1', ...tags]
      },
    })
    await copy({ source, reference: V1 }, { target: world.target, reference: V1 })
    const written = world.backend.calls.map(({ method, key }) => `${method} ${key}`)
    const pin = written.find((call) => call.startsWith('put .s3lo/gc/pins/')) ?? ''
    const published = written.indexOf('put manifests/app/v1/manifest.json')
    expect(tags.map((tag) => written.includes(`put manifests/app/${tag}/manifest.json`))).toEqual([
      true,
      true,
      true,
    ])
    expect(written.indexOf(pin.replace('put', 'delete'))).toBeGreaterThan(published)
    expect(await world.pins()).toEqual([])
  })

  it('removes its pins when it fails', async () => {
    const world = new World()
    const failure = new S3loError('FORBIDDEN', 'no')
    world.backend.faults = {
      before: throwAt(
        1,
        failure,
        ({ method, key }) => method === 'put' && key.startsWith('manifests/'),
      ),
    }
    await expect(
      copy(sourceOf(small), { target: world.target, reference: V1 }),
    ).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(await world.pins()).toEqual([])
  })

  it('leaves its pins when it is unknown whether it was published', async () => {
    const world = new World()
    const isTag = ({ method, key }: { method: string; key: string }): boolean =>
      method === 'put' && key.endsWith('manifest.json')
    const lost = new S3loError('UNAVAILABLE', 'no answer')
    world.backend.faults = { after: throwAt(1, lost, isTag) }
    await copy(sourceOf(small), { target: world.target, reference: V1 })
    expect(await world.pins()).toHaveLength(1)
  })

  it('pins without an end, and publishes without one, where nothing enforces deadlines', async () => {
    const world = new World(new MemoryBackend({ guarantees: { deadlines: false } }))
    let pinned: readonly string[] = []
    world.backend.faults = {
      before: async ({ method, key }) => {
        if (method === 'put' && key.endsWith('manifest.json')) pinned = await world.pins()
      },
    }
    await copy(sourceOf(small), { target: world.target, reference: V1 })
    expect(pinned).toEqual([expect.stringMatching(/^\.s3lo\/gc\/pins\/000000-/)])
    expect(await world.pins()).toEqual([])
  })

  it('keeps the pins of two images apart that are pushed at once', async () => {
    const world = new World()
    await Promise.all([
      copy(sourceOf(small), { target: world.target, reference: V1 }),
      copy(sourceOf(large), { target: world.target, reference: V2 }),
    ])
    expect(world.control().toSorted()).toEqual([...THREE, ...THREE].toSorted())
    expect(await world.pins()).toEqual([])
  })

  it('of a referrer pins its subject and its blobs', async () => {
    const world = new World()
    await copy(sourceOf(small), { target: world.target, reference: V1 })
    world.backend.calls.length = 0
    const referrer = referrerFixture(small.root.descriptor, 'application/sbom', '{"a":1}')
    const open = ({ digest }: { digest: string }): Promise<Readable> =>
      Promise.resolve(Readable.from([referrer.content.get(digest)!]))
    const publication = world.target.begin()
    await publication.attach(
      referrer.root,
      { repository: 'app', subject: small.root.descriptor },
      open,
    )
    expect(await world.pins()).toHaveLength(1)
    await publication.release()
    expect(await world.pins()).toEqual([])
    expect(world.control().slice(0, 2)).toEqual(['put pins', 'list rounds'])
  })
})

describe('a copy inside a store', () => {
  it('looks at the source tag again and at no blob', async () => {
    const world = new World()
    const index = indexFixture({ 'linux/amd64': small, 'linux/arm64': large })
    await copy(sourceOf(index), { target: world.target, reference: V1 })
    world.backend.calls.length = 0
    const from = { source: world.target, reference: V1 }
    const result = await copy(from, { target: world.target, reference: V2 })
    expect(result).toMatchObject({ blobs_copied: 0, bytes_copied: 0 })
    expect(world.blobs('head') + world.blobs('put')).toBe(0)
    expect(world.control()).toEqual(THREE)
  })

  it('publishes nothing when the source tag is deleted meanwhile', async () => {
    const world = new World()
    await copy(sourceOf(small), { target: world.target, reference: V1 })
    world.backend.faults = {
      after: async ({ method, key }) => {
        if (method !== 'list' || !key.endsWith('/rounds/')) return
        world.backend.faults = {}
        await world.backend.delete(['manifests/app/v1/manifest.json'])
      },
    }
    const from = { source: world.target, reference: V1 }
    await expect(copy(from, { target: world.target, reference: V2 })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await world.target.find(V2)).toBeUndefined()
    expect(await world.pins()).toEqual([])
  })
})

describe('the deletion of a tag', () => {
  it('has a deadline of the store', async () => {
    let time = Date.UTC(2026, 0, 1)
    const world = new World(new MemoryBackend({ now: () => new Date(time) }))
    await copy(sourceOf(small), { target: world.target, reference: V1 })
    world.backend.faults = {
      // Held up for long after the last look at the tag.
      before: ({ method, key }) => {
        if (method === 'delete' && key.startsWith('manifests/')) time += 3_600_000
      },
    }
    const reference = { ...V1, scheme: 'memory', bucket: 'memory', image: 'app' }
    const failure = await deleteTag(world.target, reference).catch((error: unknown) => error)
    expect(isS3loError(failure, 'FORBIDDEN')).toBe(true)
    expect(await world.target.find(V1)).toBeDefined()
    expect(await world.pins()).toEqual([])
  })
})
