import { hasWildcard } from './config/glob.ts'
import { S3loError } from './errors.ts'
import {
  isStoreReference,
  parseExplicitReference,
  parseReadReference,
  type StoreReference,
} from './layout/store-reference.ts'

/** The transports that are understood even when no plugin at hand brings them (skopeo's names). */
const KNOWN_TRANSPORTS = ['docker-daemon', 'docker-archive', 'oci', 'oci-archive'] as const

/** One side of a transfer. */
export type ImageEnd =
  | { readonly kind: 'store'; readonly reference: StoreReference }
  /** `text` is what follows the transport's colon. */
  | { readonly kind: 'transport'; readonly transport: string; readonly text: string }

/** An image that is meant with several of its tags, and the tag or pattern that was written behind it. */
export interface TaggedEnd {
  /** Names the image; which of its tags is left open. */
  readonly end: ImageEnd
  readonly tag?: string
}

/** How one side of a transfer is read. */
export interface ImageEndSyntax {
  /** What a bare name belongs to: the engine for push and pull, a registry for copy. */
  readonly bareTransport: string
  /** Transports of plugins, which are understood beside the known ones. */
  readonly transports?: readonly string[]
}

/**
 * Reads what a transfer reads from: a store reference, whose digest may be shortened, a transport
 * (`oci:dir:tag`, `docker://host/name`) or a bare name. Throws `INVALID_REFERENCE`.
 */
export function parseSourceEnd(text: string, syntax: ImageEndSyntax): ImageEnd {
  return withReference(splitTransport(text, syntax), parseReadReference)
}

/** As {@link parseSourceEnd}, of what a transfer writes to: a digest is whole. */
export function parseTargetEnd(text: string, syntax: ImageEndSyntax): ImageEnd {
  return withReference(splitTransport(text, syntax), parseExplicitReference)
}

/** As {@link parseTargetEnd}, of an image with several of its tags. Throws `USAGE` for a digest. */
export function parseTaggedEnd(text: string, syntax: ImageEndSyntax): TaggedEnd {
  const written = splitTransport(text, syntax)
  const { image, tag } = splitTag(written.text)
  // A store wants some tag to be named.
  const named = { ...written, text: written.kind === 'store' ? `${image}:latest` : image }
  const end = withReference(named, parseExplicitReference)
  return tag === undefined ? { end } : { end, tag }
}

/** One side as it is written on a command line. */
type WrittenEnd =
  | { readonly kind: 'store'; readonly text: string }
  | { readonly kind: 'transport'; readonly transport: string; readonly text: string }

function withReference(written: WrittenEnd, parse: (text: string) => StoreReference): ImageEnd {
  return written.kind === 'store' ? { kind: 'store', reference: parse(written.text) } : written
}

function splitTransport(
  text: string,
  { bareTransport, transports = [] }: ImageEndSyntax,
): WrittenEnd {
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

function splitTag(text: string): { readonly image: string; readonly tag?: string } {
  const slash = text.lastIndexOf('/')
  const last = text.slice(slash + 1)
  if (last.includes('@')) {
    throw new S3loError('USAGE', `${text} names one image, not several tags`)
  }
  const colon = last.indexOf(':')
  if (colon < 0) return { image: text }
  return { image: text.slice(0, slash + 1 + colon), tag: last.slice(colon + 1) }
}

/** True for a name whose tag has a wildcard: `ghcr.io/org/app:v1.*`. */
export function hasTagPattern(text: string): boolean {
  const tag = /:([^/]*)$/.exec(text.slice(text.lastIndexOf('/') + 1))?.[1]
  return tag !== undefined && hasWildcard(tag)
}
