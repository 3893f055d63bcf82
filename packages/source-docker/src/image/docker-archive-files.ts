import { Readable } from 'node:stream'
import {
  type CallOptions,
  decompress,
  type Descriptor,
  Digester,
  type ImageManifest,
  type ImageSource,
  type ManifestDocument,
  MAX_CONFIG_BYTES,
  MEDIA_TYPE,
  parseDigest,
  parseImageConfig,
  parseManifest,
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

/** A layer as it stands in the archive. `diffId` is set where it has to be decompressed for that. */
interface ArchivedLayer {
  readonly name: string
  readonly descriptor: Descriptor
  readonly diffId: string | undefined
}

/**
 * The files of a docker archive with one image. Plain and gzip layers are as they are stored,
 * zstd layers are decompressed, which reads them twice: a tar must know sizes beforehand.
 */
export async function* dockerArchiveFiles(
  root: ManifestDocument,
  source: Pick<ImageSource, 'fetch'>,
  { repoTags, keepZstd, signal }: DockerArchiveOptions,
): AsyncGenerator<TarFile> {
  const manifest = requireImage(root)
  const stream = abortable(await source.fetch(manifest.config, { signal }), signal)
  const config = await readAll(stream, MAX_CONFIG_BYTES, manifest.config.digest)
  const layers = archivedLayers(manifest, config, keepZstd)
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
  const manifest = parseManifest(root.content, digest)
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

const CONFIG_TYPES: ReadonlySet<string> = new Set([
  MEDIA_TYPE.ociConfig,
  MEDIA_TYPE.dockerConfig,
  MEDIA_TYPE.octetStream, // Old registries' configs.
])

function archivedLayers(
  manifest: ImageManifest,
  config: Uint8Array,
  keepZstd: boolean | undefined,
): readonly ArchivedLayer[] {
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
  return manifest.layers.map((descriptor, i) => {
    const diffId = isZstd(descriptor) && !keepZstd ? diffIds[i] : undefined
    return { descriptor, diffId, name: `${parseDigest(diffId ?? descriptor.digest).hex}/layer.tar` }
  })
}

function isZstd({ mediaType }: Descriptor): boolean {
  return /[+.]zstd$/.test(mediaType)
}

async function layerFile(
  { name, descriptor, diffId }: ArchivedLayer,
  source: Pick<ImageSource, 'fetch'>,
  signal: AbortSignal | undefined,
): Promise<TarFile> {
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
