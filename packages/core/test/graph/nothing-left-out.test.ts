import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { clean } from '../../src/operations/clean.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import {
  attachReferrer,
  type ImageFixture,
  imageFixture,
  putImage,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const image = imageFixture({ layers: ['a'] })
const subject = image.root.descriptor
const child = imageFixture({ layers: ['said of it'], platform: 'linux/s390x' })
const payload = Buffer.from('payload')
const blob = { mediaType: 'text/plain', digest: digestOf(payload), size: payload.byteLength }

let world: MemoryWorld
let notices: ProgressEvent[]
const onProgress = (event: ProgressEvent): void => {
  if (event.type === 'notice') notices.push(event)
}

beforeEach(async () => {
  world = new MemoryWorld()
  notices = []
  await putImage(world.bucket('b'), { name: 'app', tag: 'v1' }, image)
})

function document(mediaType: string, members: object): ImageFixture {
  const bytes = Buffer.from(JSON.stringify({ mediaType, ...members }))
  return { root: toDocument(bytes, mediaType), content: new Map([[blob.digest, payload]]) }
}

const artifact = (members: object = {}): ImageFixture =>
  document(MEDIA_TYPE.ociArtifact, { artifactType: 'a/thing', blobs: [blob], ...members })

async function referrersIn(bucket: string, of: Descriptor = subject): Promise<readonly string[]> {
  const found = await Array.fromAsync(new ImageStore(world.bucket(bucket)).referrers('app', of))
  return found.map(({ digest }) => digest)
}

