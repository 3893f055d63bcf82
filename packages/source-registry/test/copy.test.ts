import { copy, copyTags, ImageStore } from '@s3lo/core'
import { FixtureSource, imageFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blobOf, CONFIG, documentOf, IMAGE, LAYER, listOf, opener, referrerOf } from './images.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const EMPTY = blobOf('{}')
const INDEX = documentOf(
  { manifests: [{ ...IMAGE.descriptor, platform: { os: 'linux', architecture: 'amd64' } }] },
  'application/vnd.oci.image.index.v1+json',
)
const SBOM = referrerOf(IMAGE.descriptor, 'a/sbom')
const SIGNATURE = referrerOf(SBOM.descriptor, 'a/signature')
const COSIGN_TAG = `sha256-${INDEX.descriptor.digest.slice(7)}.sig`
const COSIGNED = documentOf({ config: CONFIG.descriptor, layers: [] })
const REFERENCE = { name: 'app', tag: 'v1' }

const registries: MemoryRegistry[] = []
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop()
})

async function startRegistry(referrers: boolean): Promise<MemoryRegistry> {
  const registry = await MemoryRegistry.start({ referrers })
  registries.push(registry)
  return registry
}

/** A registry with an image, what refers to it, what refers to that, and a tag of cosign. */
async function startFull(referrers: boolean): Promise<MemoryRegistry> {
  const registry = await startRegistry(referrers)
  const repository = openRepository(registry.host, 'app')
  for (const { descriptor, content } of [CONFIG, LAYER]) {
    await repository.put(descriptor, opener(content))
  }
  await repository.put(IMAGE.descriptor, opener(IMAGE.content))
  await repository.attach(
    SBOM,
    { repository: 'app', subject: IMAGE.descriptor },
    opener(EMPTY.content),
  )
  await repository.attach(
    SIGNATURE,
    { repository: 'app', subject: SBOM.descriptor },
    opener(EMPTY.content),
  )
  await repository.tag(COSIGNED, { name: '', tag: COSIGN_TAG })
  await repository.tag(INDEX, REFERENCE)
  await repository.close()
  return registry
}

describe.each([
  ['with the referrers API', 'with it', true, true],
  ['with the referrers API', 'without it', true, false],
  ['without the referrers API', 'with it', false, true],
  ['without the referrers API', 'without it', false, false],
])('from a registry %s through a store to one %s', (_from, _to, first, second) => {
  it('everything arrives, byte for byte', async () => {
    const [from, to] = [await startFull(first), await startRegistry(second)]
    const store = new ImageStore(new MemoryBackend())
    const source = openRepository(from.host, 'app')
    const target = openRepository(to.host, 'team/app')
    const ends = { source: store, target: store, reference: REFERENCE }
    const there = await copy({ source, reference: REFERENCE }, ends)
    const reference = { name: 'team/app', tag: 'v1' }
    const back = await copy(ends, { target, reference })
    for (const result of [there, back]) {
      expect(result).toMatchObject({ digest: INDEX.descriptor.digest, referrers_copied: 3 })
    }
    for (const { descriptor, content } of [INDEX, IMAGE, SBOM, SIGNATURE, COSIGNED]) {
      const stored = to.manifests.get(`team/app/${descriptor.digest}`)
      expect(Buffer.from(stored?.content ?? []).equals(content)).toBe(true)
    }
    const { digest } = await target.resolve({ name: 'team/app', tag: COSIGN_TAG })
    expect(digest).toBe(COSIGNED.descriptor.digest)
    for (const [subject, referrer] of [
      [IMAGE, SBOM],
      [SBOM, SIGNATURE],
    ] as const) {
      const found = await listOf(target.referrers('team/app', subject.descriptor))
      expect(found.map((one) => one.digest)).toEqual([referrer.descriptor.digest])
      const tag = `team/app/sha256-${subject.descriptor.digest.slice(7)}`
      expect(to.manifests.has(tag)).toBe(!second)
    }
    await source.close()
    await target.close()
  })
})

describe('copying an image of a registry again', () => {
  it('reads no manifest of it, and repairs what is missing', async () => {
    const registry = await startFull(true)
    const source = openRepository(registry.host, 'app')
    const backend = new MemoryBackend()
    const ends = [
      { source, reference: REFERENCE },
      { target: new ImageStore(backend), reference: REFERENCE },
    ] as const
    await copy(...ends)
    registry.requests.length = 0
    expect(await copy(...ends, { referrers: 'none' })).toMatchObject({ blobs_copied: 0 })
    expect(registry.requests).toEqual(['HEAD /v2/app/manifests/v1'])
    const child = `blobs/sha256/${IMAGE.descriptor.digest.slice(7)}`
    const layer = `blobs/sha256/${LAYER.descriptor.digest.slice(7)}`
    await backend.delete([child, layer])
    expect(await copy(...ends)).toMatchObject({ blobs_copied: 1, referrers_copied: 3 })
    expect(await backend.head(child)).toBeDefined()
    await source.close()
  })
})

describe('copying tags of a registry again', () => {
  let registry: MemoryRegistry
  beforeEach(async () => {
    registry = await startRegistry(true)
  })

  it('asks by HEAD only, where nothing has changed: rate limits count the rest', async () => {
    const images = { 'app:v1': imageFixture({ layers: ['1'] }) }
    const repository = openRepository(registry.host, 'app')
    await copy(
      { source: new FixtureSource(images), reference: REFERENCE },
      { target: repository, reference: REFERENCE },
    )
    const backend = new MemoryBackend()
    await putImage(backend, REFERENCE, images['app:v1'])
    registry.requests.length = 0
    const result = await copyTags(
      { source: repository, reference: REFERENCE },
      { target: new ImageStore(backend), reference: REFERENCE },
      '*',
    )
    expect(result).toMatchObject({ tags_unchanged: 1, tags_copied: 0 })
    expect(registry.requests.filter((line) => /^GET .*\/(manifests|blobs)\//.test(line))).toEqual(
      [],
    )
    await repository.close()
  })
})
