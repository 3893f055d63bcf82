import { Readable } from 'node:stream'
import {
  asArray,
  asObject,
  asStringMap,
  type CallOptions,
  type JsonObject,
  optional,
  parseJson,
} from '@s3lo/core/plugin'
import {
  ANNOTATION,
  asDescriptor,
  type Descriptor,
  formatPlatform,
  hostPlatform,
  isIndexMediaType,
  isSamePlatform,
  type ManifestDocument,
  MEDIA_TYPE,
  type Platform,
  readIndexContent,
  toDocument,
} from '@s3lo/core'
import { type IndexBuilder, sideOf } from './build.ts'
import type { IndexWithMetadata } from './build-contract.ts'
import { encodeIndex, encodeManifest } from './canonical-json.ts'
import {
  indexPlatforms,
  isImage,
  manifestPlatform,
  readDocument,
  uniquePlatforms,
} from './image-platforms.ts'
import {
  EmptyIndexError,
  imageAnnotationSociIndexDigest,
  indexAnnotationImageManifestDigest,
  sociIndexArtifactTypeV2,
} from './soci-index.ts'

export interface ConvertOptions extends CallOptions {
  /** Which platforms are indexed. Default: that of a single manifest, else the host's. */
  readonly platforms?: readonly Platform[] | undefined
  /** Every platform of the image. */
  readonly allPlatforms?: boolean | undefined
}

/** An image that names its SOCI indexes. */
export interface ConvertedImage {
  /** The OCI index: to be tagged. Everything that it newly names is stored. */
  readonly document: ManifestDocument
  readonly indexes: readonly IndexWithMetadata[]
  /** Platforms of which no layer was indexed: they are as they were. */
  readonly empty: readonly Platform[]
  /** Attestations that named a manifest that was rewritten, and name the new one now. */
  readonly attestations: number
}

/**
 * Makes an image lazily loadable: a new OCI index whose manifests name a SOCI index of version 2
 * each. Only the manifests of the platforms that were indexed are rewritten, and the entries of
 * their attestations name the new ones; other platforms and their SOCI indexes stay as they are. Throws {@link EmptyIndexError} when no layer
 * of any platform was indexed, and as {@link IndexBuilder.build}.
 */
export async function convert(
  builder: IndexBuilder,
  image: Descriptor,
  options: ConvertOptions = {},
): Promise<ConvertedImage> {
  const { signal } = options
  const base = await readBase(builder, image, { signal })
  const indexes: IndexWithMetadata[] = []
  const empty: Platform[] = []
  for (const platform of chosenPlatforms(base, options)) {
    try {
      indexes.push(await builder.build(base.target, { platform, version: 'v2', signal }))
    } catch (error) {
      if (!(error instanceof EmptyIndexError)) throw error
      empty.push(platform)
    }
  }
  if (indexes.length === 0) throw new EmptyIndexError(empty.map(formatPlatform))
  const entries = [...base.entries]
  let attestations = 0
  for (const index of indexes) {
    const moved = await linkIndex(builder, entries, index, signal)
    attestations += moved
  }
  const content = encodeIndex({
    ...base.document,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: entries,
  })
  const document = toDocument(content, MEDIA_TYPE.ociIndex)
  await recordImage(builder, document, entries, signal)
  return { document, indexes, empty, attestations }
}

interface Base {
  /** With its platform where it is a single manifest. */
  readonly target: Descriptor
  /** The members of the OCI index, with those that s3lo does not know. */
  readonly document: JsonObject
  readonly entries: readonly JsonObject[]
  readonly platforms: readonly Platform[]
  readonly defaultPlatform: Platform
}

async function readBase(
  { contentStore }: IndexBuilder,
  image: Descriptor,
  options: CallOptions,
): Promise<Base> {
  const document = await readDocument(contentStore, image, options)
  const manifest = document.manifest
  if (manifest.kind === 'index') {
    const parsed = asObject(parseJson(document.content, image.digest), image.digest)
    const { entries: flat } = await readIndexContent(contentStore, document, options)
    const isNested = manifest.manifests.some(({ mediaType }) => isIndexMediaType(mediaType))
    // An image is rewritten where it is listed, and there is one list only.
    const entries = isNested ? flat : asArray(parsed['manifests'] ?? [], image.digest)
    return {
      target: image,
      document: parsed,
      entries: entries.map((entry) => asObject(entry, image.digest)),
      platforms: await indexPlatforms(contentStore, document, options),
      defaultPlatform: hostPlatform(),
    }
  }
  const platform = image.platform ?? (await manifestPlatform(contentStore, document, options))
  const target = { ...image, platform }
  const entry = { ...target } satisfies object
  return {
    target,
    document: { schemaVersion: 2 },
    entries: [asObject(entry, image.digest)],
    platforms: [platform],
    defaultPlatform: platform,
  }
}

