import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { type CallSettings, followPages, ForeignAnswerError } from '@s3lo/core/transfer'
import { toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** What is listed. */
export interface ListSettings extends CallSettings {
  readonly prefix: string
  readonly startAfter?: string | undefined
}

interface ListInput {
  readonly Prefix: string
  readonly StartAfter?: string
  readonly Delimiter?: string
}

/** The objects below a prefix, in key order, which is the service's own. */
export async function* listObjects(
  service: S3Service,
  { prefix, startAfter, ...settings }: ListSettings,
): AsyncGenerator<ObjectInfo, void> {
  let last = startAfter
  const input = { Prefix: prefix, ...(startAfter !== undefined && { StartAfter: startAfter }) }
  const objects = followPages(settings, async (token) => {
    const { output, next } = await readPage(service, settings, input, token)
    const items = (output.Contents ?? []).map((item) => ({ item, key: decode(item.Key, output) }))
    return { items, next }
  })
  for await (const { item, key } of objects) {
    assertBelow(prefix, key)
    // A service that ignores where to start would give what was not asked for.
    if (startAfter !== undefined && byUtf8(key, startAfter) <= 0) continue
    if (last !== undefined && byUtf8(key, last) <= 0) throw outOfOrder(key, last)
    last = key
    settings.signal?.throwIfAborted()
    const { Size: size, ETag: etag, LastModified: lastModified, StorageClass } = item
    yield toObjectInfo(key, { size, etag, lastModified, storageClass: StorageClass })
  }
}

/** When an object was written, for answers of which a proxy has taken the date. */
export async function listedDate(
  service: S3Service,
  key: string,
  settings: CallSettings,
): Promise<Date | undefined> {
  // Before all that begin with its name comes the object itself.
  for await (const info of listObjects(service, { ...settings, prefix: key })) {
    return info.key === key ? info.lastModified : undefined
  }
  return undefined
}

/** The folders just below a prefix, in key order. */
export async function* listFolders(
  service: S3Service,
  { prefix, ...settings }: ListSettings,
): AsyncGenerator<string, void> {
  const input = { Prefix: prefix, Delimiter: '/' }
  const folders = followPages(settings, async (token) => {
    const { output, next } = await readPage(service, settings, input, token)
    const items = (output.CommonPrefixes ?? []).map((item) => decode(item.Prefix, output))
    return { items, next, hasOthers: !!output.Contents?.length }
  })
  let last: string | undefined
  for await (const name of folders) {
    settings.signal?.throwIfAborted()
    assertBelow(prefix, name)
    // A folder at the end of one page may be at the start of the next one too.
    if (name === last) continue
    if (last !== undefined && byUtf8(name, last) < 0) throw outOfOrder(name, last)
    yield name
    last = name
  }
}

/** A page as the service has sent it, and what the next one is asked for with. */
interface ListPage {
  readonly output: ListObjectsV2CommandOutput
  readonly next: string | undefined
}

async function readPage(
  service: S3Service,
  settings: CallSettings,
  input: ListInput,
  token: string | undefined,
): Promise<ListPage> {
  const output = await service.send(settings, async (client, { signal }) => {
    const command = new ListObjectsV2Command({
      Bucket: service.bucket,
      // Keys may hold what XML cannot.
      EncodingType: 'url',
      ...input,
      ...(token !== undefined && { ContinuationToken: token }),
    })
    const page = await client.send(command, { abortSignal: signal })
    assertComplete(page)
    return page
  })
  return { output, next: output.NextContinuationToken || undefined }
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

function outOfOrder(key: string, last: string): S3loError {
  return new S3loError('UNSUPPORTED', `the service lists ${key} after ${last}`, {
    hint: 'directory buckets list in no order: use a general purpose bucket',
  })
}

/** A service that ignores the prefix would have a neighbour's objects taken for these. */
function assertBelow(prefix: string, name: string): void {
  if (name.startsWith(prefix)) return
  throw new S3loError('UNSUPPORTED', `the service lists ${name}, which is not below ${prefix}`, {
    hint: 'check the endpoint',
  })
}

function byUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
