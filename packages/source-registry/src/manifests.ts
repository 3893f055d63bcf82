import {
  parseDocument,
  type Descriptor,
  digestOf,
  isDigest,
  isManifestMediaType,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  parseDigest,
  type Reference,
} from '@s3lo/core'
import { type CallOptions, isRefusal, isS3loError, S3loError } from '@s3lo/core/plugin'
import type { Attempt } from '@s3lo/core/transfer'
import { parseContentLength } from './content-range.ts'
import type { HttpHeaders } from './http.ts'
import type { RegistryAnswer } from './registry-client.ts'
import { contradiction, noAnswer, StatusError, TransientError } from './registry-error.ts'
import { ACCEPT_MANIFESTS, digestIn, mediaTypeIn, type RepositoryApi } from './repository-api.ts'
import { isTag } from './registry-name.ts'

/** Answers to a `HEAD` after which `GET` is asked. */
const HEAD_ANSWERS = [200, 405, 500, 501]
/** Answers to a tag in the query by a registry that knows no such thing, or wants fewer of them. */
const NO_TAG_QUERY = [400, 404, 405, 413, 414, 422]

/** What a tag or digest is looked up by. */
type Place = Pick<Reference, 'tag' | 'digest'>

/** A manifest as the registry gave it, and its entity tag where it has one. */
export interface FoundManifest {
  readonly document: ManifestDocument
  readonly etag?: string
}

