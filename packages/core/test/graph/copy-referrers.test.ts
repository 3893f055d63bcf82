import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ImageSource } from '../../src/contract/image-source.ts'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { toDocument } from '../../src/oci/document.ts'
import { cosignTagsOf, isReferrerTag } from '../../src/oci/referrer-tag.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { clean } from '../../src/operations/clean.ts'
import { copy } from '../../src/operations/copy.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  attachReferrer,
  FixtureSource,
  type ImageFixture,
  imageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
  referrerFixture,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const SBOM = 'application/spdx+json'
const SIGNATURE = 'application/vnd.dev.cosign.artifact.sig.v1+json'

const amd64 = imageFixture({ layers: ['base', 'amd'], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 })

let world: MemoryWorld
let source: ImageStore
let notices: ProgressEvent[]
const onProgress = (event: ProgressEvent): void => {
  if (event.type === 'notice') notices.push(event)
}

beforeEach(async () => {
  world = new MemoryWorld()
  notices = []
  source = new ImageStore(world.bucket('b'))
  await putImage(world.bucket('b'), { name: 'app', tag: 'v1' }, both)
})

async function attach(subject: Descriptor, type: string, payload = type): Promise<ImageFixture> {
  const fixture = referrerFixture(subject, type, payload)
  await attachReferrer(source, fixture.root, { repository: 'app', subject }, (blob) =>
    Promise.resolve(Readable.from([fixture.content.get(blob.digest) ?? ''])),
  )
  return fixture
}

async function referrersIn(
  bucket: string,
  subject: Descriptor,
  repository = 'app',
): Promise<readonly string[]> {
  const store = new ImageStore(world.bucket(bucket))
  const found = await Array.fromAsync(store.referrers(repository, subject))
  return found.map(({ digest }) => digest).toSorted()
}

async function sign({ root }: ImageFixture, suffix: string): Promise<ImageFixture> {
  const signature = imageFixture({ layers: [`${suffix} of ${root.descriptor.digest}`] })
  const tag = `sha256-${root.descriptor.digest.slice(7)}.${suffix}`
  await putImage(world.bucket('b'), { name: 'app', tag }, signature)
  return signature
}

