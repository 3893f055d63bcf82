import { isDigest, isShortDigest, type Reference, S3loError } from '@s3lo/core'
import { isLoopbackHost } from './loopback-host.ts'

/** An image name as `docker pull` understands it. */
export interface RegistryName {
  /** Whom people log in to: `docker.io`, `localhost:5000`. */
  readonly host: string
  /** Who answers the API: `registry-1.docker.io`, `localhost:5000`. */
  readonly apiHost: string
  /** With a tag or a digest: `latest` where neither is written. */
  readonly reference: Reference
}

const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_API = 'registry-1.docker.io'
/** The names that Docker Hub has had. */
const DOCKER_HUB_NAMES: ReadonlySet<string> = new Set([
  DOCKER_HUB,
  'index.docker.io',
  DOCKER_HUB_API,
])

const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`)
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const MAX_REPOSITORY = 255
/** Host, repository, tag and the longest digest together. */
const MAX_NAME = 1024

/**
 * Reads an image name by the rules of `docker pull`: `alpine` is `docker.io/library/alpine:latest`.
 * A leading `//`, which follows `docker:`, is left out. Throws `INVALID_REFERENCE`.
 */
export function parseRegistryName(text: string): RegistryName {
  const name = text.startsWith('//') ? text.slice(2) : text
  if (name === '' || name.length > MAX_NAME) {
    throw invalid(name, 'is not the name of an image in a registry')
  }
  const { rest: tagged, digest } = splitDigest(name)
  const { host, rest } = splitHost(tagged, name)
  const { repository, tag } = splitTag(rest, name)
  const full =
    host === DOCKER_HUB && !repository.includes('/') ? `library/${repository}` : repository
  assertRepository(full, name)
  return {
    host,
    apiHost: host === DOCKER_HUB ? DOCKER_HUB_API : host,
    reference: {
      name: full,
      ...(tag === undefined ? {} : { tag }),
      ...(digest === undefined ? {} : { digest }),
      ...(tag === undefined && digest === undefined ? { tag: 'latest' } : {}),
    },
  }
}

/** True for what can be a tag (OCI distribution spec v1.1.1, "pulling manifests"). */
export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** True for what can be a repository: `team/app`. */
export function isRepository(text: string): boolean {
  if (text.length > MAX_REPOSITORY) return false
  return text.split('/').every((component) => COMPONENT.test(component))
}

/** True for a host that is asked without TLS unless something says otherwise: this machine. */
export function isPlainHttpHost(apiHost: string): boolean {
  return isLoopbackHost(apiHost.replace(/:\d+$/, ''))
}

function splitDigest(name: string): { readonly rest: string; readonly digest?: string } {
  const at = name.indexOf('@')
  if (at < 0) return { rest: name }
  const digest = name.slice(at + 1)
  if (isDigest(digest)) return { rest: name.slice(0, at), digest }
  if (isShortDigest(digest)) {
    const what = 'has a shortened digest, and registries find whole ones only'
    throw invalid(name, what, 'write all 64 hex digits of it, or a tag')
  }
  throw invalid(name, 'has no valid digest', 'write sha256:<64 hex digits> behind the @')
}

function splitHost(text: string, name: string): { readonly host: string; readonly rest: string } {
  const slash = text.indexOf('/')
  const first = text.slice(0, Math.max(0, slash))
  // Only what looks like a host is one: `team/app` is on Docker Hub.
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  if (slash < 0 || !isHost) return { host: DOCKER_HUB, rest: text }
  if (!HOST.test(first) || !isSameInUrl(first)) {
    throw invalid(name, `names no host: ${JSON.stringify(first)}`)
  }
  const host = first.toLowerCase()
  return { host: DOCKER_HUB_NAMES.has(host) ? DOCKER_HUB : host, rest: text.slice(slash + 1) }
}

/**
 * True for a host that a URL names as it is written: `registry.1` is none, since a number at the end
 * makes it an address, and `127.1` is another one than it seems.
 */
function isSameInUrl(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  const parsed = URL.parse(`https://${host}`)?.hostname
  return parsed !== undefined && (name.startsWith('[') || parsed === name.toLowerCase())
}

function splitTag(
  text: string,
  name: string,
): { readonly repository: string; readonly tag?: string } {
  const colon = text.indexOf(':')
  if (colon < 0) return { repository: text }
  const tag = text.slice(colon + 1)
  if (isTag(tag)) return { repository: text.slice(0, colon), tag }
  throw invalid(name, 'has no valid tag', 'tags are letters, digits, and . _ - up to 128 of them')
}

function assertRepository(repository: string, name: string): void {
  if (repository.length > MAX_REPOSITORY) {
    throw invalid(name, `has a repository of more than ${MAX_REPOSITORY} characters`)
  }
  if (repository !== repository.toLowerCase()) {
    throw invalid(name, 'has capital letters', 'write the name in small letters')
  }
  if (/^library\/[0-9a-f]{64}$/.test(repository)) {
    throw invalid(name, 'is the id of an image, not a name')
  }
  if (isRepository(repository)) return
  throw invalid(name, 'is not the name of an image in a registry', 'write host/repository:tag')
}

function invalid(name: string, text: string, hint?: string): S3loError {
  const shown = JSON.stringify(name.length > 160 ? `${name.slice(0, 160)}…` : name)
  return new S3loError('INVALID_REFERENCE', `${shown} ${text}`, { hint })
}
