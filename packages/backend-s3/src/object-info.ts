import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { bareEtag } from '@s3lo/core/transfer'

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
