import { formatImageName, isDigest, isShortDigest, type Reference, S3loError } from '@s3lo/core'

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const PATH = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const DOMAIN = /^(?:localhost|[a-zA-Z0-9][a-zA-Z0-9.-]*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/
const TAG = /^\w[\w.-]{0,127}$/

/**
 * Reads an engine's image name, `name[:tag|@digest]`; without either it is `:latest`. An image
 * id, `sha256:…`, becomes a reference without a name. Throws `INVALID_REFERENCE`.
 */
export function parseImageName(text: string): Reference {
  if (isDigest(text)) return { name: '', digest: text }
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  const tagged = at < 0 ? text : text.slice(0, at)
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1)
  const name = colon < 0 ? tagged : tagged.slice(0, colon)
  const tag = colon < 0 ? undefined : tagged.slice(colon + 1)
  if (
    !isName(name) ||
    (tag !== undefined && !TAG.test(tag)) ||
    (digest !== undefined && !isDigest(digest))
  ) {
    throw new S3loError(
      'INVALID_REFERENCE',
      `${JSON.stringify(text.slice(0, 255))} is not an image name`,
      {
        hint: isShortDigest(digest ?? text)
          ? 'digests of engines and archives are written whole: only those in a store can be shortened'
          : looksLikeFile(text)
            ? 'an archive is docker-archive:FILE or oci-archive:FILE, a layout is oci:DIRECTORY'
            : 'image names are name[:tag] or name@sha256:…, in lower case',
      },
    )
  }
  if (digest !== undefined) return { name, digest }
  return { name, tag: tag ?? 'latest' }
}

function looksLikeFile(text: string): boolean {
  return /^[./~]|\\|\.tar/i.test(text)
}

function isName(name: string): boolean {
  if (name.length > 255) return false
  const [domain, path] = splitDomain(name)
  return PATH.test(path) && (domain === '' || DOMAIN.test(domain))
}

/** The first component is a host when it looks like one (docker/distribution's rule). */
function splitDomain(name: string): readonly [domain: string, path: string] {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  const isDomain = first === 'localhost' || /[.:A-Z[]/.test(first)
  return isDomain ? [first, name.slice(slash + 1)] : ['', name]
}

/** The reference under its whole name: `alpine` is `docker.io/library/alpine`, without a tag `:latest`. */
export function fullReference({ name, tag, digest }: Reference): Reference {
  const [domain, path] = splitDomain(name)
  const host = domain === '' || domain === 'index.docker.io' ? 'docker.io' : domain
  const official = host === 'docker.io' && !path.includes('/') ? `library/${path}` : path
  const full = `${host}/${official}`
  return digest === undefined ? { name: full, tag: tag ?? 'latest' } : { name: full, digest }
}

/** The whole name by which engines keep an image: `docker.io/library/alpine:3`. */
export function fullImageName(reference: Reference): string {
  return formatImageName(fullReference(reference))
}

/** True when two texts name one image, however much of the name each spells out. */
export function isSameImageName(a: string, b: string): boolean {
  return a === b || canonical(a) === canonical(b)
}

/** One text for all that name an image: the whole name. What is no name is equal only to itself. */
export function canonical(text: string): string {
  try {
    return fullImageName(parseImageName(text))
  } catch (error) {
    if (error instanceof S3loError) return text
    throw error
  }
}

/** The whole name where a tag of a layout is itself a `name:tag`; `undefined` where it is a plain tag. */
export function fullNameOf(tag: string): string | undefined {
  const spelled = /^[^:]+(?::[0-9]+\/[^:]+)?:[^/:]+$/.test(tag)
  return spelled ? canonical(tag) : undefined
}

/** The name by which an engine is asked: short as the user wrote it, or an image id. */
export function engineName(reference: Reference): string {
  if (reference.name === '') return reference.digest ?? ''
  return formatImageName(reference)
}
