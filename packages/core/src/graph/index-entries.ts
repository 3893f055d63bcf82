import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { ANNOTATION } from '../oci/annotations.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { assertDepth, type ManifestDocument } from '../oci/document.ts'
import { asArray, asObject, type JsonObject, parseJson } from '../oci/json.ts'
import { isImageConfigType, isIndexMediaType, isManifestMediaType } from '../oci/media-type.ts'
import { formatPlatform, isAttestationPlatform, type Platform } from '../oci/platform.ts'
import { type ContentReader, readManifest, readPlatform } from './read-manifest.ts'

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

/** Manifests that are read to learn the platforms of one image, together (bytes). */
const MAX_READ_BYTES = 64 * 1024 * 1024
const READS_AT_ONCE = 10

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
  const walk = new Walk(source, options.signal)
  const parts = await walk.visit(index, 0)
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

class Walk {
  readonly #source: ContentReader
  readonly #signal: AbortSignal | undefined
  readonly #seen = new Set<string>()
  #bytes = 0

  constructor(source: ContentReader, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  async visit(
    { content, descriptor, manifest }: ManifestDocument,
    depth: number,
  ): Promise<readonly Part[]> {
    assertDepth(depth)
    if (manifest.kind !== 'index') return []
    const path = `index ${descriptor.digest}`
    const raws = asArray(asObject(parseJson(content, path), path)['manifests'] ?? [], path)
    const found: (Part | ManifestDocument | undefined)[] = []
    await forEachConcurrent(
      manifest.manifests.entries(),
      READS_AT_ONCE,
      async ([i, entry], signal) => {
        found[i] = await this.#look(entry, asObject(raws[i], path), signal)
      },
      this.#signal,
    )
    const parts: Part[] = []
    // One after the other: each reads several at once.
    for (const part of found) {
      if (!part) continue
      if ('kind' in part) parts.push(part)
      else parts.push(...(await this.visit(part, depth + 1)))
    }
    return parts
  }

  /** An image or attestation, or an index to look into; `undefined` for anything else. */
  async #look(
    entry: Descriptor,
    raw: JsonObject,
    signal: AbortSignal,
  ): Promise<Part | ManifestDocument | undefined> {
    const { platform, artifactType } = entry
    const subject = attestationSubject(entry)
    if (subject !== undefined) return { kind: 'attestation', subject, raw }
    if (!isManifestMediaType(entry.mediaType) || platform?.os === 'unknown') return undefined
    if (!isIndexMediaType(entry.mediaType) && platform?.os && platform.architecture) {
      const isArtifact = artifactType !== undefined && !isImageConfigType(artifactType)
      return { kind: 'image', descriptor: entry, platform, raw, isArtifact }
    }
    const read = await this.#read(entry, signal)
    if (read?.manifest.kind === 'index') return read
    return read && this.#readImage(entry, read, raw, signal)
  }

  /** An image whose entry does not say what it runs on. */
  async #readImage(
    entry: Descriptor,
    { manifest }: ManifestDocument,
    raw: JsonObject,
    signal: AbortSignal,
  ): Promise<Part | undefined> {
    if (manifest.kind !== 'manifest' || !isImageConfigType(manifest.config.mediaType)) {
      return undefined
    }
    const platform = await readPlatform(this.#source, manifest.config, { signal })
    if (!platform.os || !platform.architecture) return undefined
    const descriptor = { ...entry, platform }
    return { kind: 'image', descriptor, platform, raw, isArtifact: false }
  }

  /** `undefined` for what was read before, and for what is not there. */
  async #read(entry: Descriptor, signal: AbortSignal): Promise<ManifestDocument | undefined> {
    if (this.#seen.has(entry.digest)) return undefined
    this.#seen.add(entry.digest)
    this.#bytes += entry.size
    if (this.#bytes > MAX_READ_BYTES) {
      throw new S3loError('INTEGRITY', `the image's manifests exceed ${MAX_READ_BYTES} bytes`)
    }
    try {
      return await readManifest(this.#source, entry, { signal })
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }
}
