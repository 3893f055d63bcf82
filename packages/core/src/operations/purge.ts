import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { nameOf } from '../gc/name-set.ts'
import { Others } from '../gc/others.ts'
import { defaultDelay, lifeOf } from '../gc/participant.ts'
import { describeParticipant, nameParticipant } from '../gc/participants.ts'
import type { ProtectionOptions } from '../gc/protection.ts'
import { inRound, type OpenRound } from '../gc/round.ts'
import { formatStore } from '../layout/format-store.ts'
import { recordKey, referrerEntryKey } from '../layout/repository-keys.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import { isIndexMediaType } from '../oci/media-type.ts'
import { readClosure } from '../store/closure.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readEntryManifest } from '../store/manifests.ts'
import { listRecords, readRecord } from '../store/records.ts'
import { listTagEvents, readTagEvent } from '../store/tag-events.ts'
import { readImageTags } from '../store/tags.ts'

/** What names a manifest within its repository. */
export interface Uses {
  /** Tags whose image it is. */
  readonly tags: readonly string[]
  /** What has it in an index, or cannot be read: `app:v1`, `app@sha256:…`. */
  readonly holders: readonly string[]
  /** Manifests below it that other images need as well. */
  readonly shared: ReadonlySet<string>
}

/** An image of a repository, with what is below it. */
export interface WholeImage {
  readonly repository: string
  readonly digest: string
  /** Digests of the manifests below it. */
  readonly children: ReadonlySet<string>
  /** The digest of what it refers to. */
  readonly subject?: string
}

const READS_AT_ONCE = 16

/** An image with the manifests below it, as far as they can be read. */
export async function wholeImage(
  store: ImageStore,
  repository: string,
  root: ManifestDocument,
  options: CallOptions,
): Promise<WholeImage> {
  const closure = await orImageFault(() => readClosure(store.blobs, root, options))
  const children = isS3loError(closure) ? successors(root.manifest) : closure.children
  const digests = children.map((child) =>
    'descriptor' in child ? child.descriptor.digest : child.digest,
  )
  const subject = root.manifest.subject?.digest
  const image = { repository, digest: root.descriptor.digest, children: new Set(digests) }
  return subject === undefined ? image : { ...image, subject }
}

/** An image whose record is damaged: what is below it is not known. */
export function damagedImage(repository: string, digest: string): WholeImage {
  return { repository, digest, children: new Set() }
}

/** Reads every tag and record of the repository: what names the image, and what is below it. */
export async function findUses(
  store: ImageStore,
  { repository, digest, children }: WholeImage,
  { signal }: CallOptions,
): Promise<Uses> {
  const { backend } = store
  const tags: string[] = []
  /** By digest: a tag says more than the record of what it names. */
  const holders = new Map<string, string>()
  const shared = new Set<string>()
  const note = async (
    name: string,
    read: ManifestDocument | S3loError | undefined,
    call: CallOptions,
  ): Promise<void> => {
    if (!read) return
    const below = isS3loError(read) ? read : await orImageFault(() => namedBy(store, read, call))
    // What cannot be read may name anything.
    const names = isS3loError(below) ? new Set([digest, ...children]) : below
    const root = isS3loError(read) ? name : read.descriptor.digest
    if (names.has(digest) && !holders.has(root)) holders.set(root, name)
    for (const child of children) if (names.has(child)) shared.add(child)
  }
  const visitTag = async (entry: TagOf, taskSignal: AbortSignal): Promise<void> => {
    const call = { signal: taskSignal }
    const read = await orImageFault(() => readEntryManifest(backend, entry, call))
    const isIt = read && !isS3loError(read) && read.descriptor.digest === digest
    if (isIt) tags.push(entry.tag)
    else await note(`${repository}:${entry.tag}`, read, call)
  }
  await forEachConcurrent(
    readImageTags(backend, repository, { signal }),
    READS_AT_ONCE,
    visitTag,
    signal,
  )
  await forEachConcurrent(
    listRecords(backend, repository, { signal }),
    READS_AT_ONCE,
    async (record, taskSignal) => {
      if (record.digest === digest || children.has(record.digest)) return
      const call = { signal: taskSignal }
      const read = await orImageFault(() => readRecord(backend, repository, record.digest, call))
      await note(`${repository}@${record.digest}`, read, call)
    },
    signal,
  )
  return { tags: tags.toSorted(), holders: [...holders.values()].toSorted(), shared }
}

type TagOf = Parameters<typeof readEntryManifest>[1]

/** What an image names below itself, itself included. */
async function namedBy(
  store: ImageStore,
  { descriptor, manifest, ...rest }: ManifestDocument,
  options: CallOptions,
): Promise<ReadonlySet<string>> {
  const below = successors(manifest)
  const isNested = below.some(({ mediaType }) => isIndexMediaType(mediaType))
  const names = isNested
    ? (await readClosure(store.blobs, { descriptor, manifest, ...rest }, options)).digests
    : below.map(({ digest }) => digest)
  return new Set([descriptor.digest, ...names])
}

