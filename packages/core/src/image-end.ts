import { hasWildcard } from './config/glob.ts'
import { S3loError } from './errors.ts'
import { isStoreReference } from './layout/store-reference.ts'

/** The transports that are understood even when no plugin at hand brings them (skopeo's names). */
const KNOWN_TRANSPORTS = ['docker-daemon', 'docker-archive', 'oci', 'oci-archive'] as const

/** One side of a transfer, as it is written on a command line. */
export type ImageEnd =
  | { readonly kind: 'store'; readonly text: string }
  /** `text` is what follows the transport's colon. */
  | { readonly kind: 'transport'; readonly transport: string; readonly text: string }

/**
 * Tells a store reference, a transport (`oci:dir:tag`, `docker://host/name`) and a bare name
 * apart. A bare name belongs to `bareTransport`: the engine for push and pull, a registry for copy.
 */
export function parseImageEnd(
  text: string,
  bareTransport: string,
  transports: readonly string[] = [],
): ImageEnd {
  // `docker` alone is no transport: docker:dind is an image that people push.
  if (text.startsWith('docker://')) {
    return { kind: 'transport', transport: 'docker', text: text.slice('docker:'.length) }
  }
  if (isStoreReference(text)) return { kind: 'store', text }
  const colon = text.indexOf(':')
  const transport = text.slice(0, Math.max(0, colon))
  const known: readonly string[] = [...KNOWN_TRANSPORTS, ...transports]
  return known.includes(transport) && transport !== 'docker'
    ? { kind: 'transport', transport, text: text.slice(colon + 1) }
    : { kind: 'transport', transport: bareTransport, text }
}

/** Where an image is, and the tag or the pattern of tags that was written behind it. */
export interface TaggedEnd {
  /** Names the image: which of its tags is left open. */
  readonly end: ImageEnd
  readonly tag?: string
}

/** Takes the tag off an image that is meant with several of its tags. Throws `USAGE` for a digest. */
export function splitTag(end: ImageEnd): TaggedEnd {
  const slash = end.text.lastIndexOf('/')
  const last = end.text.slice(slash + 1)
  if (last.includes('@')) {
    throw new S3loError('USAGE', `${end.text} names one image, not several tags`)
  }
  const colon = last.indexOf(':')
  const image = colon < 0 ? end.text : end.text.slice(0, slash + 1 + colon)
  return {
    // A store wants some tag to be named.
    end: { ...end, text: end.kind === 'store' ? `${image}:latest` : image },
    ...(colon < 0 ? {} : { tag: last.slice(colon + 1) }),
  }
}

/** True for a name whose tag has a wildcard: `ghcr.io/org/app:v1.*`. */
export function hasTagPattern(text: string): boolean {
  const tag = /:([^/]*)$/.exec(text.slice(text.lastIndexOf('/') + 1))?.[1]
  return tag !== undefined && hasWildcard(tag)
}
