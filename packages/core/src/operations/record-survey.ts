import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { DigestSet } from '../gc/digest-set.ts'
import { within } from '../gc/live-graph.ts'
import { nameOf } from '../gc/name-set.ts'
import { RecordExpiry } from '../gc/record-expiry.ts'
import {
  parseRepositoryKey,
  REPOSITORIES_PREFIX,
  type RepositoryKey,
} from '../layout/repository-keys.ts'
import { formatStore } from '../layout/format-store.ts'
import { matchesFilter } from '../layout/store-reference.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readRecord, type RecordEntry } from '../store/records.ts'
import type { FileIssue } from './doctor-files.ts'
import { EntryCheck, type EntryIssue } from './doctor-referrers.ts'
import { reachable, type StoreGraph } from './store-graph.ts'
import { expiryBy, type UntaggedFigures, UntaggedTally } from './untagged.ts'

export interface SurveyOptions extends CallOptions {
  /** Empty, or ending in `/`: narrows the repositories. */
  readonly filter: string
  /** Reads the records of tagged images and the entries of referrers as well, to tell which are damaged. */
  readonly all?: boolean | undefined
}

/** What is wrong with what a repository has beside its tags. */
interface RecordIssue {
  readonly repository: string
  readonly issue: FileIssue | EntryIssue
}

/** An image that no tag of its repository reaches. */
interface SurveyedImage extends RecordEntry {
  /** Milliseconds since 1970; `Infinity` for never. */
  readonly expiresAt: number
}

/** What digest records keep beside tags. */
export interface RecordSurvey {
  /** True for content that an untagged image needs; a tag may need it too. */
  holds(digest: string): boolean
  /** True for content that any record keeps: of referrers, and a manifest of its own, too. */
  keeps(digest: string): boolean
  /** `bytes`: of what they hold. `undefined` where no image is untagged. */
  figures(bytes: number): UntaggedFigures | undefined
  /** The images that no tag and no index reaches. */
  untagged(): readonly SurveyedImage[]
  /** Records that were read and are damaged; with `all`, entries that are not what their records say. */
  readonly issues: readonly RecordIssue[]
}

const READS_AT_ONCE = 20

/**
 * Lists what repositories have beside tags and reads the records that no tag of the graph reaches.
 * A record takes 32 to 64 bytes, and each thing that an untagged image needs.
 */
export async function surveyRecords(
  store: ImageStore,
  graph: StoreGraph<unknown>,
  { filter, all = false, signal }: SurveyOptions,
): Promise<RecordSurvey> {
  const survey = new Survey(store, reachedIn(graph))
  const list = listOwn(store, filter, { signal })
  await forEachConcurrent(
    list,
    READS_AT_ONCE,
    async (object, taskSignal) => survey.visit(object, { all, signal: taskSignal }),
    signal,
  )
  return survey
}

interface OwnObject {
  readonly key: RepositoryKey
  readonly info: ObjectInfo
}

async function* listOwn(
  { backend }: ImageStore,
  filter: string,
  options: CallOptions,
): AsyncGenerator<OwnObject, void> {
  for await (const info of backend.list(REPOSITORIES_PREFIX + filter, options)) {
    const key = parseRepositoryKey(info.key)
    if (key && matchesFilter(key.repository, filter)) yield { key, info }
  }
}

/** The manifests that the tags of each repository reach. */
function reachedIn(graph: StoreGraph<unknown>): DigestSet {
  const reached = new DigestSet()
  for (const tag of graph.tags) {
    if (tag.digest !== undefined) reached.add(within(tag.image, nameOf(tag.digest)))
    for (const { digest } of reachable(graph, tag)) {
      if (digest !== undefined) reached.add(within(tag.image, nameOf(digest)))
    }
  }
  return reached
}

class Survey {
  readonly issues: RecordIssue[] = []
  readonly #entries: EntryCheck
  readonly #store: ImageStore
  readonly #reached: DigestSet
  #expiry: Promise<RecordExpiry> | undefined
  /** By repository, as {@link #reached}. */
  readonly #records = new DigestSet()
  readonly #held = new DigestSet()
  /** What records keep beside that. */
  readonly #kept = new DigestSet()
  /** What an untagged index names is no image of its own. */
  readonly #below = new DigestSet()
  readonly #images: SurveyedImage[] = []

  constructor(store: ImageStore, reached: DigestSet) {
    this.#store = store
    this.#entries = new EntryCheck(store.backend)
    this.#reached = reached
  }

  holds(digest: string): boolean {
    return this.#held.has(nameOf(digest))
  }

  keeps(digest: string): boolean {
    const name = nameOf(digest)
    return this.#held.has(name) || this.#kept.has(name)
  }

  figures(bytes: number): UntaggedFigures | undefined {
    const tally = new UntaggedTally()
    for (const { expiresAt } of this.untagged()) tally.add(expiresAt)
    return tally.figures(bytes)
  }

  untagged(): readonly SurveyedImage[] {
    return this.#images.filter(
      ({ repository, digest }) => !this.#below.has(within(repository, nameOf(digest))),
    )
  }

  async visit(
    { key, info }: OwnObject,
    { all, signal }: Omit<SurveyOptions, 'filter'>,
  ): Promise<void> {
    if (key.kind === 'record') {
      const name = within(key.repository, nameOf(key.digest))
      this.#records.add(name)
      this.#kept.add(nameOf(key.digest))
      const isTagged = this.#reached.has(name)
      if (isTagged && !all) return
      const document = await this.#read({ ...key, info }, isTagged, { signal })
      if (!document || !all) return
      this.#tell(key, await this.#entries.record(key.repository, document, { signal }))
    } else if (key.kind === 'referrer-entry' && all) {
      // Entries come after the records of their repository.
      const hasRecord = this.#records.has(within(key.repository, nameOf(key.digest)))
      this.#tell(key, await this.#entries.entry(info.key, key, hasRecord, { signal }))
    }
  }

  #tell({ repository }: RepositoryKey, issue: FileIssue | EntryIssue | undefined): void {
    if (issue) this.issues.push({ repository, issue })
  }

  async #read(
    { repository, digest, info }: RecordEntry,
    isTagged: boolean,
    { signal }: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    const { backend } = this.#store
    const document = await orImageFault(() => readRecord(backend, repository, digest, { signal }))
    if (isS3loError(document)) {
      const message = `${info.key}: ${document.message}`
      const ref = formatStore(backend, `${repository}@${digest}`)
      const hint = isTagged
        ? 'push or copy the image to another tag of its repository: the record is written anew'
        : `push the image again, or remove the record: s3lo delete ${ref}`
      this.issues.push({ repository, issue: { key: info.key, message, hint } })
      return undefined
    }
    if (!document || isTagged) return document
    const { manifest } = document
    if (manifest.subject) {
      for (const needed of successors(manifest)) this.#kept.add(nameOf(needed.digest))
      return document
    }
    const expiry = await (this.#expiry ??= this.#readExpiry({ signal }))
    const expiresAt = expiry.expiresAt({ repository, info })
    this.#images.push({ repository, digest, info, expiresAt })
    this.#held.add(nameOf(digest))
    for (const { digest: needed, mediaType } of successors(manifest)) {
      this.#held.add(nameOf(needed))
      if (isManifestMediaType(mediaType)) this.#below.add(within(repository, nameOf(needed)))
    }
    return document
  }

  /** Nothing is known to expire while the settings cannot be read. */
  async #readExpiry(options: CallOptions): Promise<RecordExpiry> {
    const config = await orImageFault(() => this.#store.config(options))
    if (isS3loError(config)) return new RecordExpiry({})
    return expiryBy(config)
  }
}
