import {
  asArray,
  asObject,
  asString,
  type JsonObject,
  type ObjectInfo,
  optional,
  S3loError,
} from '@s3lo/core/plugin'
import {
  type CallSettings,
  followPages,
  ForeignAnswerError,
  type Page,
  RequestError,
  toThrown,
} from '@s3lo/core/transfer'
import { isMissing, type GcsClient } from './gcs-client.ts'
import { missingBucket } from './errors.ts'
import { toObjectInfo } from './object-info.ts'

/** The most that the service gives in one answer. */
const PAGE_SIZE = '1000'

/** What is listed. */
export interface ListSettings extends CallSettings {
  readonly prefix: string
  readonly startAfter?: string | undefined
}

/** The objects below a prefix, in key order: the service's own order is by UTF-8 bytes. */
export async function* listObjects(
  client: GcsClient,
  { prefix, startAfter, ...settings }: ListSettings,
): AsyncGenerator<ObjectInfo, void> {
  const query = {
    prefix,
    // Inclusive, so that the key itself has to be left out below.
    startOffset: startAfter === '' ? undefined : startAfter,
    fields: 'kind,items(name,size,generation,updated,storageClass),nextPageToken',
  }
  const objects = followPages(settings, (pageToken) =>
    readPage(client, settings, { ...query, pageToken }, 'items'),
  )
  let last: string | undefined
  for await (const item of objects) {
    settings.signal?.throwIfAborted()
    const info = checked(() => toObjectInfo(asObject(item, 'an item')), settings.what)
    last = inOrder(info.key, prefix, last)
    if (info.key !== startAfter) yield info
  }
}

/** The folders just below a prefix, in key order. */
export async function* listFolders(
  client: GcsClient,
  { prefix, ...settings }: ListSettings,
): AsyncGenerator<string, void> {
  const query = { prefix, delimiter: '/', fields: 'kind,prefixes,items(kind),nextPageToken' }
  const folders = followPages(settings, (pageToken) =>
    readPage(client, settings, { ...query, pageToken }, 'prefixes'),
  )
  let last: string | undefined
  for await (const item of folders) {
    settings.signal?.throwIfAborted()
    const folder = checked(() => asString(item, 'a prefix'), settings.what)
    // A folder at the end of one page may be at the start of the next one too.
    if (folder === last) continue
    last = inOrder(folder, prefix, last)
    yield folder
  }
}

async function readPage(
  client: GcsClient,
  settings: CallSettings,
  query: Readonly<Record<string, string | undefined>>,
  member: 'items' | 'prefixes',
): Promise<Page<unknown>> {
  try {
    return await client.requests.trySend(settings, async (attempt) => {
      const request = {
        method: 'GET',
        path: '/o',
        query: { ...query, maxResults: PAGE_SIZE },
      } as const
      return pageOf(await client.json(request, attempt), member)
    })
  } catch (error) {
    throw toThrown(isMissing(error) ? new RequestError(missingBucket(client.bucket)) : error)
  }
}

/** An empty page has its kind alone, and an emulator perhaps an empty list alone. */
function pageOf(page: JsonObject, member: 'items' | 'prefixes'): Page<unknown> {
  try {
    const items = optional(page, member, 'the list', asArray)
    if (page['kind'] !== 'storage#objects' && items === undefined) {
      throw new ForeignAnswerError('expected storage#objects, got another object')
    }
    const next = optional(page, 'nextPageToken', '', asString)
    return { items: items ?? [], next, hasOthers: member === 'prefixes' && 'items' in page }
  } catch (error) {
    if (error instanceof ForeignAnswerError) throw error
    throw new ForeignAnswerError('expected a list of objects, got another object', { cause: error })
  }
}

/** An answer that was read in full, and is wrong all the same, is not asked for again. */
function checked<T>(read: () => T, what: string): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof ForeignAnswerError) && !(cause instanceof S3loError)) throw cause
    const message = `${what}: the list is not what the service sends`
    throw new S3loError('UNAVAILABLE', message, { hint: 'check the endpoint', cause })
  }
}

/** A merge of two lists would lose names of one that is not sorted. */
function inOrder(name: string, prefix: string, last: string | undefined): string {
  const isNext = last === undefined || Buffer.compare(Buffer.from(last), Buffer.from(name)) < 0
  if (isNext && name.startsWith(prefix)) return name
  throw outOfOrder(name)
}

function outOfOrder(name: string): S3loError {
  return new S3loError('UNSUPPORTED', `the service lists ${name} where it does not belong`, {
    hint: 'check the endpoint',
  })
}
