import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  ForeignAnswerError,
  type ListPage,
  type ListQuery,
} from '@s3lo/core/transfer'
import { toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** A page of a listing; the service's order is by UTF-8 bytes. */
export async function listPage(
  service: S3Service,
  { prefix, isShallow, startAfter, token }: ListQuery,
  { signal }: Attempt,
): Promise<ListPage> {
  const command = new ListObjectsV2Command({
    Bucket: service.bucket,
    // Keys may hold what XML cannot.
    EncodingType: 'url',
    Prefix: prefix,
    ...(startAfter !== undefined && { StartAfter: startAfter }),
    ...(isShallow && { Delimiter: '/' }),
    ...(token !== undefined && { ContinuationToken: token }),
  })
  const page = await service.client.send(command, { abortSignal: signal })
  assertComplete(page)
  return {
    objects: (page.Contents ?? []).map(
      ({ Key, Size: size, ETag: etag, LastModified: lastModified, StorageClass: storageClass }) =>
        toObjectInfo(decode(Key, page), { size, etag, lastModified, storageClass }),
    ),
    folders: (page.CommonPrefixes ?? []).map(({ Prefix }) => decode(Prefix, page)),
    next: page.NextContinuationToken,
  }
}

/** When an object was written, for answers of which a proxy has taken the date. */
export async function listedDate(
  service: S3Service,
  key: string,
  attempt: Attempt,
): Promise<Date | undefined> {
  const { objects } = await listPage(service, { prefix: key, isShallow: false }, attempt)
  // Before all that begin with its name comes the object itself.
  const [first] = objects
  return first?.key === key ? first.lastModified : undefined
}

/** What is missing from a listing counts as deleted, so a page has to be all that it says. */
function assertComplete(page: ListObjectsV2CommandOutput): void {
  const { IsTruncated, NextContinuationToken, KeyCount = 0, Contents, CommonPrefixes } = page
  if (IsTruncated && !NextContinuationToken) {
    throw new ForeignAnswerError('expected the token of the next page, got none')
  }
  if (KeyCount > 0 && !Contents?.length && !CommonPrefixes?.length) {
    throw new ForeignAnswerError(`expected ${KeyCount} keys, got none`)
  }
}

function decode(text: string | undefined, { EncodingType }: ListObjectsV2CommandOutput): string {
  if (text === undefined) throw new S3loError('UNAVAILABLE', 'a listing has an entry without a key')
  if (EncodingType !== 'url') return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw new S3loError('UNAVAILABLE', 'a listing has a key that is not encoded rightly', {
      cause: error,
    })
  }
}
