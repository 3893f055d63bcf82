import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import type { CallSettings } from '@s3lo/core/transfer'
import { toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** What is listed. */
export interface ListSettings extends CallSettings {
  readonly prefix: string
  readonly startAfter?: string | undefined
}

/** The objects below a prefix, in key order, which is the service's own. */
export async function* listObjects(
  service: S3Service,
  { prefix, startAfter, ...settings }: ListSettings,
): AsyncGenerator<ObjectInfo, void> {
  let last = startAfter
  const input = { Prefix: prefix, ...(startAfter !== undefined && { StartAfter: startAfter }) }
  for await (const page of readPages(service, settings, input)) {
    for (const item of page.Contents ?? []) {
      const key = decode(item.Key, page)
      // A service that ignores where to start would give what was not asked for.
      if (startAfter !== undefined && byUtf8(key, startAfter) <= 0) continue
      if (last !== undefined && byUtf8(key, last) <= 0) throw outOfOrder(key, last)
      last = key
      settings.signal?.throwIfAborted()
      const { Size: size, ETag: etag, LastModified: lastModified, StorageClass } = item
      yield toObjectInfo(key, { size, etag, lastModified, storageClass: StorageClass })
    }
  }
}

/** The folders just below a prefix, in key order. */
export async function* listFolders(
  service: S3Service,
  { prefix, ...settings }: ListSettings,
): AsyncGenerator<string, void> {
  let last: string | undefined
  for await (const page of readPages(service, settings, { Prefix: prefix, Delimiter: '/' })) {
    for (const { Prefix: folder } of page.CommonPrefixes ?? []) {
      const name = decode(folder, page)
      settings.signal?.throwIfAborted()
      // A folder at the end of one page may be at the start of the next one too.
      if (name !== last) yield name
      last = name
    }
  }
}

async function* readPages(
  service: S3Service,
  settings: CallSettings,
  input: { readonly Prefix: string; readonly StartAfter?: string; readonly Delimiter?: string },
): AsyncGenerator<ListObjectsV2CommandOutput, void> {
  let token: string | undefined
  do {
    settings.signal?.throwIfAborted()
    const page: ListObjectsV2CommandOutput = await service.send(settings, (client, { signal }) =>
      client.send(
        new ListObjectsV2Command({
          Bucket: service.bucket,
          // Keys may hold what XML cannot.
          EncodingType: 'url',
          ...input,
          ...(token !== undefined && { ContinuationToken: token }),
        }),
        { abortSignal: signal },
      ),
    )
    yield page
    if (page.IsTruncated && page.NextContinuationToken === token) {
      throw new S3loError('UNAVAILABLE', `${settings.what}: the listing does not go on`)
    }
    token = page.IsTruncated ? page.NextContinuationToken : undefined
  } while (token)
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

function outOfOrder(key: string, last: string): S3loError {
  return new S3loError('UNSUPPORTED', `the service lists ${key} after ${last}`, {
    hint: 'directory buckets list in no order: use a general purpose bucket',
  })
}

function byUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