describe('an artifact manifest', () => {
  it('has blobs and no config, and is of one kind only', () => {
    const { content } = artifact().root
    expect(parseManifest(content, 'it')).toMatchObject({ kind: 'artifact', blobs: [blob] })
    const both = artifact({ layers: [] }).root
    expect(() => parseManifest(both.content, 'it')).toThrow(/several kinds/)
  })

  it('is copied as it is', async () => {
    const { root } = artifact()
    await putImage(world.bucket('b'), { name: 'thing', tag: 'v1' }, artifact())
    const { digest } = await world.host.copy('mem://b/thing:v1', 'mem://c/thing:v1')
    expect(digest).toBe(root.descriptor.digest)
    const { layers, media_type: type } = await world.host.inspect('mem://c/thing:v1')
    expect(type).toBe(MEDIA_TYPE.ociArtifact)
    expect(layers).toMatchObject([{ digest: blob.digest }])
    await expect(
      world.host.copy('mem://b/thing:v1', 'mem://c/thing:v2', { platforms: ['linux/amd64'] }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('travels with the image that it refers to', async () => {
    const { root } = artifact({ subject })
    const source = new ImageStore(world.bucket('b'))
    await attachReferrer(source, root, { repository: 'app', subject }, () =>
      Promise.resolve(Readable.from([payload])),
    )
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { onProgress })
    expect(result.referrers_copied).toBe(1)
    expect(await referrersIn('c')).toEqual([root.descriptor.digest])
    const { attachments } = await world.host.inspect('mem://c/app:v1')
    expect(attachments).toMatchObject([{ artifact_type: 'a/thing' }])
    expect(notices).toEqual([])
  })
})

describe('an index that refers to an image', () => {
  const { mediaType, digest, size } = child.root.descriptor
  const index = document(MEDIA_TYPE.ociIndex, {
    schemaVersion: 2,
    manifests: [{ mediaType, digest, size, platform: { os: 'linux', architecture: 's390x' } }],
    subject,
    artifactType: 'a/collection',
  })
  const parts = [...child.content].map(([each, bytes]) => ({
    mediaType: MEDIA_TYPE.octetStream,
    digest: each,
    size: bytes.byteLength,
  }))

  beforeEach(async () => {
    await attachReferrer(
      new ImageStore(world.bucket('b')),
      index.root,
      { repository: 'app', subject },
      ({ digest: each }) =>
        Promise.resolve(Readable.from([child.content.get(each) ?? child.root.content])),
      { parts: [...parts, child.root.descriptor] },
    )
  })

  it('travels between stores with all that is below it', async () => {
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { onProgress })
    expect(result.referrers_copied).toBe(1)
    expect(notices).toEqual([])
    expect(await referrersIn('c')).toEqual([index.root.descriptor.digest])
    const target = new ImageStore(world.bucket('c'))
    for (const part of [...parts, child.root.descriptor]) {
      const bytes = await Array.fromAsync(await target.fetch(part))
      expect(digestOf(Buffer.concat(bytes as Buffer[]))).toBe(part.digest)
    }
  })

  it('is kept by the collector while its image is there, and goes with it', async () => {
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    const store = new ImageStore(world.bucket('c'))
    await world
      .bucket('c')
      .put('s3lo.yaml', Buffer.from('default: {lifecycle: {keep_untagged: 0}}'))
    const options = { confirm: true, graceMs: 0, expectFewer: true }
    const protocol = { leastKeptMs: -1000, marginMs: 0 }
    const collect = (): Promise<unknown> => clean(store, '', { ...options, protocol })
    await collect()
    for (const part of [...parts, child.root.descriptor]) {
      await expect(store.fetch(part)).resolves.toBeDefined()
    }
    await world.host.delete('mem://c/app:v1')
    await collect()
    await collect()
    await expect(store.fetch(child.root.descriptor)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('layers that not everybody can use', () => {
  it.each([
    ['application/vnd.oci.image.layer.v1.tar+gzip+encrypted', 'encrypted-layers'],
    ['application/vnd.oci.image.layer.v1.tar+xz', 'unreadable-layers'],
    ['application/vnd.docker.image.rootfs.diff.tar.bzip2', 'unreadable-layers'],
  ])('of type %s are copied, and named (%s)', async (layerType, code) => {
    const odd = imageFixture({ layers: ['odd'], layerType })
    await putImage(world.bucket('b'), { name: 'odd', tag: 'v1' }, odd)
    await world.host.copy('mem://b/odd:v1', 'mem://c/odd:v1', { onProgress })
    expect(notices).toMatchObject([{ code, message: expect.stringContaining(layerType) }])
  })

  it('are not found among the usual ones', async () => {
    for (const [i, layerType] of [
      MEDIA_TYPE.ociLayer,
      MEDIA_TYPE.ociLayerGzip,
      MEDIA_TYPE.ociLayerZstd,
      MEDIA_TYPE.dockerLayer,
      MEDIA_TYPE.dockerLayerGzip,
      'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
      'application/vnd.dev.cosign.simplesigning.v1+json',
    ].entries()) {
      const usual = imageFixture({ layers: [`usual ${i}`], layerType })
      await putImage(world.bucket('b'), { name: 'usual', tag: `v${i}` }, usual)
      await world.host.copy(`mem://b/usual:v${i}`, `mem://c/usual:v${i}`, { onProgress })
    }
    expect(notices).toEqual([])
  })
})

describe('an index of images and attestations', () => {
  it('is counted by what is in it', async () => {
    const entries = [image, child].flatMap(({ root }, i) => [
      { ...root.descriptor, platform: { os: 'linux', architecture: i ? 's390x' : 'amd64' } },
    ])
    const about = imageFixture({ layers: ['provenance'] })
    const index = document(MEDIA_TYPE.ociIndex, {
      schemaVersion: 2,
      manifests: [
        ...entries,
        { ...about.root.descriptor, platform: { os: 'unknown', architecture: 'unknown' } },
      ],
    })
    for (const part of [image, child, about]) {
      await putImage(world.bucket('b'), { name: 'parts', tag: 'v1' }, part)
      await world.bucket('b').put(blobKey(part.root.descriptor.digest), part.root.content)
    }
    await world.bucket('b').put(manifestKey({ name: 'many', tag: 'v1' }), index.root.content)
    expect(await world.host.copy('mem://b/many:v1', 'mem://c/many:v1')).toMatchObject({
      platforms: 2,
      attestations: 1,
    })
  })
})
