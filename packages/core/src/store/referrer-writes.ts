import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { AttachOptions, AttachPlace } from '../contract/image-target.ts'
import { S3loError } from '../errors.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import type { Protection } from '../gc/protection.ts'
import { recordKey, referrerEntryKey } from '../layout/repository-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import type { Displacing } from './displace.ts'
import { readRecord, writeRecord } from './records.ts'
import { assertRefersTo, describeReferrer, formatReferrerEntry } from './referrer-entry.ts'

/** A manifest within a repository, and what is said to refer to it. */
export interface ListedReferrer {
  readonly repository: string
  /** Digests. */
  readonly subject: string
  readonly digest: string
}

/** See `Publication.attach`: blobs or parts first, then the record, and last what lists it. */
export async function attachReferrer(
  { blobs, protection }: Displacing,
  referrer: ManifestDocument,
  { repository, subject }: AttachPlace,
  open: (blob: Descriptor) => Promise<Readable>,
  { parts, signal }: AttachOptions = {},
): Promise<void> {
  const content = contentOf(referrer, subject, parts)
  const digests = [subject, referrer.descriptor, ...content].map(({ digest }) => digest)
  await protection.protect(digests, { signal })
  const place = 'referrer-blobs'
  for (const blob of content) {
    if (await protection.has(blob, { signal }, place)) continue
    const write = async (): Promise<boolean> => {
      await blobs.putReferrerBlob(blob, await open(blob), { signal })
      return true
    }
    await protection.put(blob, write, { signal }, place)
  }
  await writeRecord(protection, repository, referrer, { signal })
  await writeReferrerEntry(protection, repository, referrer, { signal })
}

/**
 * Lists a manifest among the referrers of its subject, where it names one: to be written after its
 * record. Throws as `Protection.publish` does.
 */
export async function writeReferrerEntry(
  protection: Protection,
  repository: string,
  referrer: ManifestDocument,
  { signal }: CallOptions = {},
): Promise<void> {
  const { descriptor, manifest } = referrer
  const subject = manifest.subject?.digest
  if (subject === undefined) return
  await protection.publish({
    key: referrerEntryKey(repository, subject, descriptor.digest),
    content: formatReferrerEntry(describeReferrer(referrer)),
    mediaType: 'application/json',
    digests: [subject, descriptor.digest],
    signal,
  })
}

/** Takes a referrer off its subject: the entry first, so that none is listed that cannot be read. */
export async function detachReferrer(
  place: Displacing,
  referrer: ListedReferrer,
  options: CallOptions = {},
): Promise<void> {
  const { repository, subject, digest } = referrer
  await place.protection.protect([subject, digest], options)
  await remove(place, referrerEntryKey(repository, subject, digest), options)
  await remove(place, recordKey(repository, digest), options)
}

/**
 * Makes the entry of a referrer what its record says; without a record that refers to the subject,
 * there is none.
 */
export async function relistReferrer(
  place: Displacing,
  referrer: ListedReferrer,
  options: CallOptions = {},
): Promise<void> {
  const { repository, subject, digest } = referrer
  const { backend, protection } = place
  await protection.protect([subject, digest], options)
  const isListed = async (): Promise<boolean> => {
    const record = await readRecord(backend, repository, digest, options)
    if (record?.manifest.subject?.digest !== subject) return false
    await writeReferrerEntry(protection, repository, record, options)
    return true
  }
  if (await isListed()) return
  await remove(place, referrerEntryKey(repository, subject, digest), options)
  // It may have been attached since it was looked for.
  await isListed()
}

async function remove(
  { backend, protection }: Displacing,
  key: string,
  { signal }: CallOptions,
): Promise<void> {
  const until = protection.deadline
  const [failure] = await deleteInTime(backend, [key], { until, signal })
  if (failure) throw failure.error
}

function contentOf(
  referrer: ManifestDocument,
  subject: Descriptor,
  parts: AttachOptions['parts'],
): readonly Descriptor[] {
  assertRefersTo(referrer, subject.digest)
  const { descriptor, manifest } = referrer
  if (manifest.kind !== 'index' || parts) return parts ?? successors(manifest)
  const message = `referrer ${descriptor.digest} is an index of unknown content`
  throw new S3loError('UNSUPPORTED', message)
}