/** Records and events that were removed. */
export interface Purged {
  readonly records: number
  readonly events: number
}

/** What became of an image that was to be purged. */
export interface Purge {
  readonly uses: Uses
  readonly purged: Purged
}

export interface PurgeOptions extends CallOptions, ProgressOptions {
  readonly protection?: ProtectionOptions | undefined
  /** How long writers that have named the image are waited for (milliseconds, default: until they are over). */
  readonly maxWaitMs?: number | undefined
}

const POLL_MS = 2000

/**
 * Removes the record of an image, those of what is below it and of no other image, the entry that
 * lists it where it refers to something, and the events that would bring it back. Nothing is removed
 * while a tag of the repository names it. It is a round as a collector's, on records of any age: a
 * move or restore that comes later finds the image gone, and one that runs is waited for, so that
 * none writes a record of it afterwards (docs/garbage-collection.md). Its content is left to the
 * collector. Throws `UNAVAILABLE` where a writer takes longer than `maxWaitMs`.
 */
export async function purge(
  store: ImageStore,
  image: WholeImage,
  { protection = {}, maxWaitMs = Infinity, signal, onProgress }: PurgeOptions,
): Promise<Purge> {
  const { backend } = store
  const { delay = defaultDelay, pollMs = POLL_MS } = protection
  const who = `purge of ${image.repository}@${image.digest}`
  const ttlSeconds = await lifeOf(backend, { ...protection, signal })
  const others = new Others(backend, protection)
  const context = { backend, others, ttlSeconds, who, signal, onProgress }
  const names = [image.digest, ...image.children].map(nameOf)
  for (let waited = 0; ; waited += pollMs) {
    const result = await inRound(names, context, async (round) => {
      const pinned = round.pins.find((pin) => names.some((name) => pin.names.matches(name)))
      if (pinned) return pinned
      const uses = await findUses(store, image, { signal })
      const isNamed = uses.tags.length > 0
      // What another tag names is that tag's to lose.
      return {
        uses,
        purged: isNamed ? NOTHING : await remove(store, image, uses, round, { signal }),
      }
    })
    if ('uses' in result) return result
    const writer = nameParticipant(describeParticipant(result.pin, result.author, others))
    if (waited >= maxWaitMs) throw named(image, store, writer)
    // At the second look it has been waited for: most writers are done by then.
    if (waited === pollMs)
      onProgress?.({
        type: 'notice',
        code: 'waiting-for-push',
        message: told(writer, result.pin, store),
      })
    await delay(pollMs, signal)
  }
}

/**
 * Other repositories that have an image, or a manifest below it: by their records, which every publication
 * of s3lo writes, and all of which are listed.
 */
export async function otherRepositories(
  { backend }: ImageStore,
  { repository: own, digest, children }: WholeImage,
  { signal }: CallOptions,
): Promise<readonly string[]> {
  const names = new Set<string>()
  for await (const record of listRecords(backend, undefined, { signal })) {
    const isSame = record.digest === digest || children.has(record.digest)
    if (isSame && record.repository !== own) names.add(record.repository)
  }
  return [...names].toSorted()
}

const NOTHING: Purged = { records: 0, events: 0 }

function told(writer: string, { id }: { readonly id: string }, { backend }: ImageStore): string {
  return (
    `waiting for the ${writer}, which names what is purged; where it has ended for certain: ` +
    `s3lo clean ${formatStore(backend)} --end ${id} --confirm`
  )
}

function named(
  { repository, digest }: WholeImage,
  { backend }: ImageStore,
  writer: string,
): S3loError {
  const image = `${repository}@${digest}`
  return new S3loError('UNAVAILABLE', `${image} is not purged: it is named by the ${writer}`, {
    hint: `run it again when that has ended: s3lo delete ${formatStore(backend, image)}`,
  })
}

async function remove(
  store: ImageStore,
  { repository, digest, children, subject }: WholeImage,
  { shared }: Uses,
  round: OpenRound,
  { signal }: CallOptions,
): Promise<Purged> {
  const { backend } = store
  const events: string[] = []
  await forEachConcurrent(
    listTagEvents(backend, { repository }, { signal }),
    READS_AT_ONCE,
    async (name, taskSignal) => {
      const event = await orImageFault(() => readTagEvent(backend, name, { signal: taskSignal }))
      if (!event || isS3loError(event)) return
      if ((event.was ?? event.became) === digest) events.push(name.key)
    },
    signal,
  )
  const known = new Set<string>()
  for await (const record of listRecords(backend, repository, { signal })) {
    const isBelow = children.has(record.digest) && !shared.has(record.digest)
    if (record.digest === digest || isBelow) known.add(recordKey(repository, record.digest))
  }
  // None is listed that cannot be read: the entry goes first.
  const entry = subject === undefined ? [] : [referrerEntryKey(repository, subject, digest)]
  const [failure] = await round.delete([...entry, ...known, ...events])
  if (failure) throw failure.error
  return { records: known.size, events: events.length }
}
