import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { algorithmOf, digestOf, isShortDigest } from '../oci/digest.ts'
import { type Manifest, parseManifest } from '../oci/document.ts'
import { parseRepositoryKey, recordsPrefix } from '../layout/repository-keys.ts'
import { isIndexMediaType } from '../oci/media-type.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { isImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readCandidate } from '../store/manifests.ts'
import type { TagEntry } from '../store/tag-entry.ts'
import { readImageTags } from '../store/tags.ts'
import { type MetManifest, walkManifests } from '../store/walk-manifests.ts'
import { readingFrom } from './walk.ts'

const READS_AT_ONCE = 10

/** The most tags of an image that are read for a shortened digest. */
const MAX_TAGS = 10_000

/** The most candidates that an error lists. */
const MAX_SHOWN = 10

/**
 * The reference with its digest in full; one that is not shortened costs no request. Candidates are
 * the manifests of the named image alone: those that it keeps by digest, those of its tags, and what
 * their indexes list. Throws
 * `NOT_FOUND` where there is none, and `INVALID_REFERENCE` where there are several.
 */
export async function expandDigest<R extends Reference>(
  store: ImageStore,
  reference: R,
  options: CallOptions = {},
): Promise<R> {
  const { digest } = reference
  if (digest === undefined || !isShortDigest(digest)) return reference
  const candidates = await new Search(store, reference, digest).run(options)
  const [found] = candidates
  const name = formatImageName(reference)
  if (found === undefined) {
    throw new S3loError('NOT_FOUND', `${name} is not in ${store.name}`, {
      hint: `no manifest of ${reference.name} has a digest that begins so`,
    })
  }
  if (candidates.size === 1) return { ...reference, digest: found }
  throw ambiguousDigest(name, candidates)
}

/** The error for a shortened digest that several digests begin with. */
export function ambiguousDigest(name: string, candidates: ReadonlySet<string>): S3loError {
  const shown = [...candidates].toSorted().slice(0, MAX_SHOWN)
  const more = candidates.size > MAX_SHOWN ? ', …' : ''
  return new S3loError('INVALID_REFERENCE', `${name} is ambiguous: several digests begin so`, {
    hint: `write more of it: ${shown.join(', ')}${more}`,
  })
}

/** One look for the digests that begin with a text. */
class Search {
  readonly #store: ImageStore
  readonly #reference: Reference
  readonly #start: string
  readonly #candidates = new Set<string>()
  /** What the tags name. */
  readonly #roots: Descriptor[] = []

  constructor(store: ImageStore, reference: Reference, start: string) {
    this.#store = store
    this.#reference = reference
    this.#start = start
  }

  /** At most one more than an error lists. */
  async run({ signal }: CallOptions): Promise<ReadonlySet<string>> {
    const readTag = async (entry: TagEntry, inner: AbortSignal): Promise<void> => {
      const content = await readCandidate(this.#store.backend, entry.info, { signal: inner })
      if (!content) return
      this.#consider(digestOf(content, algorithmOf(this.#start)))
      this.#roots.push(...this.#below(tryParse(content, entry.tag)))
    }
    await this.#considerRecords({ signal })
    await forEachConcurrent(this.#tags({ signal }), READS_AT_ONCE, readTag, signal)
    const visit = ({ found }: MetManifest): readonly Descriptor[] =>
      isS3loError(found) ? [] : this.#below(found.manifest)
    await walkManifests(readingFrom(this.#store), this.#roots, visit, { signal })
    return this.#candidates
  }

  get #isFull(): boolean {
    return this.#candidates.size > MAX_SHOWN
  }

  #consider(digest: string): void {
    if (digest.startsWith(this.#start) && !this.#isFull) this.#candidates.add(digest)
  }

  /** What was published in the repository, named by a tag or not. */
  async #considerRecords(options: CallOptions): Promise<void> {
    const prefix = recordsPrefix(this.#reference.name) + this.#start.replace(':', '-')
    for await (const { key } of this.#store.backend.list(prefix, options)) {
      const record = parseRepositoryKey(key)
      if (record?.kind === 'record') this.#consider(record.digest)
      if (this.#isFull) return
    }
  }

  async *#tags(options: CallOptions): AsyncGenerator<TagEntry> {
    const { name } = this.#reference
    let count = 0
    for await (const entry of readImageTags(this.#store.backend, name, options)) {
      if (this.#isFull) return
      if (++count > MAX_TAGS) throw tooManyTags(this.#reference)
      yield entry
    }
  }

  /** Considers what an index lists. Returns the indexes inside of it. */
  #below(manifest: Manifest | undefined): readonly Descriptor[] {
    if (manifest?.kind !== 'index' || this.#isFull) return []
    for (const { digest } of manifest.manifests) this.#consider(digest)
    return manifest.manifests.filter(({ mediaType }) => isIndexMediaType(mediaType))
  }
}

/** What is no manifest lists nothing; reading it tells what is wrong with it. */
function tryParse(content: Uint8Array, name: string): Manifest | undefined {
  try {
    return parseManifest(content, name)
  } catch (error) {
    if (isImageFault(error)) return undefined
    throw error
  }
}

function tooManyTags({ name }: Reference): S3loError {
  return new S3loError(
    'INVALID_REFERENCE',
    `${name} has more than ${MAX_TAGS} tags: a shortened digest is not looked for in so many`,
    { hint: 'write the digest in full' },
  )
}
