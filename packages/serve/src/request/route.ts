import { isDigest } from '@s3lo/core'
import type { Access, Action } from '../auth/principal.ts'
import { Refusal } from '../answer/error.ts'

/** An endpoint of the distribution specification, with what its path names. */
export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags'; readonly repository: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string }

/** OCI distribution spec v1.1.1, "pulling manifests". */
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
/** An upload's name: what the store makes, and nothing that could be a path. */
const UPLOAD = /^[a-zA-Z0-9_-]{1,128}$/
/** What clients take for a name together with the host. */
const MAX_NAME = 255
const PREFIX = '/v2/'

/** True for a name that this registry takes for a repository. */
export function isRepositoryName(text: string): boolean {
  return text.length <= MAX_NAME && NAME.test(text)
}

export function isTag(text: string): boolean {
  return TAG.test(text)
}

/**
 * The endpoint of a path, which is read from its end: a repository may be called like an endpoint.
 * `undefined` for a path of no endpoint. Throws a refusal for names that cannot exist.
 */
export function parseRoute(path: string): Route | undefined {
  if (path === PREFIX || path === '/v2') return { kind: 'ping' }
  if (path === '/v2/_catalog') return { kind: 'catalog' }
  if (!path.startsWith(PREFIX)) return undefined
  const { head, keyword, last } = splitLast(path.slice(PREFIX.length))
  switch (keyword) {
    case 'manifests':
      return { kind: 'manifest', repository: named(head), reference: referenceOf(decoded(last)) }
    case 'referrers':
      return { kind: 'referrers', repository: named(head), digest: digestOf(decoded(last)) }
    case 'tags':
      return last === 'list' ? { kind: 'tags', repository: named(head) } : undefined
    case 'blobs':
      return last === 'uploads'
        ? { kind: 'uploads', repository: named(head) }
        : { kind: 'blob', repository: named(head), digest: digestOf(decoded(last)) }
    case 'uploads':
      return uploadOf(head, last)
    default:
      return undefined
  }
}

/** What a request to an endpoint is about to do. */
export function accessOf(method: string, route: Route): Access | undefined {
  if (route.kind === 'ping') return undefined
  if (route.kind === 'catalog') return { action: 'catalog' }
  return { action: actionOf(method, route.kind), repository: route.repository }
}

/** An upload is its maker's to look after and to cancel. */
function actionOf(method: string, kind: Route['kind']): Action {
  if (kind === 'uploads' || kind === 'upload') return 'push'
  if (method === 'GET' || method === 'HEAD') return 'pull'
  return method === 'DELETE' ? 'delete' : 'push'
}

/** `a/b/manifests/v1` → `a/b`, `manifests`, `v1`. */
function splitLast(path: string): { head: string; keyword: string; last: string } {
  const end = path.lastIndexOf('/')
  const start = path.lastIndexOf('/', end - 1)
  if (end <= 0) return { head: '', keyword: '', last: path }
  return {
    head: path.slice(0, Math.max(start, 0)),
    keyword: path.slice(start + 1, end),
    last: path.slice(end + 1),
  }
}

function uploadOf(head: string, id: string): Route | undefined {
  if (!head.endsWith('/blobs')) return undefined
  const repository = named(head.slice(0, -'/blobs'.length))
  if (id === '') return { kind: 'uploads', repository }
  if (UPLOAD.test(id)) return { kind: 'upload', repository, id }
  throw new Refusal('BLOB_UPLOAD_UNKNOWN', 'there is no such upload')
}

function named(text: string): string {
  if (isRepositoryName(text)) return text
  throw new Refusal('NAME_INVALID', 'the name of the repository is not valid', {
    detail: { name: text.slice(0, MAX_NAME) },
  })
}

function digestOf(text: string): string {
  if (isDigest(text)) return text
  throw invalidDigest(text)
}

export function invalidDigest(text: string): Refusal {
  return new Refusal('DIGEST_INVALID', 'the digest is not sha256:<64 hex> or sha512:<128 hex>', {
    detail: { digest: text.slice(0, MAX_NAME) },
  })
}

function referenceOf(text: string): string {
  if (text.includes(':')) return digestOf(text)
  if (isTag(text)) return text
  throw new Refusal('MANIFEST_INVALID', 'the tag is not valid', {
    detail: { tag: text.slice(0, MAX_NAME) },
  })
}

/** Some clients escape the colon of a digest. */
function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
