import { copy, ImageStore, MEDIA_TYPE } from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { afterEach, expect, it } from 'vitest'
import { CONFIG, documentOf, IMAGE, LAYER, opener } from './images.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REFERENCE = { name: 'app', tag: 'v1' }
const ROOT = documentOf(
  { artifactType: 'a/chart', blobs: [LAYER.descriptor] },
  MEDIA_TYPE.ociArtifact,
)
const REFERRER = documentOf(
  {
    artifactType: 'a/sbom',
    blobs: [LAYER.descriptor],
    subject: IMAGE.descriptor,
    annotations: { note: 'kept' },
  },
  MEDIA_TYPE.ociArtifact,
)

const registries: MemoryRegistry[] = []
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop()
})

async function start(referrers: boolean): Promise<MemoryRegistry> {
  const registry = await MemoryRegistry.start({ referrers })
  registries.push(registry)
  return registry
}

it.each([
  ['with the referrers API', true],
  ['without it', false],
])('artifact manifests go through a store and back byte for byte, %s', async (_title, api) => {
  const [from, to] = [await start(api), await start(api)]
  const source = openRepository(from.host, 'app')
  const target = openRepository(to.host, 'app')
  for (const { descriptor, content } of [CONFIG, LAYER]) {
    await source.put(descriptor, opener(content))
  }
  await source.tag(IMAGE, REFERENCE)
  await source.attach(
    REFERRER,
    { repository: 'app', subject: IMAGE.descriptor },
    opener(LAYER.content),
  )
  await source.tag(ROOT, { name: 'app', tag: 'root' })
  const store = new ImageStore(new MemoryBackend())
  for (const [tag, referrers] of [
    ['v1', 1],
    ['root', 0],
  ] as const) {
    const reference = { name: 'app', tag }
    const there = await copy({ source, reference }, { target: store, reference })
    const back = await copy({ source: store, reference }, { target, reference })
    expect([there.referrers_copied, back.referrers_copied]).toEqual([referrers, referrers])
    expect(to.manifests.get(`app/${tag}`)).toEqual(from.manifests.get(`app/${tag}`))
  }
  const key = `app/${REFERRER.descriptor.digest}`
  expect(to.manifests.get(key)).toEqual({
    content: Buffer.from(REFERRER.content),
    mediaType: MEDIA_TYPE.ociArtifact,
  })
  expect(to.blobs.get(LAYER.descriptor.digest)).toEqual(Buffer.from(LAYER.content))
  await Promise.all([source.close(), target.close()])
})
