import {
  type BlobSink,
  type CallOptions,
  choosePlatform,
  type Descriptor,
  formatPlatform,
  isIndexMediaType,
  isS3loError,
  type ManifestDocument,
  MEDIA_TYPE,
  type Platform,
  type Reference,
  S3loError,
  type StreamingSource,
  type TransferOptions,
  runsOn,
} from '@s3lo/core'
import { buildManifest } from '../image/build-manifest.ts'
import { finishDockerSave } from '../image/finish-docker-save.ts'
import { finishLayoutSave, reportLeft } from '../image/finish-layout-save.ts'
import { engineName, isSameImageName } from '../image/image-name.ts'
import { readSave, type ReadSaveOptions, type SavedImage } from '../image/read-save.ts'
import { LAYOUT_INDEX } from '../layout/layout-files.ts'
import { parseLayoutIndex } from '../layout/layout-index.ts'
import { StreamReader } from '../tar/byte-reader.ts'
import type { Engine, EngineImage, ImageVariant } from './engine.ts'

/** The images of an engine, read as it saves them: in one pass and without a copy on disk. */
export class EngineSource implements StreamingSource {
  readonly kind = 'streaming'
  readonly name: string
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
    this.name = `docker engine at ${engine.address}`
  }

  async matches(
    reference: Reference,
    document: ManifestDocument,
    options: TransferOptions = {},
  ): Promise<boolean> {
    const image = await this.#engine.inspect(reference, options)
    if ((await this.#engine.kind(options)) === 'containerd') {
      // Only all platforms together are an index.
      const isIndex = isIndexMediaType(document.descriptor.mediaType)
      if (isIndex && !options.allPlatforms) return false
      return wouldGiveDigest(image, options) === document.descriptor.digest
    }
    if (options.platform && !runsOn(image.platform, options.platform)) return false
    return isManifestOf(image, document)
  }

  async transfer(
    reference: Reference,
    sink: BlobSink,
    options: TransferOptions = {},
  ): Promise<ManifestDocument> {
    const image = await this.#engine.inspect(reference, options)
    return (await this.#engine.kind(options)) === 'containerd'
      ? this.#transferLayout(reference, image, sink, options)
      : this.#transferArchive(reference, image, sink, options)
  }

  async close(): Promise<void> {
    this.#engine.close()
  }

  async #transferArchive(
    reference: Reference,
    image: EngineImage,
    sink: BlobSink,
    options: TransferOptions,
  ): Promise<ManifestDocument> {
    const { id, diffIds } = image
    requirePlatform(image, engineName(reference), options.platform)
    const { signal } = options
    reportSize(image, image.size, 1, options)
    const save = await this.#save(reference, undefined, sink, { signal, format: 'docker', diffIds })
    return finishDockerSave(save, sink, { configDigest: id, platform: options.platform })
  }

  async #transferLayout(
    reference: Reference,
    image: EngineImage,
    sink: BlobSink,
    options: TransferOptions,
  ): Promise<ManifestDocument> {
    if (options.allPlatforms) requireVariants(image, engineName(reference))
    const variant = options.allPlatforms ? undefined : chooseVariant(image, options)
    const { signal } = options
    reportContent(image, variant ? [variant] : image.variants, options)
    const save = await this.#save(reference, variant?.platform, sink, { signal, format: 'layout' })
    const root = variant?.descriptor ?? rootOf(save, image, reference)
    return finishLayoutSave(save, root, sink, options)
  }

  async #save(
    reference: Reference,
    platform: Platform | undefined,
    sink: BlobSink,
    { signal, ...known }: CallOptions & Omit<ReadSaveOptions, 'archive'>,
  ): Promise<SavedImage> {
    const archive = `the save of ${engineName(reference)}`
    const bytes = await this.#engine.save(reference, platform, { signal })
    try {
      return await readSave(new StreamReader(bytes, archive), sink, { archive, ...known })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      await bytes.return() // Frees the connection when not everything was read.
    }
  }
}