function chosenPlatforms(base: Base, options: ConvertOptions): readonly Platform[] {
  if (options.allPlatforms) return base.platforms
  return uniquePlatforms(options.platforms ?? [base.defaultPlatform])
}

/** Names the SOCI index in the image's manifest and lists both; returns how many attestations follow. */
async function linkIndex(
  builder: IndexBuilder,
  entries: JsonObject[],
  index: IndexWithMetadata,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { manifest, platform, document: soci } = index
  const rewritten = await rewriteManifest(builder, manifest, soci.descriptor.digest, signal)
  for (const [i, entry] of entries.entries()) {
    if (entry['digest'] !== manifest.digest || !isImage(asDescriptor(entry, 'index entry'))) {
      continue
    }
    entries[i] = {
      ...entry,
      ...rewritten.descriptor,
      annotations: { ...annotationsOf(entry), ...rewritten.annotations },
    }
  }
  const attestations = moveAttestations(entries, manifest.digest, rewritten.descriptor.digest)
  const listed = {
    ...soci.descriptor,
    annotations: { [indexAnnotationImageManifestDigest]: rewritten.descriptor.digest },
    platform,
    artifactType: sociIndexArtifactTypeV2,
  }
  const at = entries.findIndex((entry) => isSociEntryOf(entry, platform))
  entries.splice(at < 0 ? entries.length : at, at < 0 ? 0 : 1, asObject(listed, 'index entry'))
  return attestations
}

/** Lets what BuildKit attests about a manifest name the one in its place; returns how many did. */
function moveAttestations(entries: JsonObject[], from: string, to: string): number {
  let moved = 0
  for (const [i, entry] of entries.entries()) {
    const annotations = annotationsOf(entry)
    if (annotations[ANNOTATION.attestationSubject] !== from) continue
    entries[i] = { ...entry, annotations: { ...annotations, [ANNOTATION.attestationSubject]: to } }
    moved += 1
  }
  return moved
}

function isSociEntryOf(entry: JsonObject, platform: Platform): boolean {
  const descriptor = asDescriptor(entry, 'index entry')
  return (
    descriptor.artifactType === sociIndexArtifactTypeV2 &&
    descriptor.platform !== undefined &&
    isSamePlatform(descriptor.platform, platform)
  )
}

async function rewriteManifest(
  { contentStore, blobStore }: IndexBuilder,
  manifest: Descriptor,
  sociDigest: string,
  signal: AbortSignal | undefined,
): Promise<{ descriptor: Descriptor; annotations: Readonly<Record<string, string>> }> {
  const { content } = await readDocument(contentStore, manifest, { signal })
  const parsed = asObject(parseJson(content, manifest.digest), manifest.digest)
  const config = asObject(parsed['config'], `${manifest.digest}.config`)
  const annotations = {
    ...annotationsOf(parsed),
    [imageAnnotationSociIndexDigest]: sociDigest,
  }
  const bytes = encodeManifest({
    ...parsed,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { ...config, mediaType: MEDIA_TYPE.ociConfig },
    annotations,
  })
  const { descriptor } = toDocument(bytes, MEDIA_TYPE.ociManifest)
  const side = sideOf(blobStore, 'v2')
  if (!(await side.exists(descriptor, { signal }))) {
    await side.push(descriptor, async () => Readable.from([bytes]), { signal })
  }
  return { descriptor, annotations }
}

function annotationsOf(object: JsonObject): Readonly<Record<string, string>> {
  return optional(object, 'annotations', 'annotations', asStringMap) ?? {}
}

/** The records of the indexes name the image that lists them now. */
async function recordImage(
  { artifactsDb }: IndexBuilder,
  { descriptor }: ManifestDocument,
  entries: readonly JsonObject[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!artifactsDb) return
  for (const entry of entries.map((listed) => asDescriptor(listed, 'index entry'))) {
    const originalDigest = entry.annotations?.[indexAnnotationImageManifestDigest]
    if (entry.artifactType !== sociIndexArtifactTypeV2 || !originalDigest) continue
    // An index that another machine made may not be recorded here: it is not ours to describe.
    const record = await artifactsDb.find(entry.digest, { signal })
    if (!record) continue
    const imageDigest = descriptor.digest
    await artifactsDb.writeArtifactEntry(
      { ...record, originalDigest, imageDigest, location: originalDigest },
      { signal },
    )
  }
}
