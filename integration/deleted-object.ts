/** What the key of a deleted object says, taken apart without the code that deletes. */

/** What an object is to the one who deletes it. */
type DeletedKind = (typeof PATTERNS)[number][0] | 'unknown'

const DIGEST = String.raw`(?<algorithm>\w+)[-/](?<hex>[0-9a-f]{64,128})`
const OF_REPOSITORY = String.raw`^\.s3lo/repositories/(?<repository>.+)`
const CONTROL = /^\.s3lo\/(gc|staging|probe|guarantees)\/|^\.s3lo\/settings-seen\.json$/

const TAG = /^manifests\/(?<repository>.+)\/(?<tag>[^/]+)\/manifest\.json$/
const PATTERNS = [
  ['tag', TAG],
  ['tag file', /^manifests\/(?<repository>.+)\/(?<tag>[^/]+)\/history\.json$/],
  ['record', new RegExp(`${OF_REPOSITORY}/_manifests/${DIGEST}\\.json$`)],
  ['entry', new RegExp(`${OF_REPOSITORY}/_referrers/(?<subject>[^/]+)/${DIGEST}\\.json$`)],
  ['event', new RegExp(`${OF_REPOSITORY}/_history/(?<tag>[^/]+)/(?<id>[^/]+)\\.json$`)],
  ['member', new RegExp(`${OF_REPOSITORY}/_members/${DIGEST}$`)],
  ['link', new RegExp(String.raw`^\.s3lo/links/(?<repository>.+)/${DIGEST}/(?<end>\d{15})-`)],
  ['upload', /^\.s3lo\/uploads\/(?<id>[0-9a-f]+)\//],
  ['referrer blob', new RegExp(String.raw`^\.s3lo/blobs/${DIGEST}$`)],
  ['blob', new RegExp(`^blobs/${DIGEST}$`)],
  ['recipe', new RegExp(String.raw`^\.s3lo/recipes/${DIGEST}$`)],
  ['table', new RegExp(String.raw`^\.s3lo/files/${DIGEST}$`)],
  ['chunk', /^\.s3lo\/chunks\/sha256\/(?<hex>[0-9a-f]{64})-[0-9a-f]{64}$/],
] as const

/** An object that was deleted. */
export interface Deleted {
  readonly key: string
  readonly kind: DeletedKind
  /** The parts of its key. */
  readonly part: (name: string) => string
  readonly digest: string
  /** By the store, milliseconds since 1970. */
  readonly written: number
}

/** True for what says nothing of content: its authors and the housekeeping delete it. */
export function isControl(key: string): boolean {
  return CONTROL.test(key)
}

/** True for the key of a tag's manifest. */
export function isTag(key: string): boolean {
  return TAG.test(key)
}

/** Of the key of a tag's manifest. */
export function repositoryOf(tagKey: string): string {
  return toDeleted(tagKey, 0).part('repository')
}

export function toDeleted(key: string, written: number): Deleted {
  for (const [kind, pattern] of PATTERNS) {
    const groups = pattern.exec(key)?.groups
    if (!groups) continue
    const part = (name: string): string => groups[name] ?? ''
    return { key, kind, part, digest: `${part('algorithm')}:${part('hex')}`, written }
  }
  return { key, kind: 'unknown', part: () => '', digest: '', written }
}

export function recordOf(repository: string, digest: string): string {
  return `.s3lo/repositories/${repository}/_manifests/${digest.replace(':', '-')}.json`
}

/** Where a blob may be, whole or as a recipe. */
export function formsOf(digest: string): readonly string[] {
  const path = digest.replace(':', '/')
  return [`blobs/${path}`, `.s3lo/blobs/${path}`, `.s3lo/recipes/${path}`]
}

const ORDER_DIGITS = 13
const DIGEST_DIGITS = 16

/** Of `<time>-<13 digits of order><16 of the digest><3>`. */
export function markOfEvent(id: string): string {
  const digits = id.slice(id.indexOf('-') + 1)
  return digits.slice(ORDER_DIGITS, ORDER_DIGITS + DIGEST_DIGITS)
}

export function markOf(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, DIGEST_DIGITS)
}
