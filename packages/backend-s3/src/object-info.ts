import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { bareEtag } from '@s3lo/core/transfer'

/** The name in an object's metadata of the write that made it, for the one case that its answer is lost. */
export const WRITE_ID = 's3lo-write'

/** The facts that the service's answers have in common. */
export interface ObjectFacts {
  readonly size: number | undefined
  readonly etag: string | undefined
  readonly lastModified: Date | undefined
  readonly storageClass?: string | undefined
}

/** The facts of an object. The etag is without quotes. Throws `UNAVAILABLE` when one is missing. */
export function toObjectInfo(key: string, facts: ObjectFacts): ObjectInfo {
  const { size, etag, lastModified, storageClass } = facts
  if (size === undefined || !etag || !(lastModified && lastModified.getTime() > 0)) {
    throw new S3loError('UNAVAILABLE', `the facts of ${key} are incomplete`, {
      hint: 'check that the endpoint is that of an S3 service',
    })
  }
  return {
    key,
    size,
    // A proxy that packs answers calls the etag a weak one; the service knows it as it was.
    etag: bareEtag(etag),
    lastModified,
    // The service leaves out its default.
    storageClass: storageClass ?? 'STANDARD',
  }
}

/** The etag as a header wants it. */
export function quoted(etag: string): string {
  return `"${etag}"`
}

/** The facts of an object in the headers of an answer about it. */
export function factsIn(headers: Readonly<Record<string, string | undefined>>): ObjectFacts {
  const { etag, 'content-length': length, 'x-amz-storage-class': storageClass } = headers
  return {
    size: sizeOf(length),
    etag,
    lastModified: dateOf(headers['last-modified']),
    storageClass,
  }
}

/** `undefined` for what is no number of bytes. */
export function sizeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined
}

/** `undefined` for what is no date of RFC 3339 or RFC 9110. */
export function dateOf(text: string | undefined): Date | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : new Date(time)
}
