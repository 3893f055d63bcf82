import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { withPublication } from '../graph/with-publication.ts'
import { DigestSet } from '../gc/digest-set.ts'
import { nameOf } from '../gc/name-set.ts'
import { formatStore } from '../layout/format-store.ts'
import { referrerEntryKey, type RepositoryKey } from '../layout/repository-keys.ts'
import { digestOf } from '../oci/digest.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readObject } from '../store/read-object.ts'
import { readRecord } from '../store/records.ts'
import { describeReferrer, MAX_ENTRY_BYTES, parseReferrerEntry } from '../store/referrer-entry.ts'
import type { ListedReferrer } from '../store/referrer-writes.ts'
import type { FileIssue } from './doctor-files.ts'

/** An entry of a referrer that is not what its record says, and that its record can mend. */
export interface EntryIssue extends FileIssue {
  readonly referrer: ListedReferrer
}

type Entry = Extract<RepositoryKey, { readonly kind: 'referrer-entry' }>

const REPAIRS_AT_ONCE = 4

/** Compares the entries that list referrers with the records that they are of. */
export class EntryCheck {
  readonly #backend: StorageBackend
  /** Keys of entries that a record has accounted for. */
  readonly #known = new DigestSet()

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /** What is wrong with the entry of a record that was read. */
  async record(
    repository: string,
    record: ManifestDocument,
    options: CallOptions,
  ): Promise<EntryIssue | undefined> {
    const { digest } = record.descriptor
    const subject = record.manifest.subject?.digest
    if (subject === undefined) return undefined
    const key = referrerEntryKey(repository, subject, digest)
    this.#known.add(hashOf(key))
    const place = { repository, subject, digest }
    const entry = await orImageFault(() => readObject(this.#backend, key, MAX_ENTRY_BYTES, options))
    if (entry === undefined) {
      return this.#issue(key, place, 'is missing: the referrer is not listed')
    }
    if (!isS3loError(entry) && isRight(entry, key, record)) return undefined
    return this.#issue(key, place, 'does not say what its record says')
  }

  /** What is wrong with an entry that is of no record. `hasRecord`: its repository has one of the digest. */
  async entry(
    key: string,
    { repository, subject, digest }: Entry,
    hasRecord: boolean,
    options: CallOptions,
  ): Promise<EntryIssue | undefined> {
    const place = { repository, subject, digest }
    if (!hasRecord) return this.#issue(key, place, 'has no record, and lists nothing')
    if (this.#known.has(hashOf(key))) return undefined
    const record = await orImageFault(() => readRecord(this.#backend, repository, digest, options))
    // What is wrong with the record is said of the record.
    if (!record || isS3loError(record) || record.manifest.subject?.digest === subject) {
      return undefined
    }
    return this.#issue(key, place, 'lists a manifest that refers to something else')
  }

  #issue(key: string, referrer: ListedReferrer, what: string): EntryIssue {
    const hint = `s3lo doctor ${formatStore(this.#backend)} --repair`
    return { key, message: `${key}: the entry ${what}`, hint, referrer }
  }
}

function hashOf(key: string): string {
  return nameOf(digestOf(Buffer.from(key)))
}

/** Makes the entries what their records say, under pins, and returns how many there were. */
export async function repairEntries(
  store: ImageStore,
  issues: readonly (FileIssue | EntryIssue)[],
  { signal: outer }: CallOptions,
): Promise<number> {
  const entries = issues.flatMap((issue) => ('referrer' in issue ? [issue.referrer] : []))
  await forEachConcurrent(
    entries,
    REPAIRS_AT_ONCE,
    async (referrer, signal) => {
      const purpose = `repair of the list of what refers to ${referrer.subject}`
      await withPublication(store, { purpose }, (publication) =>
        publication.relist(referrer, { signal }),
      )
    },
    outer,
  )
  return entries.length
}

function isRight(entry: Uint8Array, key: string, record: ManifestDocument): boolean {
  try {
    const found = parseReferrerEntry(entry, key, record.descriptor.digest)
    return JSON.stringify(found) === JSON.stringify(describeReferrer(record))
  } catch {
    return false // It is made again from its record in any case.
  }
}
