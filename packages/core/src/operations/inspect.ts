import type { CallOptions } from '../contract/call-options.ts'
import { attestationSubject } from '../graph/index-entries.ts'
import { readPlatform } from '../graph/read-manifest.ts'
import { entriesBelow, readBelow } from '../graph/walk.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import { isS3loError } from '../errors.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import { type DescribedConfig, describeConfig } from '../oci/config-summary.ts'
import { type Descriptor, totalSize } from '../oci/descriptor.ts'
import type { Manifest, ManifestDocument } from '../oci/document.ts'
import { isImageConfigType, MEDIA_TYPE } from '../oci/media-type.ts'
import { formatExactPlatform, formatPlatform } from '../oci/platform.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readAll } from '../stream/read-all.ts'
import { readSignatures, type SignatureInfo } from '../store/signature-records.ts'

export interface InspectedLayer {
  readonly digest: string
  readonly size: number
  readonly media_type: string
  /** Present when the layer is stored in a form that this version cannot read. */
  readonly stored_as?: 'chunks'
}

/** One image of an index, in the index's order; of an index inside of it, those of that one. */
export interface InspectedPlatform extends DescribedConfig {
  /** `os/arch[/variant]`, or `(attestation)`. */
  readonly platform: string
  readonly digest: string
  readonly layers?: readonly InspectedLayer[]
  /** Layers only (bytes). */
  readonly total_size: number
  /** The digest of the entry that an attestation is about. */
  readonly attestation_for?: string
}

/** What an index lists beside images: the index of an image's layers, say. */
export interface InspectedArtifact {
  readonly digest: string
  readonly artifact_type: string
  /** Of the manifest (bytes). */
  readonly size: number
  /** The platform of the image that it is for: `os/arch[/variant]`; absent where the entry has none. */
  readonly platform?: string
}

/** Something that refers to the image. */
export interface InspectedAttachment {
  readonly digest: string
  readonly artifact_type: string
  readonly size: number
}

/** What is known of an image; field names are those of `--output json`, and empty ones are absent. */
export interface InspectResult extends DescribedConfig {
  readonly reference: string
  readonly digest: string
  readonly media_type: string
  readonly is_index: boolean
  readonly layers?: readonly InspectedLayer[]
  readonly total_size?: number
  readonly signatures?: readonly SignatureInfo[]
  readonly attachments?: readonly InspectedAttachment[]
  readonly platforms?: readonly InspectedPlatform[]
  /** What the index lists that is neither an image nor an attestation. */
  readonly artifacts?: readonly InspectedArtifact[]
}

const READS_AT_ONCE = 10

/** The largest config that is described (bytes). */
const MAX_DESCRIBED = 4 * 1024 * 1024

/**
 * Describes an image from its manifests and configs; no layer is read. A config that cannot be read
 * is left out: `doctor` says what is wrong with it.
 */
export async function inspect(
  store: ImageStore,
  reference: StoreReference,
  options: CallOptions = {},
): Promise<InspectResult> {
  const root = await store.read(reference, options)
  const { manifest } = root
  return {
    reference: formatReference(reference),
    digest: root.descriptor.digest,
    media_type: manifest.mediaType,
    is_index: manifest.kind === 'index',
    ...(manifest.kind === 'index'
      ? await inspectIndex(store, root, options)
      : await inspectImage(store, manifest, options)),
    ...filled('signatures', await readSignatures(store.backend, reference, options)),
    ...filled(
      'attachments',
      await readAttachments(store, reference.name, root.descriptor, options),
    ),
  }
}

/** What an index lists, and in its place what each index inside of it does. */
async function inspectIndex(
  store: ImageStore,
  root: ManifestDocument,
  options: CallOptions,
): Promise<Pick<InspectResult, 'platforms' | 'artifacts'>> {
  const follow = (entry: Descriptor): boolean => artifactTypeOf(entry) === undefined
  const documents = await readBelow(store, root, { ...options, follow })
  const entries = [...entriesBelow(root, documents)].filter(
    ({ document }) => document?.manifest.kind !== 'index',
  )
  const found: (InspectedPlatform | InspectedArtifact)[] = []
  await forEachConcurrent(
    entries.entries(),
    READS_AT_ONCE,
    async ([i, { entry, document }], signal) => {
      found[i] = await inspectEntry(store, entry, document?.manifest, { signal })
    },
    options.signal,
  )
  const platforms = found.flatMap((child) => ('artifact_type' in child ? [] : [child]))
  const artifacts = found.flatMap((child) => ('artifact_type' in child ? [child] : []))
  return { ...filled('platforms', platforms), ...filled('artifacts', artifacts) }
}

