import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import type { AbandonedUpload } from '@s3lo/core/plugin'
import {
  type CallSettings,
  followPages,
  ForeignAnswerError,
  RequestError,
} from '@s3lo/core/transfer'
import type { S3Service } from './s3-service.ts'

/** Where a page of uploads begins: two members, which the service gives and takes together. */
interface Place {
  readonly KeyMarker: string
  readonly UploadIdMarker?: string | undefined
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
  const input = { Bucket: service.bucket, ...place } as { Bucket: string }
  return service.send(settings, async (client, { signal }) => {
    const page = await client.send(new ListMultipartUploadsCommand(input), { abortSignal: signal })
    const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker, Uploads = [] } = page
    if (IsTruncated && !KeyMarker) {
      throw new ForeignAnswerError('expected the place of the next page, got none')
    }
    const items = Uploads.flatMap(({ Key: key, UploadId: id, Initiated: startedAt }) =>
      key !== undefined && id && startedAt ? [{ key, id, startedAt }] : [],
    )
    // AWS names the last key on the last page too, and says there that it is the last.
    if (IsTruncated === false || !KeyMarker) return { items, next: undefined }
    const next: Place = {
      KeyMarker,
      ...(NextUploadIdMarker && { UploadIdMarker: NextUploadIdMarker }),
    }
    return { items, next: JSON.stringify(next) }
  })
}

/** Ends an upload; one that has ended already is no failure. */
export async function abortUpload(
  service: S3Service,
  { key, id }: AbandonedUpload,
  settings: CallSettings,
): Promise<void> {
  const input = { Bucket: service.bucket, Key: key, UploadId: id }
  try {
    await service.trySend(settings, (client, attempt) =>
      client.send(new AbortMultipartUploadCommand(input), { abortSignal: attempt.signal }),
    )
  } catch (error) {
    // Another client has ended it meanwhile.
    if (error instanceof RequestError && error.failure.reason === 'NoSuchUpload') return
    throw error
  }
}
