import { describe, expect, it } from 'vitest'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { type ManifestDocument, parseManifest, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { parsePlatform } from '../../src/oci/platform.ts'
import { selectRoot, type Selection } from '../../src/graph/select.ts'
import { inspect } from '../../src/operations/inspect.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import {
  FixtureSource,
  MemoryBackend,
  putImage,
  type ImageFixture,
  imageFixture,
} from '../../src/testing/index.ts'

const amd64 = imageFixture({ layers: ['amd'], platform: 'linux/amd64' })
const v3 = imageFixture({ layers: ['v3'], platform: 'linux/amd64/v3' })
const arm64 = imageFixture({ layers: ['arm'], platform: 'linux/arm64' })

interface Entry {
  readonly of: { readonly root: ManifestDocument }
  readonly platform?: string
  readonly members?: object
}

function entryOf({ of, platform, members }: Entry): object {
  const { mediaType, digest, size } = of.root.descriptor
  const said = platform === undefined ? {} : { platform: parsePlatform(platform) }
  return { mediaType, digest, size, ...said, ...members }
}

function indexOf(...entries: Entry[]): ImageFixture {
  const manifests = entries.map(entryOf)
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }
  const bytes = Buffer.from(JSON.stringify(document))
  return { root: toDocument(bytes, MEDIA_TYPE.ociIndex), content: new Map() }
}

async function select(root: ImageFixture, selection: Selection, ...parts: ImageFixture[]) {
  const images = { r: root, amd64, v3, arm64, ...Object.fromEntries(parts.entries()) }
  const named = Object.fromEntries(
    Object.entries(images).map(([name, image]) => [`${name}:latest`, image]),
  )
  return (await selectRoot(new FixtureSource(named), root.root, selection)).descriptor.digest
}

const run = (platform: string): Selection => ({ kind: 'run', platform: parsePlatform(platform) })
const digestOf = ({ root }: ImageFixture): string => root.descriptor.digest

