import { S3loError } from '../errors.ts'
import { parseDigest } from '../oci/digest.ts'
import { OWN_PREFIX } from './keys.ts'
import { digestOfFile } from './parse-key.ts'

/**
 * The names of what belongs to one repository beside its tags: digest records, referrers, the history
 * of tags, members and links. The Go program knows none of them.
 */

/** Of everything but links. */
export const REPOSITORIES_PREFIX = `${OWN_PREFIX}repositories/`
export const LINKS_PREFIX = `${OWN_PREFIX}links/`

/**
 * Throws `INVALID_REFERENCE` for a repository that cannot be a part of keys: a component is never
 * empty, and begins with a letter or digit, so that none is `..` or one of the folders here.
 */
export function assertRepository(repository: string): void {
  if (repository.split('/').every((component) => /^[a-z0-9]/i.test(component))) return
  const name = JSON.stringify(repository.slice(0, 160))
  throw new S3loError('INVALID_REFERENCE', `${name} is not the name of a repository`)
}

/** What a key of a repository's own is. */
export type RepositoryKey = { readonly repository: string } & (
  | { readonly kind: 'record' | 'member'; readonly digest: string }
  /** One descriptor of the list of what refers to `subject`. */
  | { readonly kind: 'referrer-entry'; readonly digest: string; readonly subject: string }
  /** `at`: milliseconds since 1970. */
  | { readonly kind: 'tag-event'; readonly tag: string; readonly at: number; readonly id: string }
)

/** A client uploaded, mounted or looked for a blob, and may name it until `expires` (milliseconds since 1970). */
export interface LinkName {
  readonly repository: string
  readonly digest: string
  readonly expires: number
  readonly id: string
}

/** The prefix of a repository's digest records, in the order of their digests. */
export function recordsPrefix(repository: string): string {
  return `${REPOSITORIES_PREFIX}${repository}/_manifests/`
}

/** Where the bytes of a manifest are that was published in a repository, named by a tag or not. */
export function recordKey(repository: string, digest: string): string {
  return `${recordsPrefix(repository)}${fileOf(digest)}.json`
}

/** The prefix of the descriptors of what refers to a manifest within a repository. */
export function referrerEntriesPrefix(repository: string, subject: string): string {
  return `${REPOSITORIES_PREFIX}${repository}/_referrers/${fileOf(subject)}/`
}

export function referrerEntryKey(repository: string, subject: string, digest: string): string {
  return `${referrerEntriesPrefix(repository, subject)}${fileOf(digest)}.json`
}

/** The prefix of what happened to a tag, oldest first; without a tag, to all tags of a repository. */
export function tagEventsPrefix(repository: string, tag?: string): string {
  const prefix = `${REPOSITORIES_PREFIX}${repository}/_history/`
  return tag === undefined ? prefix : `${prefix}${tag}/`
}

/**
 * `at`: milliseconds since 1970 by the store's clock; `id`: 32 lower-case hex digits, of which the first
 * 16 are those of the digest whose record the event needs: a listing tells when that is gone.
 */
export function tagEventKey(repository: string, tag: string, at: number, id: string): string {
  return `${tagEventsPrefix(repository, tag)}${timeOf(at)}-${id}.json`
}

/** Where a repository remembers that a blob is its own. */
export function memberKey(repository: string, digest: string): string {
  return `${REPOSITORIES_PREFIX}${repository}/_members/${fileOf(digest)}`
}

/** The prefix of the links of a blob; a nested repository may have keys below it. */
export function linksPrefix(repository: string, digest: string): string {
  return `${LINKS_PREFIX}${repository}/${fileOf(digest)}/`
}

/** `id`: 32 lower-case hex digits. */
export function linkKey({ repository, digest, expires, id }: LinkName): string {
  return `${linksPrefix(repository, digest)}${timeOf(expires)}-${id}`
}

const TIME_AND_ID = String.raw`(\d{15})-([0-9a-f]{32})`
const RECORD = /^(.+)\/_manifests\/([^/]+)\.json$/s
const MEMBER = /^(.+)\/_members\/([^/]+)$/s
const REFERRER_ENTRY = /^(.+)\/_referrers\/([^/]+)\/([^/]+)\.json$/s
const TAG_EVENT = new RegExp(String.raw`^(.+)/_history/([^/]+)/${TIME_AND_ID}\.json$`, 's')
const LINK = new RegExp(String.raw`^(.+)/([^/]+)/${TIME_AND_ID}$`, 's')

/**
 * What a key below {@link REPOSITORIES_PREFIX} is; `undefined` for one that s3lo does not write. A key
 * is read from its end: a repository may be called like a folder of another one.
 */
export function parseRepositoryKey(key: string): RepositoryKey | undefined {
  if (!key.startsWith(REPOSITORIES_PREFIX)) return undefined
  const path = key.slice(REPOSITORIES_PREFIX.length)
  return parseRecord(path) ?? parseReferrerEntry(path) ?? parseMember(path) ?? parseTagEvent(path)
}

/** What a key below {@link LINKS_PREFIX} says; `undefined` for one that s3lo does not write. */
export function parseLinkKey(key: string): LinkName | undefined {
  if (!key.startsWith(LINKS_PREFIX)) return undefined
  const match = LINK.exec(key.slice(LINKS_PREFIX.length))
  const [, repository = '', file = '', expires, id = ''] = match ?? []
  const digest = digestOfFile(file)
  return match && digest !== undefined
    ? { repository, digest, expires: Number(expires), id }
    : undefined
}

function parseRecord(path: string): RepositoryKey | undefined {
  const [, repository = '', file = ''] = RECORD.exec(path) ?? []
  const digest = digestOfFile(file)
  return digest === undefined ? undefined : { kind: 'record', repository, digest }
}

function parseReferrerEntry(path: string): RepositoryKey | undefined {
  const [, repository = '', of = '', file = ''] = REFERRER_ENTRY.exec(path) ?? []
  const subject = digestOfFile(of)
  const digest = digestOfFile(file)
  if (subject === undefined || digest === undefined) return undefined
  return { kind: 'referrer-entry', repository, subject, digest }
}

function parseMember(path: string): RepositoryKey | undefined {
  const [, repository = '', file = ''] = MEMBER.exec(path) ?? []
  const digest = digestOfFile(file)
  return digest === undefined ? undefined : { kind: 'member', repository, digest }
}

function parseTagEvent(path: string): RepositoryKey | undefined {
  const match = TAG_EVENT.exec(path)
  const [, repository = '', tag = '', at, id = ''] = match ?? []
  return match ? { kind: 'tag-event', repository, tag, at: Number(at), id } : undefined
}

function fileOf(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${algorithm}-${hex}`
}

/** So many digits that keys are in the order of time. */
function timeOf(ms: number): string {
  return String(Math.floor(ms)).padStart(15, '0')
}
