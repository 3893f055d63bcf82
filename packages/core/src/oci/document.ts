import { S3loError } from '../errors.ts'
import type { Descriptor } from './descriptor.ts'
import { digestOf, isDigest, parseDigest } from './digest.ts'
import {
  asArray,
  asObject,
  asSize,
  asString,
  asStringMap,
  type JsonObject,
  optional,
  parseJson,
  parseStrictJson,
  refuseLookalikes,
} from './json.ts'
import { isIndexMediaType, MEDIA_TYPE } from './media-type.ts'
import type { Platform } from './platform.ts'

/** The largest manifest or index that is read (bytes): registries refuse more (distribution spec v1.1.1, "pushing manifests"). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024

/** Nested indexes deeper than this are refused. */
const MAX_INDEX_DEPTH = 8

/** Throws `INTEGRITY` for a manifest that lies deeper below a root than indexes may nest; the root has depth 0. */
export function assertDepth(depth: number): void {
  if (depth <= MAX_INDEX_DEPTH) return
  throw new S3loError('INTEGRITY', `the image nests indexes deeper than ${MAX_INDEX_DEPTH}`)
}

/** A manifest or index with its exact bytes: the digest is of these, so they are never re-serialised. */
export interface ManifestDocument {
  readonly descriptor: Descriptor
  readonly content: Uint8Array
  /** What the bytes say. The first access throws as {@link parseManifest} does for what is no manifest. */
  readonly manifest: Manifest
}

