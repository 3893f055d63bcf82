import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { ANNOTATION } from '../oci/annotations.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { asArray, asObject, type JsonObject, parseJson } from '../oci/json.ts'
import { isImageConfigType, isIndexMediaType, isManifestMediaType } from '../oci/media-type.ts'
import { formatPlatform, isAttestationPlatform, type Platform } from '../oci/platform.ts'
import { type ContentReader, readPlatform } from './read-manifest.ts'
import { entriesBelow, readBelow, type ReadManifests } from './walk.ts'

const READS_AT_ONCE = 10

/** An image in an index, or in an index inside of it. */
export interface IndexedImage {
  /** With its platform. */
  readonly descriptor: Descriptor
  readonly platform: Platform
  /** The entry as it is written. */
  readonly raw: JsonObject
  /** True for what is listed with a platform and is no image: an index of a layer, say. */
  readonly isArtifact: boolean
}

/** What BuildKit says of an image beside it. */
interface IndexedAttestation {
  /** The digest of the image that it is about. */
  readonly subject: string
  readonly raw: JsonObject
}

/** Everything in an index and the indexes inside of it, in order. */
export interface IndexContent {
  /** The entries of images and attestations, as they are written. */
  readonly entries: readonly JsonObject[]
  readonly images: readonly IndexedImage[]
  readonly attestations: readonly IndexedAttestation[]
}

/**
 * Finds the images of an index, however deep. The platform of an entry that does not say it is read
 * from its config. What is listed and not there, and what is no image, is passed over. Throws
 * `INTEGRITY` for an index that is too deep or too large.
 */
export async function readIndexContent(
  source: ContentReader,
  index: ManifestDocument,
  options: CallOptions = {},
): Promise<IndexContent> {
  const documents = await readBelow(source, index, {
    ...options,
    follow: saysTooLittle,
    isSparse: true,
  })
  const platforms = await readPlatforms(source, documents, options)
  const written = new RawEntries()
  const parts: Part[] = []
  for (const { entry, index: around, place, isRepeated } of entriesBelow(index, documents)) {
    const isRead = saysTooLittle(entry)
    if (isRead && isRepeated) continue
    const platform = isRead ? platforms.get(entry.digest) : entry.platform
    const part = partOf(entry, platform, written.get(around, place))
    if (part) parts.push(part)
  }
  return {
    entries: parts.map(({ raw }) => raw),
    images: parts.flatMap((part) => (part.kind === 'image' ? [part] : [])),
    attestations: parts.flatMap((part) => (part.kind === 'attestation' ? [part] : [])),
  }
}

/** The digest of the manifest that an attestation entry is about (BuildKit's annotation). */
export function attestationSubject({ platform, annotations }: Descriptor): string | undefined {
  return isAttestationPlatform(formatPlatform(platform))
    ? annotations?.[ANNOTATION.attestationSubject]
    : undefined
}

/** True for an entry that no machine runs: what BuildKit says about an image. */
export function isAttestation(entry: Descriptor): boolean {
  return entry.platform?.os === 'unknown' || attestationSubject(entry) !== undefined
}

type Part =
  | (IndexedImage & { readonly kind: 'image' })
  | (IndexedAttestation & { readonly kind: 'attestation' })

/** What an entry is; `undefined` for an index, for what is no image, and for what is not there. */
function partOf(
  entry: Descriptor,
  platform: Platform | undefined,
  raw: JsonObject,
): Part | undefined {
  const { artifactType, mediaType } = entry
  const subject = attestationSubject(entry)
  if (subject !== undefined) return { kind: 'attestation', subject, raw }
  if (!isManifestMediaType(mediaType) || entry.platform?.os === 'unknown') return undefined
  if (!platform?.os || !platform.architecture) return undefined
  const isArtifact =
    isComplete(entry) && artifactType !== undefined && !isImageConfigType(artifactType)
  return { kind: 'image', descriptor: { ...entry, platform }, platform, raw, isArtifact }
}

/** True for an index, and for an image whose entry does not say what it runs on. */
function saysTooLittle(entry: Descriptor): boolean {
  if (attestationSubject(entry) !== undefined || entry.platform?.os === 'unknown') return false
  return isIndexMediaType(entry.mediaType) || !isComplete(entry)
}

function isComplete({ platform }: Descriptor): boolean {
  return Boolean(platform?.os && platform.architecture)
}

/** What the images among these manifests run on, by their digests. */
async function readPlatforms(
  source: ContentReader,
  documents: ReadManifests,
  options: CallOptions,
): Promise<ReadonlyMap<string, Platform>> {
  const platforms = new Map<string, Platform>()
  await forEachConcurrent(
    documents,
    READS_AT_ONCE,
    async ([digest, { manifest }], signal) => {
      if (manifest.kind !== 'manifest' || !isImageConfigType(manifest.config.mediaType)) return
      platforms.set(digest, await readPlatform(source, manifest.config, { signal }))
    },
    options.signal,
  )
  return platforms
}

/** The entries of indexes as they are written. */
class RawEntries {
  readonly #lists = new Map<ManifestDocument, readonly unknown[]>()

  get(index: ManifestDocument, place: number): JsonObject {
    const path = `index ${index.descriptor.digest}`
    const list =
      this.#lists.get(index) ??
      asArray(asObject(parseJson(index.content, path), path)['manifests'] ?? [], path)
    this.#lists.set(index, list)
    return asObject(list[place], path)
  }
}
