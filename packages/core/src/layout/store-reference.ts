import type { StoreLocation } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { isShortDigest } from '../oci/digest.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { manifestKey, MANIFESTS_PREFIX, tagPrefix } from './keys.ts'

/** An image in a store: `scheme://bucket/image:tag` or `scheme://bucket/image@digest`. */
export interface StoreReference extends Reference, StoreLocation {}

/** A reference that was parsed. */
export interface ParsedReference extends StoreReference {
  /** The same as `name`, under the name that it has in the library of the Go program. */
  readonly image: string
}

/** The images of a store whose names are selected by {@link matchesFilter}. */
export interface StoreScope extends StoreLocation {
  /** Empty for every image, else a name that ends in `/`. */
  readonly filter: string
}

/** What settings of a store are about. */
export interface ConfigScope extends StoreLocation {
  /** Empty for the store's defaults, else an image name or a glob. */
  readonly image: string
}

/** The longest object key, in UTF-8 bytes: the limit of S3, of Google Cloud Storage and of Azure (characters there). */
const MAX_KEY_BYTES = 1024

/** The one scheme whose bucket is a path. */
const LOCAL = 'local'

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//

/** The Go program's check: syntax only, any algorithm. */
const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-fA-F0-9]{32,128}$/

const EXAMPLE = 'an image in a store is s3://bucket/image:tag or local://./directory/image:tag'

/** Well-known URL schemes that name no object store, by what to write instead. */
const NOT_A_STORE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    [`${EXAMPLE}; one in a registry is docker://host/name:tag`]: 'docker http https',
    'a store on this machine is local://./directory/ or local:///path/to/directory//': 'dir file',
    [`${EXAMPLE}; archives and engines are written without "//"`]:
      'containers-storage docker-archive docker-daemon oci oci-archive',
    [EXAMPLE]:
      'data ftp ftps git git+https git+ssh ldap ldaps mailto npipe rsync scp sftp ssh svn tcp ' +
      'telnet unix ws wss',
  }).flatMap(([hint, schemes]) => schemes.split(' ').map((scheme) => [scheme, hint] as const)),
)

/**
 * Parses the reference of an image in a store. The tag is `latest` where neither tag nor digest is
 * given, and absent beside a digest. Throws `INVALID_REFERENCE`.
 */
export function parseReference(text: string): ParsedReference {
  const { tag, digest, ...rest } = parseImage(text)
  if (digest !== undefined) return { ...rest, digest }
  return { ...rest, tag: tag ?? 'latest' }
}

/** Parses like {@link parseReference}, but a missing tag or digest is `INVALID_REFERENCE` too. */
export function parseExplicitReference(text: string): ParsedReference {
  const reference = parseImage(text)
  if (reference.tag !== undefined || reference.digest !== undefined) return reference
  throw invalid(text, 'has neither a tag nor a digest', `write ${text}:latest`)
}

/**
 * Parses like {@link parseExplicitReference}, and accepts a shortened digest too: for what reads an
 * image and expands the digest before it is used. Throws `INVALID_REFERENCE`.
 */
export function parseReadReference(text: string): ParsedReference {
  const start = text.indexOf('@') + 1
  const digest = text.slice(start)
  if (start === 0 || !isShortDigest(digest)) return parseExplicitReference(text)
  // The rest is judged beside a digest of the usual length.
  const whole = digest.padEnd('sha256:'.length + 64, '0')
  return { ...parseImage(text.slice(0, start) + whole), digest }
}

/** Parses the reference of a store; a path after it selects images by name. Throws `INVALID_REFERENCE`. */
export function parseStoreReference(text: string): StoreScope {
  const { scheme, bucket, path } = splitStore(text)
  if (!path) return { scheme, bucket, filter: '' }
  const name = withoutTrailingSlash(path)
  refuse(text, nameProblem(name) ?? keyProblem(`${MANIFESTS_PREFIX}${name}/`))
  return { scheme, bucket, filter: `${name}/` }
}