/** A condition on what a tag names, for registries that know conditions. */
export type TagCondition =
  | { readonly kind: 'any' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unchanged'; readonly etag: string }

/** The manifests of one repository. Schema 1 is refused with `UNSUPPORTED`. */
export class Manifests {
  readonly #api: RepositoryApi
  /** What is known of the answers to `HEAD`: some refuse it for what `GET` gives. */
  #head: 'unknown' | 'right' | 'wrong' = 'unknown'

  constructor(api: RepositoryApi) {
    this.#api = api
  }

  /**
   * The descriptor that a tag or digest names: asked by `HEAD`, which rate limits do not
   * count, and by `GET` where that answer is not enough, or where no `HEAD` has been right yet.
   * Throws `NOT_FOUND`.
   */
  async resolve(place: Place, options: CallOptions = {}): Promise<Descriptor> {
    if (this.#head === 'wrong') return this.#resolveByGet(place, options)
    const what = this.#api.nameOf(place)
    try {
      const { status, headers } = await this.#read('HEAD', place, HEAD_ANSWERS, options)
      const descriptor = status === 200 ? descriptorIn(headers, place, what) : undefined
      if (status === 200) this.#head = 'right'
      return descriptor ?? (await this.#resolveByGet(place, options))
    } catch (error) {
      if (!isRefusal(error) || this.#head === 'right') throw error
    }
    return this.#resolveRefused(place, options)
  }

  /** A manifest, whole and verified. Throws `NOT_FOUND`. */
  async get(place: Place, options: CallOptions = {}): Promise<FoundManifest> {
    return this.#toFound(await this.#read('GET', place, [200], options), place)
  }

  /** As {@link get}, but `undefined` when there is none. */
  async find(place: Place, options: CallOptions = {}): Promise<FoundManifest | undefined> {
    const answer = await this.#read('GET', place, [200, 404], options)
    return answer.status === 404 ? undefined : this.#toFound(answer, place)
  }

  /** True when the registry has a manifest of this digest and size. */
  async exists({ digest, size }: Descriptor, options: CallOptions = {}): Promise<boolean> {
    try {
      return (await this.resolve({ digest }, options)).size === size
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return false
      throw error
    }
  }

  /** Stores a manifest under a tag or its digest. Throws `CONFLICT` when the condition does not hold. */
  async put(
    document: ManifestDocument,
    place: Place,
    options: CallOptions & { readonly condition?: TagCondition | undefined } = {},
  ): Promise<HttpHeaders> {
    const { descriptor, content } = document
    const what = this.#api.nameOf(place)
    if (content.byteLength > MAX_MANIFEST_BYTES) {
      throw new S3loError('UNSUPPORTED', `${what} is larger than ${MAX_MANIFEST_BYTES} bytes`)
    }
    // A tag of another algorithm is set with the digest, or the registry would compute its own.
    const { tag } = place
    if (tag !== undefined && parseDigest(descriptor.digest).algorithm !== 'sha256') {
      const target = `${descriptor.digest}?tag=${encodeURIComponent(tag)}`
      const { status, headers } = await this.#put(target, document, what, options, NO_TAG_QUERY)
      const tags = headers.get('oci-tag')?.split(/,\s*/) ?? []
      if (status < 400 && tags.includes(tag)) return headers
    }
    const target = place.tag ?? place.digest ?? descriptor.digest
    return (await this.#put(target, document, what, options)).headers
  }

  /** Deletes a tag, or a manifest with all its tags. Throws `UNSUPPORTED` where the registry does not. */
  async delete(place: Place, { signal }: CallOptions = {}): Promise<void> {
    const what = this.#api.nameOf(place)
    const { client } = this.#api
    let isUncertain = false
    const settings = { what, signal, onUnanswered: () => void (isUncertain = true) }
    const call = {
      method: 'DELETE',
      to: this.#path(place),
      what,
      scopes: this.#api.scopes('delete'),
    } as const
    const { status } = await client.requests.send(settings, (attempt) => {
      // What is gone may have gone by an earlier attempt, whose answer was lost.
      const gone = isUncertain ? [404] : []
      return client.answer({ ...call, expect: [200, 202, 204, 400, 405, ...gone] }, attempt)
    })
    if (status < 400 || status === 404) return
    const { host } = client
    throw new S3loError('UNSUPPORTED', `${what}: the registry ${host} does not delete this`, {
      hint: 'some registries delete by digest only, or by their own tools',
    })
  }

  async #put(
    target: string,
    { descriptor, content }: ManifestDocument,
    what: string,
    { signal, condition }: CallOptions & { readonly condition?: TagCondition | undefined },
    refusals: readonly number[] = [],
  ): Promise<RegistryAnswer> {
    const { client } = this.#api
    let isUncertain = false
    const call = {
      method: 'PUT',
      to: this.#api.path(`manifests/${target}`),
      what,
      scopes: this.#api.scopes('push'),
      expect: [201, 200, 202, 204, 409, 412, ...refusals],
      headers: { 'content-type': descriptor.mediaType, ...conditional(condition) },
      body: content,
      signal,
    } as const
    const settings = { what, signal, onUnanswered: () => void (isUncertain = true) }
    const answer = await client.requests.send(settings, async (attempt) => {
      const given = await client.answer(call, attempt)
      if (given.status !== 409 && given.status !== 412) return given
      // What is in the way may be what an earlier attempt has stored, whose answer was lost.
      if (isUncertain && (await this.#isStored(target, descriptor, attempt))) return given
      throw new StatusError(given.status, given.headers, given.content)
    })
    const stored = digestIn(answer.headers)
    if (stored !== undefined && contradicts(stored, descriptor.digest)) {
      throw contradiction(what, `the registry stored ${shown(stored)}, not ${descriptor.digest}`)
    }
    if (answer.status === 200 && stored === undefined && !answer.headers.get('location')) {
      await this.#assertStored(target, descriptor, what, signal)
    }
    return answer
  }

  /** After a 200 that says nothing of what it has done: a registry says 201. */
  async #assertStored(
    target: string,
    descriptor: Descriptor,
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { client } = this.#api
    await client.requests.send({ what, signal }, async (attempt) => {
      if (await this.#isStored(target, descriptor, attempt)) return
      throw new TransientError(noAnswer(what, client.host, 'one that stored nothing'))
    })
  }

  /** True when a tag or digest gives this manifest. */
  async #isStored(target: string, { digest }: Descriptor, attempt: Attempt): Promise<boolean> {
    const [reference = ''] = target.split('?', 1)
    const call = {
      method: 'GET',
      to: this.#api.path(`manifests/${reference}`),
      what: this.#api.nameOf({ digest }),
      scopes: this.#api.scopes('pull'),
      expect: [200, 404],
      headers: { accept: ACCEPT_MANIFESTS },
    } as const
    const { status, content } = await this.#api.client.answer(call, attempt, MAX_MANIFEST_BYTES)
    return status === 200 && digestOf(content, parseDigest(digest).algorithm) === digest
  }

  async #resolveByGet(place: Place, options: CallOptions): Promise<Descriptor> {
    return (await this.get(place, options)).document.descriptor
  }

  /** By `GET`, after a refused `HEAD`: what both say alike is taken from `HEAD` alone from then on. */
  async #resolveRefused(place: Place, options: CallOptions): Promise<Descriptor> {
    try {
      const descriptor = await this.#resolveByGet(place, options)
      this.#head = 'wrong'
      const { host, notices } = this.#api.client
      notices.tell(`the registry ${host} refuses HEAD for manifests that GET gives`)
      return descriptor
    } catch (error) {
      if (isRefusal(error) && this.#head === 'unknown') this.#head = 'right'
      throw error
    }
  }

  async #read(
    method: 'GET' | 'HEAD',
    place: Place,
    expect: readonly number[],
    { signal }: CallOptions,
  ): Promise<RegistryAnswer> {
    const what = this.#api.nameOf(place)
    const call = {
      method,
      to: this.#path(place),
      what,
      scopes: this.#api.scopes('pull'),
      expect,
      headers: { accept: ACCEPT_MANIFESTS },
      signal,
    }
    const answer = await this.#api.client.ask(call, MAX_MANIFEST_BYTES)
    if (answer.status === 200) refuseSchema1(mediaTypeIn(answer.headers.get('content-type')), what)
    return answer
  }

  #toFound({ headers, content }: RegistryAnswer, place: Place): FoundManifest {
    const what = this.#api.nameOf(place)
    const said = digestIn(headers)
    const wanted = place.digest ?? (said !== undefined && isDigest(said) ? said : undefined)
    const algorithm = wanted === undefined ? 'sha256' : parseDigest(wanted).algorithm
    const digest = digestOf(content, algorithm)
    if (wanted !== undefined && wanted !== digest) {
      throw contradiction(what, `expected ${wanted}, got ${digest}`)
    }
    if (said !== undefined && contradicts(said, digest)) {
      throw contradiction(what, `the registry says ${shown(said)} and gives ${digest}`)
    }
    const declared = mediaTypeIn(headers.get('content-type'))
    const document = parseDocument(content, what, { digest })
    assertSameType(declared, document.descriptor.mediaType, what)
    const etag = headers.get('etag')
    return { document, ...(etag === undefined ? {} : { etag }) }
  }

  #path({ tag, digest }: Place): string {
    if (digest !== undefined) {
      parseDigest(digest)
      return this.#api.path(`manifests/${digest}`)
    }
    if (tag !== undefined && isTag(tag)) return this.#api.path(`manifests/${tag}`)
    throw new S3loError('INVALID_REFERENCE', `${this.#api.nameOf({})} needs a valid tag or digest`)
  }
}

/** What the headers of a `HEAD` tell; `undefined` when that is not enough. */
function descriptorIn(headers: HttpHeaders, place: Place, what: string): Descriptor | undefined {
  const said = digestIn(headers)
  // Of what is compressed on the way, the length is another one.
  const isEncoded = !/^(identity)?$/i.test(headers.get('content-encoding')?.trim() ?? '')
  const size = isEncoded ? undefined : parseContentLength(headers.get('content-length'))
  const mediaType = mediaTypeIn(headers.get('content-type'))
  if (said !== undefined && place.digest !== undefined && contradicts(said, place.digest)) {
    throw contradiction(what, `the registry says that it is ${shown(said)}`)
  }
  const digest = place.digest ?? said
  if (digest === undefined || !isDigest(digest) || size === undefined || size === 0)
    return undefined
  return isManifestMediaType(mediaType) ? { mediaType, digest, size } : undefined
}

/** True for another digest of the same algorithm, and for what is no digest. */
function contradicts(said: string, digest: string): boolean {
  if (said === digest) return false
  return !isDigest(said) || parseDigest(said).algorithm === parseDigest(digest).algorithm
}

/** A document must not be one thing by its header and another by itself (CVE-2021-41190). */
function assertSameType(declared: string, mediaType: string, what: string): void {
  if (!isManifestMediaType(declared) || declared === mediaType) return
  throw contradiction(what, `the registry calls it ${declared}, and it says ${mediaType}`)
}

function refuseSchema1(mediaType: string, what: string): void {
  const { dockerManifestSchema1, dockerManifestSchema1Signed } = MEDIA_TYPE
  if (mediaType !== dockerManifestSchema1 && mediaType !== dockerManifestSchema1Signed) return
  throw new S3loError('UNSUPPORTED', `${what} is Docker schema 1, which names no config`, {
    hint: 'pull and push the image with a current Docker to convert it',
  })
}

function conditional(condition: TagCondition | undefined): Readonly<Record<string, string>> {
  switch (condition?.kind) {
    case undefined:
    case 'any':
      return {}
    case 'absent':
      return { 'if-none-match': '*' }
    case 'unchanged':
      return { 'if-match': condition.etag }
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 160))
}

/** True when a conditional write was refused because its condition did not hold. */
export function isLostRace(error: unknown): boolean {
  return isS3loError(error, 'CONFLICT')
}