describe('what refers to an image', () => {
  it('travels with what refers to that, however deep', async () => {
    const sbom = await attach(both.root.descriptor, SBOM)
    const signature = await attach(sbom.root.descriptor, SIGNATURE)
    const statement = await attach(signature.root.descriptor, 'a/statement')
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    expect(result.referrers_copied).toBe(3)
    for (const [subject, referrer] of [
      [both, sbom],
      [sbom, signature],
      [signature, statement],
    ] as const) {
      expect(await referrersIn('c', subject.root.descriptor)).toEqual([
        referrer.root.descriptor.digest,
      ])
    }
  })

  it('is not sent again when it is there', async () => {
    await attach(amd64.root.descriptor, SBOM)
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    const before = await Array.fromAsync(world.bucket('c').list('.s3lo/blobs/'))
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    expect(await Array.fromAsync(world.bucket('c').list('.s3lo/blobs/'))).toEqual(before)
  })

  it('by the tags of cosign travels under the same tags, with the same bytes', async () => {
    const signatures = [
      await sign(both, 'sig'),
      await sign(amd64, 'att'),
      await sign(arm64, 'sbom'),
    ]
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/team/app:v2')
    expect(result.referrers_copied).toBe(3)
    const [{ tags } = { tags: [] }] = await world.host.list('mem://c', { all: true })
    expect(tags.filter(isReferrerTag)).toHaveLength(3)
    for (const { root } of signatures) {
      const found = await Promise.all(
        tags.map((tag) => world.host.inspect(`mem://c/team/app:${tag}`)),
      )
      expect(found.map(({ digest }) => digest)).toContain(root.descriptor.digest)
    }
  })

  it('by a tag of cosign is replaced where it has changed, with a notice', async () => {
    await sign(both, 'sig')
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { onProgress })
    expect(notices).toEqual([])
    const tag = cosignTagsOf(both.root.descriptor.digest)[0] ?? ''
    const next = imageFixture({ layers: ['two signatures'] })
    await putImage(world.bucket('b'), { name: 'app', tag }, next)
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v2', { onProgress })
    expect(notices).toMatchObject([{ code: 'signatures-replaced' }])
    const { digest } = await world.host.inspect(`mem://c/app:${tag}`)
    expect(digest).toBe(next.root.descriptor.digest)
  })

  it('by a tag of cosign is never replaced where the image is immutable, and grows there', async () => {
    await sign(both, 'sig')
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    await world.bucket('c').put('s3lo.yaml', Buffer.from('default: {immutable: true}\n'))
    const tag = cosignTagsOf(both.root.descriptor.digest)[0] ?? ''
    const digestOfTag = async (): Promise<string> =>
      (await world.host.inspect(`mem://c/app:${tag}`)).digest
    const before = await digestOfTag()
    const other = imageFixture({ layers: ['another signature'] })
    await putImage(world.bucket('b'), { name: 'app', tag }, other)
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v2', { onProgress })
    expect(notices).toMatchObject([{ code: 'signatures-kept' }])
    expect(await digestOfTag()).toBe(before)
    const more = imageFixture({
      layers: [`sig of ${both.root.descriptor.digest}`, 'another signature'],
    })
    await putImage(world.bucket('b'), { name: 'app', tag }, more)
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v3')
    expect(await digestOfTag()).toBe(more.root.descriptor.digest)
  })

  it('inside a store is what the source repository has, and no more', async () => {
    const ours = await attach(both.root.descriptor, SBOM)
    const theirs = referrerFixture(both.root.descriptor, SIGNATURE, 'of another repository')
    await putImage(world.bucket('b'), { name: 'other', tag: 'v1' }, both)
    const place = { repository: 'other', subject: both.root.descriptor }
    await attachReferrer(source, theirs.root, place, (blob) =>
      Promise.resolve(Readable.from([theirs.content.get(blob.digest) ?? ''])),
    )
    const result = await world.host.copy('mem://b/app:v1', 'mem://b/copied:v1')
    expect(result.referrers_copied).toBe(1)
    const { digest } = ours.root.descriptor
    expect(await referrersIn('b', both.root.descriptor, 'copied')).toEqual([digest])
    await world.host.copy('mem://b/app:v1', 'mem://b/other:v2')
    expect(await referrersIn('b', both.root.descriptor, 'other')).toHaveLength(2)
    expect(await referrersIn('b', both.root.descriptor, 'app')).toEqual([digest])
  })

  it('stays in one repository when the image is deleted in another', async () => {
    await attach(both.root.descriptor, SBOM)
    await world.host.copy('mem://b/app:v1', 'mem://b/copied:v1')
    const config = 'default: {lifecycle: {keep_untagged: 0}}\n'
    await world.bucket('b').put('s3lo.yaml', Buffer.from(config))
    await world.host.delete('mem://b/app:v1')
    const protocol = { leastKeptMs: -1000, marginMs: 0 }
    const options = { confirm: true, graceMs: 0, expectFewer: true, protocol }
    await clean(new ImageStore(world.bucket('b')), '', options)
    expect(await referrersIn('b', both.root.descriptor, 'app')).toEqual([])
    const [found] = await referrersIn('b', both.root.descriptor, 'copied')
    expect(found).toBeDefined()
    const result = await world.host.copy('mem://b/copied:v1', 'mem://c/app:v1')
    expect(result.referrers_copied).toBe(1)
  })

  it('stays behind, by name, when it holds for platforms that were left out', async () => {
    const sbom = await attach(both.root.descriptor, SBOM)
    const signature = await sign(both, 'sig')
    await attach(arm64.root.descriptor, SBOM)
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', {
      platforms: ['linux/arm64'],
      onProgress,
    })
    expect(result).toMatchObject({
      digest: arm64.root.descriptor.digest,
      referrers_copied: 1,
      referrers_dropped: [
        { digest: sbom.root.descriptor.digest, artifact_type: SBOM },
        { digest: signature.root.descriptor.digest, tag: expect.stringMatching(/\.sig$/) },
      ],
    })
    expect(notices).toMatchObject([{ code: 'referrers-dropped' }])
  })

  it('stays behind when it is not wanted', async () => {
    await attach(both.root.descriptor, SBOM)
    await sign(both, 'sig')
    const options = { referrers: 'none' } as const
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', options)
    expect(result.referrers_copied).toBe(0)
    expect(await world.host.list('mem://c')).toEqual([{ name: 'app', tags: ['v1'] }])
  })

  it('is not looked for by tags where there are none: an archive has one image under every name', async () => {
    const { root } = amd64
    const images = new FixtureSource({ 'app:v1': amd64 })
    const archive: ImageSource = {
      kind: 'random-access',
      name: 'an archive',
      resolve: () => Promise.resolve(root.descriptor),
      fetch: (descriptor, options) => images.fetch(descriptor, options),
    }
    const target = new ImageStore(world.bucket('c'))
    const reference = { name: 'app', tag: 'v1' }
    const result = await copy({ source: archive, reference }, { target, reference })
    expect(result.referrers_copied).toBe(0)
  })

  it('is asked for while the image is copied', async () => {
    const image = amd64.root.descriptor
    const sbom = referrerFixture(image, SBOM, 'sbom')
    const asked = Promise.withResolvers<void>()
    const referrers = ({ digest }: Descriptor): readonly Descriptor[] => {
      asked.resolve()
      return digest === image.digest ? [sbom.root.descriptor] : []
    }
    const from = sourceWith(amd64, referrers, { 'sbom:1': sbom })
    const source: ImageSource = {
      ...from,
      fetch: async (descriptor, options) => {
        // Its manifests have to be read first.
        if (descriptor.digest === layer) await asked.promise
        return from.fetch(descriptor, options)
      },
    }
    const [layer] = amd64.content.keys()
    const reference = { name: 'app', tag: 'v1' }
    const target = new ImageStore(world.bucket('c'))
    const result = await copy({ source, reference }, { target, reference })
    expect(result.referrers_copied).toBe(1)
  })

  it('is in place before the tag is written', async () => {
    await attach(both.root.descriptor, SBOM)
    const target = new ImageStore(world.bucket('c'))
    const order: string[] = []
    const watch = <T extends object>(watched: T): T =>
      new Proxy(watched, {
        get: (object, key) => {
          if (key === 'tag' || key === 'attach') order.push(key)
          if (key === 'begin') return () => watch(target.begin())
          const value: unknown = Reflect.get(object, key, object)
          return typeof value === 'function' ? value.bind(object) : value
        },
      })
    const watched = watch(target)
    const reference = { name: 'app', tag: 'v1' }
    await copy({ source, reference }, { target: watched, reference })
    expect(order.at(-1)).toBe('tag')
    expect(order).toContain('attach')
  })
})

