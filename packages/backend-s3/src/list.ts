import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  ForeignAnswerError,
  type ListPage,
  type ListQuery,
} from '@s3lo/core/transfer'
import { dateOf, sizeOf, toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'
import { elementsOf, textOf, type XmlElement } from './xml.ts'

/** A page of a listing; the service's order is by UTF-8 bytes. */
export async function listPage(
  service: S3Service,
  { prefix, isShallow, startAfter, token }: ListQuery,
  attempt: Attempt,
): Promise<ListPage> {
  const query = {
    'list-type': '2',
    // Keys may hold what XML cannot.
    'encoding-type': 'url',
    prefix,
    ...(startAfter !== undefined && { 'start-after': startAfter }),
    ...(isShallow && { delimiter: '/' }),
    ...(token !== undefined && { 'continuation-token': token }),
  }
  const { document } = await service.request({ operation: 'ListObjectsV2', query }, attempt)
  if (!document) throw new ForeignAnswerError('expected a listing, got no document')
  const contents = elementsOf(document, 'Contents')
  const folders = elementsOf(document, 'CommonPrefixes')
  const next = textOf(document, 'NextContinuationToken') || undefined
  assertComplete(document, contents.length + folders.length, next)
  const isEncoded = textOf(document, 'EncodingType')?.trim() === 'url'
  return {
    objects: contents.map((entry) =>
      toObjectInfo(decode(textOf(entry, 'Key'), isEncoded), {
        size: sizeOf(textOf(entry, 'Size')),
        etag: textOf(entry, 'ETag'),
        lastModified: dateOf(textOf(entry, 'LastModified')),
        storageClass: textOf(entry, 'StorageClass') || undefined,
      }),
    ),
    folders: folders.map((entry) => decode(textOf(entry, 'Prefix'), isEncoded)),
    next,
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
function assertComplete(page: XmlElement, found: number, next: string | undefined): void {
  if (textOf(page, 'IsTruncated')?.trim() === 'true' && next === undefined) {
    throw new ForeignAnswerError('expected the token of the next page, got none')
  }
  const count = Number(textOf(page, 'KeyCount') ?? 0)
  if (count > 0 && found === 0) throw new ForeignAnswerError(`expected ${count} keys, got none`)
}

function decode(text: string | undefined, isEncoded: boolean): string {
  if (text === undefined) throw new S3loError('UNAVAILABLE', 'a listing has an entry without a key')
  if (!isEncoded) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw new S3loError('UNAVAILABLE', 'a listing has a key that is not encoded rightly', {
      cause: error,
    })
  }
}
