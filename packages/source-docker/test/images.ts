import { gzipSync, zstdCompressSync } from 'node:zlib'
import {
  type Descriptor,
  digestOf,
  type ManifestDocument,
  MEDIA_TYPE,
  toDocument,
} from '@s3lo/core'
import { buildManifest } from '../src/image/build-manifest.ts'
import { inMemory, type TarFile, writeTar } from '../src/tar/tar-writer.ts'

export const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
export const hexOf = (digest: string): string => digest.slice(digest.indexOf(':') + 1)

export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function tarOf(files: Readonly<Record<string, Uint8Array>>): Promise<Buffer> {
  return collect(writeTar(Object.entries(files).map(([name, content]) => inMemory(name, content))))
}

/** A tar of files and links; `-> target` as content makes a symbolic link, `=> target` a hard one. */
export async function tarWithLinks(
  entries: readonly (readonly [name: string, content: Uint8Array | string])[],
): Promise<Buffer> {
  const parts: Buffer[] = []
  for (const [name, content] of entries) {
    parts.push(
      typeof content === 'string' ? await linkEntry(name, content) : await entry(name, content),
    )
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)])
}

/** One member without the end of an archive. */
export async function entry(name: string, content: Uint8Array): Promise<Buffer> {
  const file: TarFile = inMemory(name, content)
  return (await collect(writeTar([file]))).subarray(0, -1024)
}

async function linkEntry(name: string, arrow: string): Promise<Buffer> {
  const header = Buffer.from(await entry(name, new Uint8Array()))
  header.write(arrow.startsWith('->') ? '2' : '1', 156)
  header.write(arrow.slice(3), 157)
  return withChecksum(header)
}

/** Sets the checksum of the last block, after a test has changed it. */
export function withChecksum(header: Buffer): Buffer {
  const block = header.subarray(header.length - 512)
  block.fill(0x20, 148, 156)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

export interface Layer {
  readonly diffId: string
  readonly plain: Buffer
  readonly gzip: Buffer
  readonly zstd: Buffer
}

export async function makeLayer(text: string, size = 0): Promise<Layer> {
  const plain = await tarOf({
    [`${text}.txt`]: Buffer.concat([Buffer.from(text), Buffer.alloc(size)]),
  })
  return { plain, diffId: digestOf(plain), gzip: gzipSync(plain), zstd: zstdCompressSync(plain) }
}

export interface TestImage {
  readonly config: Buffer
  readonly configDigest: string
  readonly layers: readonly Layer[]
  /** As an engine without manifests has it: plain layers. */
  readonly document: ManifestDocument
}

export async function makeImage(
  layers: readonly Layer[],
  platform: {
    readonly architecture?: string
    readonly os?: string
    readonly variant?: string
  } = {},
): Promise<TestImage> {
  const config = encode({
    architecture: 'amd64',
    os: 'linux',
    ...platform,
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  })
  const configDigest = digestOf(config)
  const described = layers.map(({ diffId, plain }) => ({
    mediaType: MEDIA_TYPE.ociLayer,
    digest: diffId,
    size: plain.length,
  }))
  return {
    config,
    configDigest,
    layers,
    document: buildManifest({ digest: configDigest, size: config.length }, described),
  }
}

/** Three layers, the last of them the first again. */
export async function threeLayers(): Promise<TestImage> {
  const first = await makeLayer('first', 3000)
  return makeImage([first, await makeLayer('second'), first])
}

/** A manifest over stored layers, spaced as no serialiser of ours would. */
export function manifestOver(
  config: Buffer,
  layers: readonly (readonly [mediaType: string, content: Buffer])[],
): ManifestDocument {
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { mediaType: MEDIA_TYPE.ociConfig, digest: digestOf(config), size: config.length },
    layers: layers.map(([mediaType, content]) => ({
      mediaType,
      digest: digestOf(content),
      size: content.length,
    })),
  }
  return toDocument(Buffer.from(JSON.stringify(manifest, undefined, 2)), MEDIA_TYPE.ociManifest)
}

function indexOver(children: readonly Descriptor[]): ManifestDocument {
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: children }
  return toDocument(Buffer.from(JSON.stringify(index, undefined, 3)), MEDIA_TYPE.ociIndex)
}

/** What docker before 25 saves: a directory a layer, a repeated one linked to the first. */
export async function legacySave(image: TestImage, repoTag: string): Promise<Buffer> {
  const ids = image.layers.map((_, i) => hexOf(digestOf(Buffer.from(`v1 id ${i}`))))
  const entries: (readonly [string, Uint8Array | string])[] = []
  for (const [i, { diffId, plain }] of image.layers.entries()) {
    const first = image.layers.findIndex((layer) => layer.diffId === diffId)
    entries.push([`${ids[i]}/VERSION`, Buffer.from('1.0')])
    entries.push([`${ids[i]}/json`, encode({ id: ids[i] })])
    entries.push([`${ids[i]}/layer.tar`, first === i ? plain : `-> ../${ids[first]}/layer.tar`])
  }
  const config = `${hexOf(image.configDigest)}.json`
  const layers = ids.map((id) => `${id}/layer.tar`)
  // Engines walk a directory in order of names: a link may come before what it leads to.
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  entries.push([config, image.config])
  entries.push(['manifest.json', encode([{ Config: config, RepoTags: [repoTag], Layers: layers }])])
  entries.push(['repositories', encode({ app: { v1: ids.at(-1) } })])
  return tarWithLinks(entries)
}

