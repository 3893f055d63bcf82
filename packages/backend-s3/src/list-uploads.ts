import type { AbandonedUpload } from '@s3lo/core/plugin'
import {
  type CallSettings,
  followPages,
  ForeignAnswerError,
  RequestError,
} from '@s3lo/core/transfer'
import { dateOf } from './object-info.ts'
import type { S3Service } from './s3-service.ts'
import { elementsOf, textOf, type XmlElement } from './xml.ts'

const PLACE = ['IsTruncated', 'NextKeyMarker', 'NextUploadIdMarker'] as const

/** Where a page of uploads begins: two members of a query, which the service gives and takes together. */
interface Place {
  readonly 'key-marker': string
  readonly 'upload-id-marker'?: string
}

/** The uploads that have begun and not ended, of the whole bucket. */
export async function* listUploads(
  service: S3Service,
  settings: CallSettings,
): AsyncGenerator<AbandonedUpload, void> {
  yield* followPages(settings, async (token) => {
    const place = token === undefined ? undefined : (JSON.parse(token) as Place)
    return readPage(service, settings, place)
  })
}

async function readPage(
  service: S3Service,
  settings: CallSettings,
  place: Place | undefined,
): Promise<{ readonly items: readonly AbandonedUpload[]; readonly next: string | undefined }> {
  return service.call(settings, async (attempt) => {
    const request = { operation: 'ListMultipartUploads', query: { uploads: '', ...place } } as const
    const { document } = await service.request(request, attempt)
    if (!document) throw new ForeignAnswerError('expected a listing of uploads, got no document')
    const [isTruncated, keyMarker, uploadIdMarker] = PLACE.map((name) => textOf(document, name))
    if (isTruncated === 'true' && !keyMarker) {
      throw new ForeignAnswerError('expected the place of the next page, got none')
    }
    const items = elementsOf(document, 'Upload').flatMap(uploadIn)
    // AWS names the last key on the last page too, and says there that it is the last.
    if (isTruncated === 'false' || !keyMarker) return { items, next: undefined }
    const next: Place = {
      'key-marker': keyMarker,
      ...(uploadIdMarker && { 'upload-id-marker': uploadIdMarker }),
    }
    return { items, next: JSON.stringify(next) }
  })
}

function uploadIn(entry: XmlElement): readonly AbandonedUpload[] {
  const [key, id] = [textOf(entry, 'Key'), textOf(entry, 'UploadId')]
  const startedAt = dateOf(textOf(entry, 'Initiated'))
  return key !== undefined && id && startedAt ? [{ key, id, startedAt }] : []
}

/** Ends an upload; one that has ended already is no failure. */
export async function abortUpload(
  service: S3Service,
  { key, id }: AbandonedUpload,
  settings: CallSettings,
): Promise<void> {
  const request = { operation: 'AbortMultipartUpload', key, query: { uploadId: id } } as const
  try {
    await service.tryCall(settings, (attempt) => service.request(request, attempt))
  } catch (error) {
    // Another client has ended it meanwhile.
    if (error instanceof RequestError && error.failure.reason === 'NoSuchUpload') return
    throw error
  }
}