/** Of an entry that is neither an image nor an attestation. */
function artifactTypeOf(entry: Descriptor): string | undefined {
  const { artifactType } = entry
  if (artifactType === undefined || isImageConfigType(artifactType)) return undefined
  return attestationSubject(entry) === undefined ? artifactType : undefined
}

async function inspectEntry(
  store: ImageStore,
  entry: Descriptor,
  manifest: Manifest | undefined,
  options: CallOptions,
): Promise<InspectedPlatform | InspectedArtifact> {
  const { digest, size } = entry
  const artifactType = artifactTypeOf(entry)
  if (artifactType !== undefined) {
    const platform = entry.platform ? { platform: nameOf(entry) } : {}
    return { digest, artifact_type: artifactType, size, ...platform }
  }
  const subject = attestationSubject(entry)
  const about = subject === undefined ? {} : { attestation_for: subject }
  const platform =
    entry.platform || !manifest ? nameOf(entry) : await ownPlatform(store, manifest, options)
  if (!manifest) return { platform, digest, total_size: size, ...about }
  const image = await inspectImage(store, manifest, options)
  return { platform, digest, total_size: 0, ...image, ...about }
}

function nameOf({ platform }: Descriptor): string {
  return platform ? formatExactPlatform(platform) : formatPlatform(platform)
}

/** Of an image whose entry does not say it. */
async function ownPlatform(
  store: ImageStore,
  manifest: Manifest,
  options: CallOptions,
): Promise<string> {
  if (manifest.kind !== 'manifest' || !isImageConfigType(manifest.config.mediaType)) {
    return formatPlatform(undefined)
  }
  const { config } = manifest
  const platform = await orImageFault(() => readPlatform(store, config, options))
  return isS3loError(platform) ? formatPlatform(undefined) : formatExactPlatform(platform)
}

type InspectedImage = Pick<InspectResult, 'layers' | 'total_size' | 'created' | 'config'>

async function inspectImage(
  store: ImageStore,
  manifest: Manifest,
  options: CallOptions,
): Promise<InspectedImage> {
  if (manifest.kind === 'index') return {}
  if (manifest.kind === 'artifact') return inspectLayers(store, manifest.blobs, options)
  const described = await readDescription(store, manifest.config, options)
  return { ...described, ...(await inspectLayers(store, manifest.layers, options)) }
}

async function readDescription(
  store: ImageStore,
  config: Descriptor,
  options: CallOptions,
): Promise<DescribedConfig> {
  const { digest, size, mediaType } = config
  if (!isImageConfigType(mediaType) || size > MAX_DESCRIBED) return {}
  const described = await orImageFault(async () =>
    describeConfig(await readAll(await store.fetch(config, options), size, digest), digest),
  )
  return isS3loError(described) ? {} : described
}

async function inspectLayers(
  store: ImageStore,
  named: readonly Descriptor[],
  options: CallOptions,
): Promise<InspectedImage> {
  const layers: InspectedLayer[] = []
  for (const { digest, size, mediaType } of named) {
    const layer = { digest, size, media_type: mediaType }
    // Only what the Go program chunks has this media type there: no other layer costs a request.
    const suspect = mediaType === MEDIA_TYPE.ociLayerZstd
    const chunked = suspect && (await store.blobs.form(digest, options)) === 'chunks'
    layers.push(chunked ? { ...layer, stored_as: 'chunks' } : layer)
  }
  return layers.length > 0 ? { layers, total_size: totalSize(named) } : {}
}

async function readAttachments(
  store: ImageStore,
  repository: string,
  subject: Descriptor,
  options: CallOptions,
): Promise<readonly InspectedAttachment[]> {
  const attachments: InspectedAttachment[] = []
  // One that is damaged is left out; `doctor` names it.
  await orImageFault(async () => {
    const referrers = store.referrers(repository, subject, options)
    for await (const { digest, artifactType = '', size } of referrers) {
      attachments.push({ digest, artifact_type: artifactType, size })
    }
  })
  return attachments
}

/** A record of one list, or of none when it is empty. */
function filled<K extends string, T>(
  key: K,
  list: readonly T[],
): { readonly [P in K]?: readonly T[] } {
  return list.length > 0 ? ({ [key]: list } as { readonly [P in K]?: readonly T[] }) : {}
}