/** Parses the reference of a store's settings, or those of an image or glob in it. Throws `INVALID_REFERENCE`. */
export function parseConfigReference(text: string): ConfigScope {
  const { scheme, bucket, path } = splitStore(text)
  if (!path) return { scheme, bucket, image: '' }
  const image = withoutTrailingSlash(path)
  // A glob is never part of a key, and `\` is its escape.
  refuse(text, nameProblem(image.replaceAll('\\', '')) ?? keyProblem(image))
  return { scheme, bucket, image }
}

/** The canonical text of a reference; parses back to it. */
export function formatReference(reference: StoreReference): string {
  const { scheme } = reference
  const image = formatImageName(reference)
  if (scheme !== LOCAL) return `${scheme}://${reference.bucket}/${image}`
  const bucket = /^\.\.?$/.test(reference.bucket) ? `${reference.bucket}/` : reference.bucket
  const plain = splitDirectory(`${bucket}/${image}`)
  const separator = plain.bucket === bucket && plain.path === image ? '/' : '//'
  return `${scheme}://${bucket}${separator}${image}`
}

/**
 * True for a text that can only be meant as a store: `scheme://` of no other well-known kind. Upper
 * case counts, so that the parser can say what is wrong.
 */
export function isStoreReference(text: string): boolean {
  const scheme = SCHEME.exec(text)?.[1]
  return scheme !== undefined && !NOT_A_STORE.has(scheme.toLowerCase())
}

/** True for the image that a filter names and for every image below it: `team/` is `team` and `team/app`, not `team2`. */
export function matchesFilter(image: string, filter: string): boolean {
  return filter === '' || `${image}/`.startsWith(`${withoutTrailingSlash(filter)}/`)
}

/**
 * `manifests/<image>/<tag or digest>/`: the prefix of everything a store keeps about a tag. Throws
 * `INVALID_REFERENCE` for what no parser here accepts, so that nothing else becomes part of a key.
 */
export function manifestsPrefix(reference: Reference): string {
  const { tag = reference.digest === undefined ? '' : undefined } = reference
  const problem = imageProblem(tag === undefined ? reference : { ...reference, tag })
  refuse(formatImageName(reference), problem)
  return tagPrefix(reference)
}

/** What is wrong with a text, and what to do about it. */
interface Problem {
  readonly what: string
  readonly hint: string
}

function invalid(text: string, what: string, hint: string): S3loError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text
  return new S3loError('INVALID_REFERENCE', `reference ${JSON.stringify(shown)} ${what}`, { hint })
}

function refuse(text: string, problem: Problem | undefined): void {
  if (problem) throw invalid(text, problem.what, problem.hint)
}

