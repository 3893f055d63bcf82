import {
  asArray,
  asObject,
  asString,
  type JsonObject,
  type ObjectInfo,
  optional,
  S3loError,
} from '@s3lo/core/plugin'
import type { CallSettings } from '@s3lo/core/transfer'
import { isMissing, type GcsClient } from './gcs-client.ts'
import { ProtocolError, missingBucket } from './errors.ts'
import { toObjectInfo } from './object-info.ts'
import { RequestError, toThrown } from '@s3lo/core/transfer'

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
    fields: 'items(name,size,generation,updated,storageClass),nextPageToken',
  }
  let last: string | undefined
  for await (const page of readPages(client, settings, query)) {
    for (const item of listOf(page, 'items')) {
      settings.signal?.throwIfAborted()
      const info = checked(() => toObjectInfo(asObject(item, 'an item')), settings.what)
      last = inOrder(info.key, prefix, last)
      if (info.key !== startAfter) yield info
    }
  }
}

/** The folders just below a prefix, in key order. */
export async function* listFolders(
  client: GcsClient,
  { prefix, ...settings }: ListSettings,
): AsyncGenerator<string, void> {
  const query = { prefix, delimiter: '/', fields: 'prefixes,nextPageToken' }
  let last: string | undefined
  for await (const page of readPages(client, settings, query)) {
    for (const item of listOf(page, 'prefixes')) {
      settings.signal?.throwIfAborted()
      const folder = checked(() => asString(item, 'a prefix'), settings.what)
      // A folder at the end of one page may be at the start of the next one too.
      if (folder === last) continue
      last = inOrder(folder, prefix, last)
      yield folder
    }
  }
}

async function* readPages(
  client: GcsClient,
  settings: CallSettings,
  query: Readonly<Record<string, string | undefined>>,
): AsyncGenerator<JsonObject, void> {
  let pageToken: string | undefined
  do {
    settings.signal?.throwIfAborted()
    const page = await readPage(client, settings, { ...query, pageToken, maxResults: PAGE_SIZE })
    yield page
    const next = checked(() => optional(page, 'nextPageToken', '', asString), settings.what)
    if (next !== undefined && next === pageToken) throw outOfOrder(next)
    pageToken = next
  } while (pageToken)
}

async function readPage(
  client: GcsClient,
  settings: CallSettings,
  query: Readonly<Record<string, string | undefined>>,
): Promise<JsonObject> {
  try {
    return await client.requests.trySend(settings, (attempt) =>
      client.json({ method: 'GET', path: '/o', query }, attempt),
    )
  } catch (error) {
    throw toThrown(isMissing(error) ? new RequestError(missingBucket(client.bucket)) : error)
  }
}

function listOf(page: JsonObject, name: string): readonly unknown[] {
  return checked(() => optional(page, name, 'the list', asArray) ?? [], 'the list')
}

/** An answer that was read in full, and is wrong all the same, is not asked for again. */
function checked<T>(read: () => T, what: string): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof ProtocolError) && !(cause instanceof S3loError)) throw cause
    const message = `${what}: the list is not what the service sends`
    throw new S3loError('UNAVAILABLE', message, { hint: 'check the endpoint', cause })
  }
}

/** Whoever merges two lists would lose names of one that is not sorted. */
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
