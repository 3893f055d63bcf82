import { isDigest } from '../oci/digest.ts'
import { LAYER_TABLES_PREFIX } from './chunk-keys.ts'
import {
  BLOBS_PREFIX,
  HISTORY_FILE,
  isReservedName,
  LAYER_INDEXES_PREFIX,
  LEGACY_SIDECARS,
  MANIFEST_FILE,
  MANIFESTS_PREFIX,
  REFERRER_BLOBS_PREFIX,
  SOCI_ARTIFACTS_PREFIX,
} from './keys.ts'

/** A tag as the key of an object names it. */
export interface TagName {
  readonly image: string
  readonly tag: string
}

/** A file that belongs to one tag and to nothing else. */
export type TagKey = TagName &
  (
    | { readonly kind: 'manifest' | 'history' | 'sidecar' }
    /** `keyId`: of the key that signed, 16 hex digits. */
    | { readonly kind: 'signature'; readonly keyId: string }
  )

/** Content of the store under its digest. */
export interface ContentKey {
  readonly kind: 'blob' | 'referrer-blob' | 'layer-index' | 'layer-table' | 'record'
  readonly digest: string
}

/**
 * What a key below `manifests/` is. An image may be called like a folder of another one
 * (`app/v1:signatures` beside the signatures of `app:v1`), so a prefix says nothing: only a whole
 * key does. `undefined` for a key that s3lo does not write.
 */
export function parseTagKey(key: string): TagKey | undefined {
  if (!key.startsWith(MANIFESTS_PREFIX)) return undefined
  const path = key.slice(MANIFESTS_PREFIX.length)
  const [, signed = '', keyId] = /^(.+)\/signatures\/([0-9a-f]{16})\.json$/s.exec(path) ?? []
  if (keyId !== undefined) {
    const name = splitTag(signed)
    return name && { kind: 'signature', ...name, keyId }
  }
  const slash = path.lastIndexOf('/')
  const kind = kindOf(path.slice(slash + 1))
  const name = kind && splitTag(path.slice(0, slash))
  return kind && name && { kind, ...name }
}

function kindOf(file: string): 'manifest' | 'history' | 'sidecar' | undefined {
  if (file === MANIFEST_FILE) return 'manifest'
  if (file === HISTORY_FILE) return 'history'
  return LEGACY_SIDECARS.some((sidecar) => sidecar === file) ? 'sidecar' : undefined
}

/** The tag whose manifest a key is in layout v1.1.0. */
export function parseManifestKey(key: string): TagName | undefined {
  const parsed = parseTagKey(key)
  return parsed?.kind === 'manifest' ? { image: parsed.image, tag: parsed.tag } : undefined
}

/** The id of the key whose signature record of this very tag a key is. */
export function signerOf(key: string, { image, tag }: TagName): string | undefined {
  const parsed = parseTagKey(key)
  const isOwn = parsed?.kind === 'signature' && parsed.image === image && parsed.tag === tag
  return isOwn ? parsed.keyId : undefined
}

/** What a key of layout v1.0.0 is: the manifest of a tag, another file of its, or one of its blobs. */
export type LegacyKey = TagName &
  ({ readonly kind: 'manifest' | 'sidecar' } | { readonly kind: 'blob'; readonly digest: string })

/** What a key is in layout v1.0.0; `undefined` for everything that v1.1.0 has names for. */
export function parseLegacyKey(key: string): LegacyKey | undefined {
  if (isReservedName(key)) return undefined
  const [, folder = '', algorithm, hex] = /^(.+)\/blobs\/(\w+)\/([0-9a-f]+)$/s.exec(key) ?? []
  const digest = `${algorithm}:${hex}`
  if (isDigest(digest)) {
    const name = splitTag(folder)
    return name && { kind: 'blob', ...name, digest }
  }
  const slash = key.lastIndexOf('/')
  const kind = kindOf(key.slice(slash + 1))
  const name = splitTag(key.slice(0, slash))
  return kind === undefined || kind === 'history' || !name ? undefined : { kind, ...name }
}

/** The digest that a key below the prefix has as `<algorithm>/<hex>`; `undefined` for any other key. */
export function digestBelow(prefix: string, key: string): string | undefined {
  const digest = key.slice(prefix.length).replace('/', ':')
  return isDigest(digest) ? digest : undefined
}

/** What a key of content is; `undefined` for one that s3lo does not write. */
export function parseContentKey(key: string): ContentKey | undefined {
  for (const [prefix, kind] of BY_PATH) {
    if (!key.startsWith(prefix)) continue
    const digest = digestBelow(prefix, key)
    return digest === undefined ? undefined : { kind, digest }
  }
  if (!key.startsWith(SOCI_ARTIFACTS_PREFIX)) return undefined
  const digest = toDigest(key.slice(SOCI_ARTIFACTS_PREFIX.length))
  return digest === undefined ? undefined : { kind: 'record', digest }
}

/** Where content lies under `<algorithm>/<hex>`. */
const BY_PATH = [
  [BLOBS_PREFIX, 'blob'],
  [REFERRER_BLOBS_PREFIX, 'referrer-blob'],
  [LAYER_INDEXES_PREFIX, 'layer-index'],
  [LAYER_TABLES_PREFIX, 'layer-table'],
] as const

/** `<algorithm>-<hex>.json` as a digest. */
function toDigest(file: string): string | undefined {
  return file.endsWith('.json') ? digestOfFile(file.slice(0, -'.json'.length)) : undefined
}

/** `<algorithm>-<hex>` as a digest; `undefined` for what is none. */
export function digestOfFile(name: string): string | undefined {
  const [, algorithm, hex] = /^(\w+)-([0-9a-f]+)$/.exec(name) ?? []
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) ? digest : undefined
}

/** The tag is the last folder. */
function splitTag(path: string): TagName | undefined {
  const slash = path.lastIndexOf('/')
  return slash > 0 ? { image: path.slice(0, slash), tag: path.slice(slash + 1) } : undefined
}