/** Everything but the default tag. */
function parseImage(text: string): ParsedReference {
  const { scheme, bucket, path } = splitStore(text)
  if (path === undefined || /^\/*$/.test(path)) {
    throw invalid(text, 'names no image', `${EXAMPLE}${scheme === LOCAL ? DIRECTORY_HINT : ''}`)
  }
  const image = splitImage(path)
  refuse(text, imageProblem(image))
  return { scheme, bucket, image: image.name, ...image }
}

const DIRECTORY_HINT = ', with the name of a directory before that of the image'

/** The first `@` begins a digest; without one, the last `:` begins a tag. */
function splitImage(path: string): Reference {
  const at = path.indexOf('@')
  if (at >= 0) return { name: path.slice(0, at), digest: path.slice(at + 1) }
  const colon = path.lastIndexOf(':')
  if (colon >= 0) return { name: path.slice(0, colon), tag: path.slice(colon + 1) }
  return { name: path }
}

interface Split {
  readonly bucket: string
  /** Absent where no slash follows the bucket. */
  readonly path: string | undefined
}

function splitStore(text: string): Split & StoreLocation {
  // A listing in XML cannot hold these and a terminal obeys them: such a name could be neither
  // found again nor shown.
  if (hasUnprintable(text)) {
    const what = 'has a control character or half of a surrogate pair'
    throw invalid(text, what, 'stores cannot list such names: use printable characters')
  }
  const scheme = SCHEME.exec(text)?.[1]
  if (scheme === undefined) throw invalid(text, 'names no store', EXAMPLE)
  const known = scheme.toLowerCase()
  const instead = NOT_A_STORE.get(known)
  if (instead !== undefined) throw invalid(text, `is not in a store: ${scheme}://`, instead)
  if (known !== scheme) throw invalid(text, 'has a scheme in upper case', `write ${known}://`)

  const rest = text.slice(scheme.length + '://'.length)
  const split = scheme === LOCAL ? splitDirectory(rest) : splitAt(rest, rest.indexOf('/'))
  if (split.bucket === '' || split.bucket === '/') {
    const what = scheme === LOCAL ? 'names no directory' : 'names no bucket'
    throw invalid(text, what, `write it after ${scheme}://, as in ${scheme}://name/image:tag`)
  }
  return { scheme, ...split }
}

/**
 * The root is one path component below `./`, `../` or `/`, or a plain one, as the Go program has
 * it. An empty component further on ends a deeper root.
 */
function splitDirectory(rest: string): Split {
  const lead = /^\.{0,2}\//.exec(rest)?.[0].length ?? 0
  const first = splitAt(rest, rest.indexOf('/', lead))
  const deeper = rest.indexOf('//', first.bucket.length)
  if (deeper < 0) return first
  return { bucket: rest.slice(0, deeper), path: rest.slice(deeper + 2) }
}

function splitAt(rest: string, slash: number): Split {
  if (slash < 0) return { bucket: rest, path: undefined }
  return { bucket: rest.slice(0, slash), path: rest.slice(slash + 1) }
}

function withoutTrailingSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

function imageProblem(image: Reference): Problem | undefined {
  return nameProblem(image.name) ?? versionProblem(image) ?? manifestKeyProblem(image)
}

function nameProblem(name: string): Problem | undefined {
  if (name === '') return { what: 'has no image name', hint: EXAMPLE }
  for (const component of name.split('/')) {
    const problem = componentProblem(component, 'image name')
    if (problem) return problem
  }
  return undefined
}

function versionProblem({ tag, digest }: Reference): Problem | undefined {
  const problem = digest === undefined ? undefined : digestProblem(digest)
  if (problem || tag === undefined) return problem
  if (!tag.includes('/')) return componentProblem(tag, 'tag')
  return {
    what: 'has a "/" in its tag',
    hint: 'the last ":" begins the tag: add one after the image name, such as :latest',
  }
}

const DIGEST_HINT =
  'digests are sha256:<64 hex digits>; what only reads an image accepts the first 4 or more of them'

function digestProblem(digest: string): Problem | undefined {
  if (DIGEST.test(digest)) return undefined
  return { what: 'has a malformed digest', hint: DIGEST_HINT }
}

/** With such parts one image reaches the objects of others (docs/go-compatibility.md, names). */
function componentProblem(component: string, where: string): Problem | undefined {
  const hint = 'names and tags have no empty, "." or ".." parts and no "\\"'
  if (component === '') return { what: `has an empty part in its ${where}`, hint }
  if (component === '.' || component === '..') {
    return { what: `has a "${component}" in its ${where}`, hint }
  }
  if (component.includes('\\')) return { what: `has a backslash in its ${where}`, hint }
  if (hasUnprintable(component)) return { what: `has a control character in its ${where}`, hint }
  return undefined
}

function hasUnprintable(text: string): boolean {
  return /[\p{Cc}\p{Cs}]/u.test(text)
}

function manifestKeyProblem(image: Reference): Problem | undefined {
  return keyProblem(manifestKey({ tag: 'latest', ...image }))
}

function keyProblem(key: string): Problem | undefined {
  if (Buffer.byteLength(key) <= MAX_KEY_BYTES) return undefined
  return {
    what: `needs an object key longer than ${MAX_KEY_BYTES} bytes`,
    hint: 'choose a shorter image name or tag',
  }
}