/** A source that says of each manifest what a test lets it say. */
function sourceWith(
  fixture: ImageFixture,
  referrers: (subject: Descriptor) => readonly Descriptor[],
  extra: Readonly<Record<string, ImageFixture>> = {},
): ImageSource {
  const images = new FixtureSource({ 'app:v1': fixture, ...extra })
  return {
    kind: 'random-access',
    name: 'a registry',
    resolve: (reference) => images.resolve(reference),
    fetch: (descriptor, options) => images.fetch(descriptor, options),
    referrers: async function* (_repository, subject) {
      yield* referrers(subject)
    },
  }
}

describe('a registry that lies', () => {
  const reference = { name: 'app', tag: 'v1' }
  const to = () => ({ target: new ImageStore(new MemoryBackend()), reference })

  it('about referrers that refer to one another ends', async () => {
    const a = referrerFixture(amd64.root.descriptor, SBOM, 'a')
    const from = sourceWith(amd64, () => [a.root.descriptor], { 'a:1': a })
    const result = await copy({ source: from, reference }, to(), { onProgress })
    expect(result.referrers_copied).toBe(1)
    expect(notices).toMatchObject([{ code: 'referrer-stranger' }])
  })

  it('about referrers without end is refused', async () => {
    let last = amd64.root.descriptor
    const extra: Record<string, ImageFixture> = {}
    const chain = new Map<string, Descriptor>()
    for (let i = 0; i < 12; i++) {
      const next = referrerFixture(last, SBOM, String(i))
      chain.set(last.digest, next.root.descriptor)
      extra[`r:${i}`] = next
      last = next.root.descriptor
    }
    const from = sourceWith(amd64, ({ digest }) => [chain.get(digest) ?? []].flat(), extra)
    await expect(copy({ source: from, reference }, to())).rejects.toMatchObject({
      code: 'INTEGRITY',
      hint: expect.stringContaining('--referrers none'),
    })
  })

  it('about a referrer that was deleted is a notice', async () => {
    const gone = referrerFixture(amd64.root.descriptor, SBOM, 'gone')
    const from = sourceWith(amd64, ({ digest }) =>
      digest === amd64.root.descriptor.digest ? [gone.root.descriptor] : [],
    )
    const result = await copy({ source: from, reference }, to(), { onProgress })
    expect(result.referrers_copied).toBe(0)
    expect(notices).toMatchObject([{ code: 'referrer-missing' }])
  })

  it('has an index among its referrers: it travels as well', async () => {
    const { mediaType, digest, size } = amd64.root.descriptor
    const index = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociIndex,
      manifests: [],
      subject: { mediaType, digest, size },
    }
    const root = toDocument(Buffer.from(JSON.stringify(index)), MEDIA_TYPE.ociIndex)
    const from = sourceWith(
      amd64,
      (subject) => (subject.digest === digest ? [root.descriptor] : []),
      { 'i:1': { root, content: new Map() } },
    )
    const result = await copy({ source: from, reference }, to(), { onProgress })
    expect(result.referrers_copied).toBe(1)
    expect(notices).toEqual([])
  })
})