describe('choosing a platform', () => {
  it('finds it in an index inside of an index, and inside of that', async () => {
    const inner = indexOf({ of: arm64, platform: 'linux/arm64' })
    const middle = indexOf({ of: inner }, { of: amd64, platform: 'linux/amd64' })
    const outer = indexOf({ of: middle })
    expect(await select(outer, run('linux/arm64'), middle, inner)).toBe(digestOf(arm64))
    expect(await select(outer, run('linux/amd64'), middle, inner)).toBe(digestOf(amd64))
    const platforms = [parsePlatform('linux/arm64')]
    expect(await select(outer, { kind: 'platforms', platforms }, middle, inner)).toBe(
      digestOf(arm64),
    )
  })

  it('reads the config where an entry does not say it', async () => {
    const index = indexOf({ of: amd64 }, { of: arm64 }, { of: v3 })
    expect(await select(index, run('linux/arm64'))).toBe(digestOf(arm64))
    expect(await select(index, run('linux/amd64'))).toBe(digestOf(amd64))
    expect(await select(index, run('linux/amd64/v4'))).toBe(digestOf(v3))
  })

  it('takes the baseline before what needs more of the processor, wherever it is listed', async () => {
    const index = indexOf(
      { of: v3, platform: 'linux/amd64/v3' },
      { of: amd64, platform: 'linux/amd64' },
    )
    expect(await select(index, run('linux/amd64'))).toBe(digestOf(amd64))
    expect(await select(index, { kind: 'choose', platform: parsePlatform('linux/x86_64') })).toBe(
      digestOf(amd64),
    )
  })

  it('passes over what is no image, and what is listed and not there', async () => {
    const missing = imageFixture({ layers: ['gone'] })
    const attestation = { annotations: { 'vnd.docker.reference.digest': digestOf(amd64) } }
    const soci = { artifactType: 'application/vnd.amazon.soci.index.v2+json' }
    const index = indexOf(
      { of: indexOf({ of: missing, platform: 'linux/amd64' }) },
      { of: missing, platform: 'unknown/unknown', members: attestation },
      { of: missing, platform: 'linux/amd64', members: soci },
      { of: amd64, platform: 'linux/amd64' },
    )
    expect(await select(index, run('linux/amd64'))).toBe(digestOf(amd64))
  })

  it('says what there is, wherever it is', async () => {
    const inner = indexOf({ of: arm64 }, { of: v3, platform: 'linux/amd64/v3' })
    const index = indexOf({ of: inner })
    await expect(select(index, run('linux/s390x'), inner)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('linux/amd64/v3, linux/arm64'),
    })
  })

  it('keeps several platforms of nested indexes, with what is said about them', async () => {
    const about = { annotations: { 'vnd.docker.reference.digest': digestOf(arm64) } }
    const other = { annotations: { 'vnd.docker.reference.digest': digestOf(v3) } }
    const attestation = imageFixture({ layers: ['attestation'], platform: 'linux/s390x' })
    const inner = indexOf(
      { of: arm64, platform: 'linux/arm64' },
      { of: attestation, platform: 'unknown/unknown', members: about },
      { of: attestation, platform: 'unknown/unknown', members: other },
    )
    const index = indexOf({ of: inner }, { of: amd64, platform: 'linux/amd64' }, { of: v3 })
    const platforms = ['linux/arm64', 'linux/amd64/v1'].map(parsePlatform)
    const source = new FixtureSource({ a: inner, b: v3, c: amd64, d: arm64 })
    const narrowed = await selectRoot(source, index.root, { kind: 'platforms', platforms })
    const manifest = parseManifest(narrowed.content, 'narrowed')
    const entries: readonly Descriptor[] = manifest.kind === 'index' ? manifest.manifests : []
    expect(entries.map(({ digest }) => digest)).toEqual([arm64, attestation, amd64].map(digestOf))
  })

  it('asks which version of Windows is meant', async () => {
    const index = indexOf(
      { of: amd64, platform: 'windows(10.0.17763.1)/amd64' },
      { of: v3, platform: 'windows(10.0.20348.1)/amd64' },
    )
    await expect(select(index, run('windows/amd64'))).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringContaining('windows(10.0.17763.1)/amd64, windows(10.0.20348.1)/amd64'),
    })
    expect(await select(index, run('windows(10.0.20348)/amd64'))).toBe(digestOf(v3))
  })

  it('refuses indexes that nest too deep', async () => {
    const chain = Array.from({ length: 10 }).reduce<ImageFixture[]>(
      ([inner = amd64, ...rest]) => [indexOf({ of: inner }), inner, ...rest],
      [],
    )
    const [outer = amd64, ...parts] = chain
    await expect(select(outer, run('linux/amd64'), ...parts)).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })
})

describe('inspect', () => {
  it('shows the images of an index inside of an index', async () => {
    const backend = new MemoryBackend({ bucket: 'b' })
    const inner = indexOf({ of: arm64, platform: 'linux/arm64' }, { of: v3 })
    const outer = indexOf({ of: inner }, { of: amd64, platform: 'linux/amd64' })
    for (const image of [amd64, v3, arm64]) {
      await putImage(backend, { name: 'parts', tag: digestOf(image).slice(7) }, image)
      await backend.put(blobKey(digestOf(image)), image.root.content)
    }
    await backend.put(blobKey(digestOf(inner)), inner.root.content)
    await backend.put(manifestKey({ name: 'app', tag: 'v1' }), outer.root.content)
    const reference = { scheme: 'mem', bucket: 'b', image: 'app', name: 'app', tag: 'v1' }
    const { platforms = [] } = await inspect(new ImageStore(backend), reference)
    expect(platforms.map(({ platform, layers }) => [platform, layers?.length])).toEqual([
      ['linux/arm64', 1],
      ['linux/amd64/v3', 1],
      ['linux/amd64', 1],
    ])
  })
})
