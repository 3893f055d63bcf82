import type { CallOptions } from '../contract/call-options.ts'
import type { TagOptions } from '../contract/image-target.ts'
import type { ObjectInfo, WriteCondition } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { Origin, Prepared } from '../gc/protected-write.ts'
import { formatStore } from '../layout/format-store.ts'
import { manifestKey } from '../layout/keys.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import {
  type Displacing,
  type PresentTag,
  protectDisplaced,
  readPresentTag,
  renewDisplaced,
  renewRecord,
} from './displace.ts'
import { provenGuarantees } from './guarantees.ts'
import { assertPublished, presentDigest, tagExists, tagGuard } from './tag-write.ts'
import { writeTagEvent } from './tag-events.ts'

/** A tag that was written. */
export interface PublishedTag {
  /** By the store's clock; absent where no answer came. */
  readonly at?: Date | undefined
}

export interface PublishTagOptions extends TagOptions {
  /** The tag of the same store whose image gets another name. */
  readonly origin?: Origin | undefined
  /** The records of the image. */
  readonly records: Prepared
  /** What the tag named when it was last read, not necessarily under the pins. */
  readonly present: PresentTag | undefined
}

/** How often a tag is moved again that others move at the same time. */
const MAX_ATTEMPTS = 16

/**
 * Publishes a tag with one write of its manifest. What it named before stays pullable by its digest:
 * its record is written anew, and the tag is moved only while it names that very image, where the
 * store can compare. `undefined` for a tag that was to be created and is there already. Throws
 * `CONFLICT`, `UNAVAILABLE`.
 */
export async function publishTag(
  place: Displacing,
  root: ManifestDocument,
  reference: Reference,
  options: PublishTagOptions,
): Promise<PublishedTag | undefined> {
  return options.createOnly
    ? createTag(place, root, reference, options)
    : moveTag(place, root, reference, options)
}

async function createTag(
  place: Displacing,
  root: ManifestDocument,
  reference: Reference,
  options: PublishTagOptions,
): Promise<PublishedTag | undefined> {
  const { backend } = place
  const { signal } = options
  const guard = await tagGuard(backend, root, reference, options)
  if (guard.kind === 'done') return undefined
  try {
    const { condition } = guard
    const info = await write(place, root, reference, { ...options, condition })
    if (!guard.condition) await assertPublished(backend, root, reference, { signal })
    if (options.restores) await tellRestored(place, root, reference, { signal })
    return { at: info?.lastModified }
  } catch (error) {
    if (!guard.condition || !isS3loError(error, 'CONFLICT')) throw error
    const present = await presentDigest(backend, reference, { signal })
    if (present === root.descriptor.digest) return undefined
    throw present === undefined ? error : tagExists(reference, backend, error)
  }
}

async function moveTag(
  place: Displacing,
  root: ManifestDocument,
  reference: Reference,
  options: PublishTagOptions,
): Promise<PublishedTag> {
  const { backend } = place
  const { replaces, signal } = options
  let { present } = options
  for (let attempt = 1; ; attempt++) {
    let event: string | undefined
    try {
      const condition = await conditionOf(place, present, options)
      const displaced = await displace(place, root, reference, present, options)
      event = displaced.event
      const info = await write(place, root, reference, { ...options, ...displaced, condition })
      return { at: info?.lastModified }
    } catch (error) {
      if (!isS3loError(error, 'CONFLICT')) throw error
      // It tells of a move that has not taken place.
      if (event !== undefined) await backend.delete([event], { signal })
      if (replaces !== undefined) throw error
      if (attempt === MAX_ATTEMPTS) throw contested(place, reference, error)
      present = await readPresentTag(backend, reference, { signal })
    }
  }
}

/** What was done for the image that a tag is moved from. */
interface Displaced {
  /** The key of the event. */
  readonly event?: string | undefined
  /** Writes the record anew; absent where there is none. */
  readonly renew?: (() => Promise<unknown>) | undefined
}

/** Keeps what the tag names, and remembers it. */
async function displace(
  place: Displacing,
  root: ManifestDocument,
  reference: Reference,
  present: PresentTag | undefined,
  { restores = false, signal }: PublishTagOptions,
): Promise<Displaced> {
  const { digest } = root.descriptor
  const reason = restores ? 'restored' : 'moved'
  if (present?.document && present.document.descriptor.digest !== digest) {
    const kept = await protectDisplaced(place, [present], { signal })
    if (kept.length > 0) {
      const event = await renewDisplaced(place, present, { reason, became: digest }, { signal })
      return { event, renew: () => renewRecord(place, present, { signal }) }
    }
  }
  return restores ? { event: await tellRestored(place, root, reference, { signal }) } : {}
}

/** Remembers that a tag that was gone is there again. Returns the key of the event. */
function tellRestored(
  { backend, protection }: Displacing,
  { descriptor }: ManifestDocument,
  { name, tag = '' }: Reference,
  options: CallOptions,
): Promise<string> {
  const at = new Date(protection.time ?? Date.now())
  const event = { tag, became: descriptor.digest, at, reason: 'restored' } as const
  return writeTagEvent(backend, name, event, options)
}

/** What must hold for the tag to be moved: that it is what was renewed. Throws `CONFLICT`. */
async function conditionOf(
  { backend }: Displacing,
  present: PresentTag | undefined,
  { replaces, signal }: PublishTagOptions,
): Promise<WriteCondition | undefined> {
  const { createOnly, compareAndSwap } = await provenGuarantees(backend, { signal })
  const etag = replaces ?? present?.info.etag
  if (etag === undefined) return createOnly ? { kind: 'absent' } : undefined
  return compareAndSwap ? { kind: 'unchanged', etag } : undefined
}

interface WriteOptions extends PublishTagOptions, Pick<Displaced, 'renew'> {
  readonly condition: WriteCondition | undefined
}

function write(
  { protection }: Displacing,
  { content, descriptor }: ManifestDocument,
  reference: Reference,
  { condition, records, renew, origin, signal }: WriteOptions,
): Promise<ObjectInfo | undefined> {
  const again = async (): Promise<void> => {
    await records.again()
    await renew?.()
  }
  return protection.publish({
    key: manifestKey(reference),
    content,
    mediaType: descriptor.mediaType,
    condition,
    digests: [descriptor.digest],
    origin,
    prepared: { gaps: records.gaps, again },
    signal,
  })
}

function contested({ backend }: Displacing, reference: Reference, cause: unknown): S3loError {
  const name = formatImageName(reference)
  const message = `${name} in ${backend.scheme}://${backend.bucket} is moved by others all the time`
  return new S3loError('CONFLICT', message, {
    hint: `run it again, or see what is there: s3lo inspect ${formatStore(backend, name)}`,
    cause,
  })
}
