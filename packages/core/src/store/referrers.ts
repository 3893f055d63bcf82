import { mapInOrder } from '../concurrency/map-in-order.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ListOptions, ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import {
  parseRepositoryKey,
  recordKey,
  recordsPrefix,
  referrerEntriesPrefix,
  referrerEntryKey,
} from '../layout/repository-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { isImageFault, orImageFault } from './image-fault.ts'
import { readObject } from './read-object.ts'
import { readRecord } from './records.ts'
import {
  assertRefersTo,
  describeReferrer,
  MAX_ENTRY_BYTES,
  parseReferrerEntry,
} from './referrer-entry.ts'

export interface ReadReferrersOptions extends CallOptions {
  /** Only those behind this digest. */
  readonly after?: string | undefined
}

/** Entries that are read at once: each may have as many bytes as a manifest. */
const WINDOW = 8

/**
 * The descriptors of what refers to a manifest within a repository, in digest order, a few at a time.
 * An entry without a record is left out; for one that is damaged, the record is asked. Throws what is
 * wrong with the first one of which neither can be read, after all others.
 */
export async function* readReferrers(
  backend: StorageBackend,
  { repository, subject }: { readonly repository: string; readonly subject: string },
  { after, signal: outer }: ReadReferrersOptions = {},
): AsyncGenerator<Descriptor, void> {
  let fault: S3loError | undefined
  let records: RecordSizes | undefined
  const startAfter = after === undefined ? after : referrerEntryKey(repository, subject, after)
  const digests = listEntries(backend, repository, subject, { startAfter, signal: outer })
  try {
    for await (const window of inWindows(digests)) {
      const sizes = await records?.of(window)
      const read = (digest: string, signal: AbortSignal): Promise<Found> => {
        const place = { repository, subject, digest }
        const size = sizes ? () => Promise.resolve(sizes.get(digest)) : undefined
        return orImageFault(() => readEntry(backend, place, size, { signal }))
      }
      for await (const found of mapInOrder(window, WINDOW, read, outer)) {
        if (isS3loError(found)) fault ??= found
        else if (found) yield found
      }
      // A few are looked for one by one; for more, a listing costs less.
      records ??= new RecordSizes(backend, repository, window.at(-1) ?? '', { signal: outer })
    }
  } finally {
    await records?.close()
  }
  if (fault) throw fault
}

type Found = Descriptor | S3loError | undefined

async function readEntry(
  backend: StorageBackend,
  { repository, subject, digest }: { repository: string; subject: string; digest: string },
  sizeOf: (() => Promise<number | undefined>) | undefined,
  options: CallOptions,
): Promise<Descriptor | undefined> {
  const key = referrerEntryKey(repository, subject, digest)
  const look = async (): Promise<number | undefined> =>
    (await backend.head(recordKey(repository, digest), options))?.size
  const [content, size] = await Promise.all([
    orImageFault(() => readObject(backend, key, MAX_ENTRY_BYTES, options)),
    (sizeOf ?? look)(),
  ])
  if (content === undefined || size === undefined) return undefined
  const entry = isS3loError(content) ? undefined : entryIn(content, key, digest)
  if (entry?.size === size) return entry
  const record = await readRecord(backend, repository, digest, options)
  if (!record) return undefined
  assertRefersTo(record, subject)
  return describeReferrer(record)
}

/** `undefined` for one that says nothing that can be used. */
function entryIn(content: Uint8Array, key: string, digest: string): Descriptor | undefined {
  try {
    return parseReferrerEntry(content, key, digest)
  } catch (error) {
    if (isImageFault(error)) return undefined
    throw error
  }
}

async function* listEntries(
  backend: StorageBackend,
  repository: string,
  subject: string,
  options: ListOptions,
): AsyncGenerator<string, void> {
  for await (const { key } of backend.list(referrerEntriesPrefix(repository, subject), options)) {
    const parsed = parseRepositoryKey(key)
    if (parsed?.kind === 'referrer-entry' && parsed.repository === repository) yield parsed.digest
  }
}

async function* inWindows(digests: AsyncIterable<string>): AsyncGenerator<string[], void> {
  let window: string[] = []
  for await (const digest of digests) {
    window.push(digest)
    if (window.length < WINDOW) continue
    yield window
    window = []
  }
  if (window.length > 0) yield window
}

/** The sizes of a repository's records, asked for in the order of their keys. */
class RecordSizes {
  readonly #repository: string
  readonly #records: AsyncIterator<ObjectInfo>
  #next: IteratorResult<ObjectInfo> | undefined

  /** Of those behind the digest `after`. */
  constructor(backend: StorageBackend, repository: string, after: string, options: CallOptions) {
    this.#repository = repository
    const startAfter = recordKey(repository, after)
    const records = backend.list(recordsPrefix(repository), { ...options, startAfter })
    this.#records = records[Symbol.asyncIterator]()
  }

  async of(digests: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const wanted = new Map(digests.map((digest) => [recordKey(this.#repository, digest), digest]))
    const last = [...wanted.keys()].at(-1) ?? ''
    const sizes = new Map<string, number>()
    for (;;) {
      this.#next ??= await this.#records.next()
      if (this.#next.done || this.#next.value.key > last) return sizes
      const { key, size } = this.#next.value
      const digest = wanted.get(key)
      if (digest !== undefined) sizes.set(digest, size)
      this.#next = undefined
    }
  }

  async close(): Promise<void> {
    await this.#records.return?.()
  }
}
