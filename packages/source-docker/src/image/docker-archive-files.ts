import { Readable } from 'node:stream'
import {
  type CallOptions,
  type ContentSource,
  decompress,
  type Descriptor,
  Digester,
  forEachConcurrent,
  type ImageManifest,
  type ManifestDocument,
  MAX_CONFIG_BYTES,
  MEDIA_TYPE,
  parseDigest,
  parseImageConfig,
  type PlainLayer,
  readAll,
  S3loError,
} from '@s3lo/core'
import { abortable } from '../stream/abortable.ts'
import { inMemory, type TarFile } from '../tar/tar-writer.ts'
import { DOCKER_MANIFEST } from './docker-manifest.ts'

export interface DockerArchiveOptions extends CallOptions {
  /** By which names the engine shall know the image. */
  readonly repoTags: readonly string[]
  /** Leave zstd layers as they are, for an engine that can read them. */
  readonly keepZstd?: boolean | undefined
}

/** A layer as it stands in the archive. */
interface ArchivedLayer {
  readonly name: string
  readonly descriptor: Descriptor
  /** Where it is not as it is stored: what it decompresses to. */
  readonly diffId: string | undefined
  /** Where the source holds the layer uncompressed. */
  readonly plain: PlainLayer | undefined
}

/**
 * The files of a docker archive with one image. Plain and gzip layers are as they are stored, zstd
 * layers too where `keepZstd` allows it. The others are decompressed, which reads them twice, because
 * a tar must know sizes beforehand, unless the source holds their uncompressed content.
 */
export async function* dockerArchiveFiles(
  root: ManifestDocument,
  source: Pick<ContentSource, 'fetch' | 'plainLayer'>,
  { repoTags, keepZstd, signal }: DockerArchiveOptions,
): AsyncGenerator<TarFile> {
  const manifest = requireImage(root)
  const stream = abortable(await source.fetch(manifest.config, { signal }), signal)
  const config = await readAll(stream, MAX_CONFIG_BYTES, manifest.config.digest)
  const layers = await archivedLayers(manifest, config, source, { keepZstd, signal })
  const configName = `${parseDigest(manifest.config.digest).hex}.json`
  const listed = [
    { Config: configName, RepoTags: repoTags, Layers: layers.map(({ name }) => name) },
  ]
  yield inMemory(DOCKER_MANIFEST, Buffer.from(JSON.stringify(listed)))
  yield inMemory(configName, config)
  const written = new Set<string>()
  for (const layer of layers) {
    if (written.has(layer.name)) continue
    written.add(layer.name)
    yield await layerFile(layer, source, signal)
  }
}

function requireImage(root: ManifestDocument): ImageManifest {
  const { digest } = root.descriptor
  const { manifest } = root
  if (manifest.kind === 'index') {
    throw new S3loError(
      'UNSUPPORTED',
      `${digest} is an index; a docker archive holds one platform`,
      {
        hint: 'pass --platform, or write an oci-archive',
      },
    )
  }
  if (manifest.kind === 'manifest' && CONFIG_TYPES.has(manifest.config.mediaType)) return manifest
  const type = manifest.kind === 'manifest' ? manifest.config.mediaType : manifest.mediaType
  throw new S3loError('UNSUPPORTED', `${digest} is no container image but ${type}`, {
    hint: 'write an oci-archive, which holds anything',
  })
}

/** Layers whose form is asked for at once. */
const LOOKUPS_AT_ONCE = 16

const CONFIG_TYPES: ReadonlySet<string> = new Set([
  MEDIA_TYPE.ociConfig,
  MEDIA_TYPE.dockerConfig,
  MEDIA_TYPE.octetStream, // Old registries' configs.
])

async function archivedLayers(
  manifest: ImageManifest,
  config: Uint8Array,
  source: Pick<ContentSource, 'plainLayer'>,
  { keepZstd, signal }: Pick<DockerArchiveOptions, 'keepZstd' | 'signal'>,
): Promise<readonly ArchivedLayer[]> {
  const { diffIds } = parseImageConfig(config, manifest.config.digest)
  if (diffIds.length !== manifest.layers.length) {
    const counts = `${manifest.layers.length} layers, its config ${diffIds.length}`
    throw new S3loError('INTEGRITY', `the manifest of ${manifest.config.digest} names ${counts}`)
  }
  const encrypted = manifest.layers.find(({ mediaType }) => mediaType.endsWith('+encrypted'))
  if (encrypted) {
    throw new S3loError(
      'UNSUPPORTED',
      `layer ${encrypted.digest} is encrypted: no engine loads it`,
      {
        hint: 'write an oci-archive, which holds anything',
      },
    )
  }
  const archived: ArchivedLayer[] = []
  await forEachConcurrent(
    manifest.layers.entries(),
    LOOKUPS_AT_ONCE,
    async ([i, descriptor], inner) => {
      const held = await heldPlain(descriptor, diffIds[i], source, inner)
      const diffId = held || (isZstd(descriptor) && !keepZstd) ? diffIds[i] : undefined
      const { hex } = parseDigest(diffId ?? descriptor.digest)
      archived[i] = { descriptor, diffId, plain: held, name: `${hex}/layer.tar` }
    },
    signal,
  )
  return archived
}

/** The layer's uncompressed content, if the source holds it: the config's digest binds it to the image. */
async function heldPlain(
  descriptor: Descriptor,
  diffId: string | undefined,
  source: Pick<ContentSource, 'plainLayer'>,
  signal: AbortSignal,
): Promise<PlainLayer | undefined> {
  if (!isZstd(descriptor)) return undefined
  const plain = await source.plainLayer?.(descriptor, { signal })
  return plain?.digest === diffId ? plain : undefined
}

function isZstd({ mediaType }: Descriptor): boolean {
  return /[+.]zstd$/.test(mediaType)
}

async function layerFile(
  { name, descriptor, diffId, plain: held }: ArchivedLayer,
  source: Pick<ContentSource, 'fetch' | 'plainLayer'>,
  signal: AbortSignal | undefined,
): Promise<TarFile> {
  if (held) {
    return {
      name,
      size: held.size,
      open: async () => abortable(await held.open({ signal }), signal),
    }
  }
  const open = async (): Promise<Readable> =>
    abortable(await source.fetch(descriptor, { signal }), signal)
  if (diffId === undefined) return { name, size: descriptor.size, open }
  const plain = async (): Promise<AsyncGenerator<Buffer>> =>
    decompress(await open(), 'zstd', `layer ${descriptor.digest}`)
  const size = await measure(await plain(), descriptor, diffId)
  return { name, size, open: async () => Readable.from(await plain(), { objectMode: false }) }
}

/** The size of a decompressed layer. Throws `INTEGRITY` unless it is the one that the config names. */
async function measure(
  plain: AsyncIterable<Uint8Array>,
  { digest }: Descriptor,
  diffId: string,
): Promise<number> {
  const digester = new Digester(parseDigest(diffId).algorithm)
  let size = 0
  for await (const chunk of plain) {
    digester.update(chunk)
    size += chunk.byteLength
  }
  const actual = digester.digest()
  if (actual === diffId) return size
  throw new S3loError('INTEGRITY', `layer ${digest} holds ${actual}, its config names ${diffId}`)
}