describe('a layer that only its maker distributes', () => {
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: `sha256:${'f'.repeat(64)}`,
    size: 100,
    urls: ['https://maker.example/layer'],
  }
  const content = new Map(amd64.content)
  const [config = '', ...layers] = [...content.keys()].toReversed()
  const describeBlob = (digest: string, mediaType: string) => ({
    mediaType,
    digest,
    size: content.get(digest)?.byteLength ?? 0,
  })
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: describeBlob(config, MEDIA_TYPE.ociConfig),
    layers: [foreign, ...layers.map((digest) => describeBlob(digest, MEDIA_TYPE.ociLayer))],
  }
  const root = toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)

  it('stays where its URLs say, with a notice, and the manifest keeps them', async () => {
    world.images['windows:v1'] = { root, content }
    const result = await world.host.copy('fix:windows:v1', 'mem://c/windows:v1', { onProgress })
    expect(result).toMatchObject({ digest: root.descriptor.digest, foreign_layers: 1 })
    expect(notices).toMatchObject([
      { code: 'foreign-layers', message: expect.stringContaining('https://maker.example/layer') },
    ])
    const store = new ImageStore(world.bucket('c'))
    expect((await store.read({ name: 'windows', tag: 'v1' })).content).toEqual(root.content)
    await expect(store.fetch(foreign)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('is copied like any other when it has no URLs', async () => {
    const bytes = Buffer.from('a foreign layer')
    const { urls: _, ...rest } = foreign
    const own = { ...rest, ...toDocument(bytes, foreign.mediaType).descriptor }
    const changed = { ...manifest, layers: [own] }
    const image = {
      root: toDocument(Buffer.from(JSON.stringify(changed)), MEDIA_TYPE.ociManifest),
      content: new Map(content).set(own.digest, bytes),
    }
    world.images['windows:v2'] = image
    const result = await world.host.copy('fix:windows:v2', 'mem://c/windows:v2')
    expect(result).toMatchObject({ blobs_copied: 2, foreign_layers: 0 })
  })
})

describe('a dry run', () => {
  it('says what would be copied, and writes nothing', async () => {
    await attach(both.root.descriptor, SBOM)
    const result = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { dryRun: true })
    expect(await Array.fromAsync(world.bucket('c').list(''))).toEqual([])
    const real = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    expect(result).toEqual({ ...real, dry_run: true })
    const again = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { dryRun: true })
    expect(again).toMatchObject({ blobs_copied: 0, bytes_copied: 0, blobs_skipped: 5 })
  })

  it('fails where the copy would', async () => {
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { platforms: ['linux/amd64'] })
    await world.bucket('c').put('s3lo.yaml', Buffer.from('default: {immutable: true}\n'))
    await expect(
      world.host.copy('mem://b/app:v1', 'mem://c/app:v1', { dryRun: true }),
    ).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})
