import {
  type Descriptor,
  digestOf,
  isDigest,
  isManifestMediaType,
  isS3loError,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseDigest,
  parseDocument,
  type ProgressEvent,
  putManifest as publish,
  type PutManifestOptions,
  type TagExpectation,
} from '@s3lo/core'
import type { Answer } from '../answer/answer.ts'
import { Refusal, RefusalOfEach } from '../answer/error.ts'
import { warning } from '../answer/headers.ts'
import type { Call } from '../call.ts'
import { MAX_WAIT_MS, type Parts } from '../parts.ts'
import { readBody } from '../request/body.ts'
import { isTag, type Route } from '../request/route.ts'

type ManifestRoute = Extract<Route, { kind: 'manifest' }>

/** What clients may name at once (distribution spec, "pushing manifests with tags"). */
const MAX_TAGS = 32

/** PUT of a manifest (end-7a, end-7b): published under its digest, under tags, or both. */
export async function putManifest(
  parts: Parts,
  { repository, reference }: ManifestRoute,
  call: Call,
): Promise<Answer> {
  const isByDigest = isDigest(reference)
  const named = tagsOf(call)
  const tags = isByDigest ? named : [...new Set([reference, ...named])]
  const content = await readManifestBody(call)
  const document = documentOf(content, isByDigest ? reference : undefined)
  assertType(document.descriptor, call)
  const expects = expectationOf(call)
  const put = { repository, document, isByDigest, tags }
  const { signal } = call
  const warnings = new Set<string>()
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'notice') warnings.add(warning(event.message))
  }
  const options: PutManifestOptions = {
    expects,
    mayName: nameable(parts, repository, call),
    beforePublish: (root, tag) => parts.judgePush(root, tag, { onProgress, signal }),
    maxWaitMs: MAX_WAIT_MS,
    onProgress,
    signal,
  }
  const result = await publish(parts.store, put, options).catch((error: unknown) => {
    if (!isS3loError(error, 'CONFLICT')) throw error
    throw new Refusal('DENIED', error.message, { status: expects ? 412 : 403 })
  })
  if (result.kind === 'incomplete') throw incomplete(result.missing)
  const { digest } = document.descriptor
  const { subject } = document.manifest
  return {
    status: 201,
    headers: {
      location: `/v2/${repository}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(subject ? { 'oci-subject': subject.digest } : {}),
      ...(named.length > 0 ? { 'oci-tag': named } : {}),
      ...(warnings.size > 0 ? { warning: [...warnings] } : {}),
    },
  }
}

/** A client that may not read everything names only what its repository has. */
function nameable(
  { membership }: Parts,
  repository: string,
  { principal }: Call,
):
  | ((digest: string, options: { readonly signal?: AbortSignal | undefined }) => Promise<boolean>)
  | undefined {
  if (principal.pullsAll) return undefined
  return async (digest, options) =>
    (await membership.find(repository, digest, options)) !== undefined ||
    (await membership.findManifest(repository, digest, options)) !== undefined
}

function tagsOf({ query }: Call): readonly string[] {
  const tags = [...new Set(query.getAll('tag'))]
  const wrong = tags.find((tag) => !isTag(tag))
  if (wrong !== undefined) {
    throw new Refusal('MANIFEST_INVALID', 'a tag is not valid', { detail: { tag: wrong } })
  }
  if (tags.length <= MAX_TAGS) return tags
  throw new Refusal('MANIFEST_INVALID', `more than ${MAX_TAGS} tags at once`, { status: 414 })
}

async function readManifestBody({ request }: Call): Promise<Uint8Array> {
  const content = await readBody(request, MAX_MANIFEST_BYTES)
  if (content) return content
  throw new Refusal('SIZE_INVALID', `a manifest has at most ${MAX_MANIFEST_BYTES} bytes`, {
    status: 413,
  })
}

/** `said`: the digest that the client names it by. */
function documentOf(content: Uint8Array, said: string | undefined): ManifestDocument {
  if (said !== undefined) {
    const actual = digestOf(content, parseDigest(said).algorithm)
    if (actual !== said) throw new Refusal('DIGEST_INVALID', `expected ${said}, got ${actual}`)
  }
  try {
    return parseDocument(content, 'that was sent', said === undefined ? {} : { digest: said })
  } catch (error) {
    if (!isS3loError(error, 'INTEGRITY') && !isS3loError(error, 'UNSUPPORTED')) throw error
    throw new Refusal('MANIFEST_INVALID', error.message)
  }
}

/** Readers learn the type from the manifest alone, so that another one would be lost. */
function assertType({ mediaType }: Descriptor, { request }: Call): void {
  const [said = ''] = (request.headers['content-type'] ?? '').split(';')
  const type = said.trim().toLowerCase()
  if (!isManifestMediaType(type) || type === mediaType) return
  throw new Refusal('MANIFEST_INVALID', `Content-Type is ${type}, and the manifest is ${mediaType}`)
}

/** What a tag has to be, by the etags of manifests: their digests (RFC 9110, 13.1). */
function expectationOf({ request }: Call): TagExpectation | undefined {
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers
  if (noneMatch?.trim() === '*') return { kind: 'absent' }
  if (match === undefined) return undefined
  if (match.trim() === '*') return { kind: 'present' }
  const digests = match.split(',').map((etag) => etag.trim().replaceAll(/^(?:W\/)?"|"$/g, ''))
  return { kind: 'one-of', digests }
}

function incomplete(missing: readonly string[]): Refusal {
  const shown = missing.length === 1 ? missing[0] : `${missing.length} blobs`
  return new RefusalOfEach(
    'MANIFEST_BLOB_UNKNOWN',
    `the manifest names ${shown} that the repository does not have: push it before the manifest`,
    missing.map((digest) => ({ digest })),
  )
}