/** An image manifest (OCI v1.1 or Docker schema 2). */
export interface ImageManifest {
  readonly kind: 'manifest'
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** An image index (OCI v1.1) or manifest list (Docker). */
export interface ImageIndex {
  readonly kind: 'index'
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** An artifact manifest (OCI v1.1, release candidates): blobs without a config. */
interface ArtifactManifest {
  readonly kind: 'artifact'
  readonly mediaType: string
  readonly blobs: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export type Manifest = ImageManifest | ImageIndex | ArtifactManifest

/** What this and other readers take from a document, a descriptor and a platform. */
const MANIFEST_MEMBERS = new Set(
  'schemaVersion mediaType artifactType config layers blobs manifests subject annotations'.split(
    ' ',
  ),
)
const DESCRIPTOR_MEMBERS = new Set(
  'mediaType artifactType digest size urls annotations data platform'.split(' '),
)
const PLATFORM_MEMBERS = new Set('architecture os os.version os.features variant'.split(' '))

/** Content with the descriptor that its bytes have. It is parsed when its manifest is first used. */
export function toDocument(content: Uint8Array, mediaType: string): ManifestDocument {
  return documentWith({ mediaType, digest: digestOf(content), size: content.byteLength }, content)
}

/** Content with a descriptor that the caller knows to be right. It is parsed when its manifest is first used. */
export function documentWith(descriptor: Descriptor, content: Uint8Array): ManifestDocument {
  let parsed: Manifest | undefined
  return {
    descriptor,
    content,
    get manifest() {
      return (parsed ??= parseManifest(content, descriptor.digest))
    },
  }
}

/**
 * Parses content at once and names its media type; `known` is what the caller knows of its descriptor.
 * Throws as {@link parseManifest} does.
 */
export function parseDocument(
  content: Uint8Array,
  name: string,
  known: Partial<Descriptor> = {},
): ManifestDocument {
  const manifest = parseManifest(content, name)
  const { digest = digestOf(content), size = content.byteLength } = known
  return {
    descriptor: { ...known, digest, size, mediaType: manifest.mediaType },
    content,
    manifest,
  }
}

/**
 * True for an index: by its media type, or, where there is none (OCI image spec v1.1.1, "image index"), by
 * schema version 2 and a list of manifests. Never throws.
 */
export function isIndexContent(content: Uint8Array): boolean {
  try {
    return isIndexObject(asObject(parseJson(content, 'document'), 'document'))
  } catch {
    return false // What does not parse is not an index; its reader as a manifest gets the error.
  }
}

function isIndexObject({ mediaType, schemaVersion, manifests }: JsonObject): boolean {
  if (typeof mediaType === 'string' && mediaType !== '') return isIndexMediaType(mediaType)
  return schemaVersion === 2 && Array.isArray(manifests)
}

/**
 * Parses and validates a manifest or index. Throws `INTEGRITY` naming the document and the member
 * that is wrong, `UNSUPPORTED` for Docker's schema 1.
 */
export function parseManifest(content: Uint8Array, name: string): Manifest {
  if (content.byteLength > MAX_MANIFEST_BYTES) {
    throw new S3loError(
      'INTEGRITY',
      `manifest ${name} has ${content.byteLength} bytes, more than ${MAX_MANIFEST_BYTES}`,
    )
  }
  const path = `manifest ${name}`
  const document = asObject(parseStrictJson(content, path), path)
  refuseLookalikes(document, MANIFEST_MEMBERS, path)
  refuseSchema1(document, path)
  refuseAmbiguous(document, path)
  const index = isIndexObject(document)
  const common = {
    ...defined('subject', optional(document, 'subject', path, asDescriptor)),
    ...defined('artifactType', optional(document, 'artifactType', path, asString)),
    ...defined('annotations', optional(document, 'annotations', path, asStringMap)),
  }
  const declared = optional(document, 'mediaType', path, asString) || undefined
  if (index) {
    const entries = asEntries(document['manifests'], `${path}.manifests`)
    const manifests = entries.map((entry, i) => asDescriptor(entry, `${path}.manifests[${i}]`))
    return { kind: 'index', mediaType: declared ?? MEDIA_TYPE.ociIndex, manifests, ...common }
  }
  if (declared === MEDIA_TYPE.ociArtifact) {
    const entries = asEntries(document['blobs'] ?? null, `${path}.blobs`)
    const blobs = entries.map((entry, i) => asDescriptor(entry, `${path}.blobs[${i}]`))
    return { kind: 'artifact', mediaType: declared, blobs, ...common }
  }
  const config = asDescriptor(document['config'], `${path}.config`)
  const entries = asEntries(document['layers'], `${path}.layers`)
  const layers = entries.map((entry, i) => asDescriptor(entry, `${path}.layers[${i}]`))
  return {
    kind: 'manifest',
    mediaType: declared ?? MEDIA_TYPE.ociManifest,
    config,
    layers,
    ...common,
  }
}

/** Go writes an empty list that was never made as `null`. */
function asEntries(value: unknown, path: string): readonly unknown[] {
  return value === null ? [] : asArray(value, path)
}

/** One document must not be a manifest to one reader and an index to another (CVE-2021-41190). */
function refuseAmbiguous(document: JsonObject, path: string): void {
  const asIndex = document['manifests'] ?? undefined
  const asManifest = document['layers'] ?? document['config'] ?? undefined
  const asArtifact = document['blobs'] ?? undefined
  const kinds = [asIndex, asManifest, asArtifact].filter((kind) => kind !== undefined)
  if (kinds.length < 2) return
  throw new S3loError(
    'INTEGRITY',
    `${path} is of several kinds at once: a manifest, an index or an artifact`,
  )
}

function refuseSchema1(document: JsonObject, path: string): void {
  const { mediaType, schemaVersion } = document
  const schema1: readonly unknown[] = [
    MEDIA_TYPE.dockerManifestSchema1,
    MEDIA_TYPE.dockerManifestSchema1Signed,
  ]
  if (schemaVersion !== 1 && !schema1.includes(mediaType)) return
  throw new S3loError('UNSUPPORTED', `${path} is Docker schema 1, which names no config`, {
    hint: 'pull and push the image with a current Docker to convert it',
  })
}

/** Reads a descriptor. Throws `INTEGRITY`; a digest that cannot be checked is refused here. */
export function asDescriptor(value: unknown, path: string): Descriptor {
  const object = asObject(value, path)
  refuseLookalikes(object, DESCRIPTOR_MEMBERS, path)
  const digest = asString(object['digest'], `${path}.digest`)
  if (!isDigest(digest)) parseDigest(digest)
  return {
    mediaType: optional(object, 'mediaType', path, asString) ?? MEDIA_TYPE.octetStream,
    digest,
    size: asSize(object['size'], `${path}.size`),
    ...defined('platform', optional(object, 'platform', path, asPlatform)),
    ...defined('annotations', optional(object, 'annotations', path, asStringMap)),
    ...defined('artifactType', optional(object, 'artifactType', path, asString)),
    ...defined('urls', optional(object, 'urls', path, asStrings)),
  }
}

function asStrings(value: unknown, path: string): readonly string[] {
  return asEntries(value, path).map((entry, i) => asString(entry, `${path}[${i}]`))
}

function asPlatform(value: unknown, path: string): Platform {
  const object = asObject(value, path)
  refuseLookalikes(object, PLATFORM_MEMBERS, path)
  const variant = optional(object, 'variant', path, asString)
  return {
    os: optional(object, 'os', path, asString) ?? '',
    architecture: optional(object, 'architecture', path, asString) ?? '',
    ...(variant ? { variant } : {}),
    ...defined('os.version', optional(object, 'os.version', path, asString)),
  }
}

/** A record of one member, or of none: absent means absent. */
function defined<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V })
}

/** The content a document names, in order: an index's children, a manifest's config and layers, an artifact's blobs. */
export function successors(manifest: Manifest): readonly Descriptor[] {
  switch (manifest.kind) {
    case 'index':
      return manifest.manifests
    case 'artifact':
      return manifest.blobs
    case 'manifest':
      return [manifest.config, ...manifest.layers]
  }
}