/** Reports what the engine says that it will save; an engine that does not say is followed all the same. */
function reportSize(
  { diffIds }: EngineImage,
  bytes: number | undefined,
  images: number,
  { onProgress }: TransferOptions,
): void {
  if (bytes === undefined) return
  onProgress?.({ type: 'plan', blobs: (diffIds.length + 1) * images, bytes })
}

function reportContent(
  image: EngineImage,
  variants: readonly ImageVariant[] = [],
  options: TransferOptions,
): void {
  const present = variants.filter(({ available }) => available)
  const images = present.filter(({ platform }) => platform !== undefined)
  const sizes = present.map(({ contentSize }) => contentSize)
  if (images.length === 0 || sizes.includes(undefined)) return
  const bytes = sizes.reduce<number>((sum, size = 0) => sum + size, 0)
  reportSize(image, bytes, images.length, options)
}

/** True when the manifest that a save gives has just these bytes. */
function isManifestOf(
  { id, diffIds }: EngineImage,
  { descriptor, manifest }: ManifestDocument,
): boolean {
  if (manifest.kind !== 'manifest' || manifest.config.digest !== id) return false
  const digests = manifest.layers.map(({ digest }) => digest)
  if (digests.length !== diffIds.length || digests.some((digest, i) => digest !== diffIds[i]))
    return false
  const layers = manifest.layers.map((layer) => ({ ...layer, mediaType: MEDIA_TYPE.ociLayer }))
  return buildManifest(manifest.config, layers).descriptor.digest === descriptor.digest
}

/** The digest of what a transfer would publish, as far as the engine tells beforehand. */
function wouldGiveDigest(image: EngineImage, options: TransferOptions): string | undefined {
  if (options.allPlatforms) {
    return image.variants?.every(({ available }) => available) ? image.id : undefined
  }
  if (!image.variants) {
    const { platform } = options
    return !platform || runsOn(image.platform, platform) ? image.id : undefined
  }
  try {
    return chooseVariant(image, { platform: options.platform })?.descriptor.digest
  } catch (error) {
    if (isS3loError(error)) return undefined // No such platform: the transfer will say so.
    throw error
  }
}

/** The manifest that is asked for, of those whose content the engine has. */
function chooseVariant(
  { variants }: EngineImage,
  { platform, onProgress }: TransferOptions,
): (ImageVariant & { readonly platform: Platform }) | undefined {
  const present = (variants ?? []).flatMap(({ platform, ...variant }) =>
    platform && variant.available ? [{ ...variant, platform }] : [],
  )
  if (variants === undefined) return undefined
  const { chosen, dropped } = choosePlatform(present, platform)
  if (dropped.length > 0) reportLeft(dropped, { onProgress })
  return chosen
}

/** Told early, because a save of what is there would only be found wanting at its end. */
function requireVariants({ variants }: EngineImage, name: string): void {
  const absent = variants?.find(({ available }) => !available)
  if (!absent) return
  const { digest, platform } = absent.descriptor
  throw new S3loError(
    'NOT_FOUND',
    `the engine has not got ${formatPlatform(platform)} of ${name} (${digest})`,
    { hint: 'pull that platform first, or leave out --all-platforms' },
  )
}

function requirePlatform(image: EngineImage, name: string, wanted: Platform | undefined): void {
  if (!wanted || runsOn(image.platform, wanted)) return
  throw new S3loError('NOT_FOUND', `image ${name} has no platform ${formatPlatform(wanted)}`, {
    hint: `it has ${formatPlatform(image.platform)}`,
  })
}

/** The entry of the save's index that is the image which was inspected, or at least of its name. */
function rootOf(save: SavedImage, { id }: EngineImage, reference: Reference): Descriptor {
  const index = save.documents.get(LAYOUT_INDEX)
  if (!index) throw new S3loError('INTEGRITY', `${save.archive} has no ${LAYOUT_INDEX}`)
  const entries = parseLayoutIndex(index, save.archive)
  const root =
    entries.find(({ descriptor }) => descriptor.digest === id) ??
    entries.find(
      ({ imageName }) =>
        imageName !== undefined && isSameImageName(imageName, engineName(reference)),
    )
  if (root) return root.descriptor
  throw new S3loError('INTEGRITY', `${save.archive} does not hold ${id}`)
}
