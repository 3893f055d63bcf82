import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { bareEtag } from '@s3lo/core/transfer'

/** The facts that the service's answers have in common. */
export interface BlobFacts {
  readonly contentLength?: number | undefined
  readonly etag?: string | undefined
  readonly lastModified?: Date | undefined
  readonly accessTier?: string | undefined
  readonly copyStatus?: string | undefined
}

/** The facts of a blob. The etag is without quotes, which a listing leaves out and a header has. */
export function toObjectInfo(key: string, facts: BlobFacts): ObjectInfo {
  const { contentLength, etag, lastModified, accessTier } = facts
  if (contentLength === undefined || !etag || !(lastModified && lastModified.getTime() > 0)) {
    throw new S3loError('UNAVAILABLE', `the facts of ${key} are incomplete`, {
      hint: 'check that the endpoint is that of a blob service',
    })
  }
  return {
    key,
    size: contentLength,
    etag: bareEtag(etag),
    lastModified,
    ...(accessTier !== undefined && { storageClass: accessTier }),
  }
}

/** The etag as a header wants it. */
export function quoted(etag: string): string {
  return `"${etag}"`
}

/** False for a blob that a server-side copy is still filling, or has given up: its bytes are not there. */
export function isWhole({ copyStatus }: BlobFacts): boolean {
  return copyStatus === undefined || copyStatus === 'success'
}