/** What docker since 25 saves from a graph driver: an OCI layout and a manifest.json. */
export async function overlaySave(image: TestImage, repoTag: string): Promise<Buffer> {
  const v1 = encode({ id: 'old', created: '1970-01-01T00:00:00Z' })
  const blobs = [
    image.config,
    Buffer.from(image.document.content),
    v1,
    ...image.layers.map(({ plain }) => plain),
  ]
  const config = `blobs/sha256/${hexOf(image.configDigest)}`
  const layers = image.layers.map(({ diffId }) => `blobs/sha256/${hexOf(diffId)}`)
  return tarOf({
    ...asBlobs(blobs),
    'index.json': layoutIndex([image.document.descriptor], repoTag),
    'manifest.json': encode([
      { Config: config, RepoTags: [repoTag], Layers: layers, LayerSources: {} },
    ]),
    'oci-layout': encode({ imageLayoutVersion: '1.0.0' }),
    repositories: encode({ app: { v1: 'x' } }),
  })
}

/** What podman saves: layers by diff id, links under legacy names. */
export async function podmanSave(image: TestImage, repoTag: string): Promise<Buffer> {
  const unique = [...new Map(image.layers.map((layer) => [layer.diffId, layer])).values()]
  const config = `${hexOf(image.configDigest)}.json`
  const layers = image.layers.map(({ diffId }) => `${hexOf(diffId)}.tar`)
  return tarWithLinks([
    ...unique.map(({ diffId, plain }) => [`${hexOf(diffId)}.tar`, plain] as const),
    [config, image.config],
    [`${'0'.repeat(64)}/layer.tar`, `-> ../${layers[0]}`],
    [`${'0'.repeat(64)}/VERSION`, Buffer.from('1.0')],
    [`${'0'.repeat(64)}/json`, encode({ id: '0' })],
    ['manifest.json', encode([{ Config: config, RepoTags: [repoTag], Layers: layers }])],
    ['repositories', encode({})],
  ])
}

/** What a containerd store saves: blobs as they are stored, sorted by name, then the index. */
export async function containerdSave(
  roots: readonly Descriptor[],
  blobs: readonly Uint8Array[],
  imageName: string,
): Promise<Buffer> {
  return tarOf({
    ...asBlobs(blobs),
    'index.json': layoutIndex(roots, imageName),
    'oci-layout': encode({ imageLayoutVersion: '1.0.0' }),
  })
}

export function asBlobs(blobs: readonly Uint8Array[]): Record<string, Uint8Array> {
  const named = blobs.map((blob) => [`blobs/sha256/${hexOf(digestOf(blob))}`, blob] as const)
  return Object.fromEntries(named.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

export function layoutIndex(roots: readonly Descriptor[], imageName: string): Buffer {
  const annotations = {
    'io.containerd.image.name': imageName,
    'org.opencontainers.image.ref.name': imageName.slice(imageName.lastIndexOf(':') + 1),
  }
  const manifests = roots.map(({ mediaType, digest, size }) => ({
    mediaType,
    digest,
    size,
    annotations,
  }))
  return encode({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests })
}

export interface MultiPlatformImage {
  readonly index: ManifestDocument
  readonly children: Readonly<Record<'amd64' | 'arm64', ManifestDocument>>
  readonly attestation: ManifestDocument
  /** Every blob, documents included. */
  readonly blobs: readonly Buffer[]
  readonly layerOf: Readonly<Record<'amd64' | 'arm64', Buffer>>
}

/** An index as BuildKit makes it: two platforms with gzip layers, one of them attested. */
export async function makeMultiPlatform(): Promise<MultiPlatformImage> {
  const build = async (architecture: string) => {
    const layer = await makeLayer(`layer of ${architecture}`)
    const image = await makeImage([layer], { architecture })
    const child = manifestOver(image.config, [[MEDIA_TYPE.ociLayerGzip, layer.gzip]])
    return { child, config: image.config, layer: layer.gzip }
  }
  const amd64 = await build('amd64')
  const arm64 = await build('arm64')
  const statement = encode({ _type: 'https://in-toto.io/Statement/v0.1', predicate: {} })
  const empty = encode({
    architecture: 'unknown',
    os: 'unknown',
    config: {},
    rootfs: { type: 'layers', diff_ids: [digestOf(statement)] },
  })
  const attestation = manifestOver(empty, [['application/vnd.in-toto+json', statement]])
  const index = indexOver([
    { ...amd64.child.descriptor, platform: { os: 'linux', architecture: 'amd64' } },
    { ...arm64.child.descriptor, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
    {
      ...attestation.descriptor,
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        'vnd.docker.reference.digest': amd64.child.descriptor.digest,
        'vnd.docker.reference.type': 'attestation-manifest',
      },
    },
  ])
  const documents = [index, amd64.child, arm64.child, attestation].map(({ content }) =>
    Buffer.from(content),
  )
  return {
    index,
    attestation,
    children: { amd64: amd64.child, arm64: arm64.child },
    layerOf: { amd64: amd64.layer, arm64: arm64.layer },
    blobs: [...documents, amd64.config, arm64.config, empty, amd64.layer, arm64.layer, statement],
  }
}
