import { asArray, asObject, asString, type JsonObject, optional } from '@s3lo/core/plugin'
import {
  type Attempt,
  ForeignAnswerError,
  type ListPage,
  type ListQuery,
} from '@s3lo/core/transfer'
import { sayBucketMissing } from './errors.ts'
import type { GcsClient } from './gcs-client.ts'
import { toObjectInfo } from './object-info.ts'

/** The most that the service gives in one answer. */
const PAGE_SIZE = 1000

/** A page of a listing; the service's order is by UTF-8 bytes. */
export async function listPage(
  client: GcsClient,
  { prefix, isShallow, startAfter, token }: ListQuery,
  attempt: Attempt,
  size = PAGE_SIZE,
): Promise<ListPage> {
  const items = isShallow
    ? 'prefixes,items(kind)'
    : 'items(name,size,generation,updated,storageClass)'
  const query = {
    prefix: prefix || undefined,
    delimiter: isShallow ? '/' : undefined,
    // Inclusive, so that the key itself is left out by the reader.
    startOffset: startAfter || undefined,
    fields: `kind,${items},nextPageToken`,
    pageToken: token,
    maxResults: String(size),
  }
  const request = { method: 'GET', path: '/o', query } as const
  const answer = client.json(request, attempt).catch(sayBucketMissing(client.bucket))
  return pageOf(await answer, isShallow)
}

/** An empty page has its kind alone, and an emulator perhaps an empty list alone. */
function pageOf(page: JsonObject, isShallow: boolean): ListPage {
  try {
    const items = optional(page, 'items', 'the list', asArray)
    const prefixes = optional(page, 'prefixes', 'the list', asArray)
    if (page['kind'] !== 'storage#objects' && (isShallow ? prefixes : items) === undefined) {
      throw new ForeignAnswerError('expected storage#objects, got another object')
    }
    return {
      objects: isShallow
        ? []
        : (items ?? []).map((item) => toObjectInfo(asObject(item, 'an item'))),
      folders: (prefixes ?? []).map((item) => asString(item, 'a prefix')),
      next: optional(page, 'nextPageToken', '', asString),
      hasOthers: items !== undefined,
    }
  } catch (error) {
    if (error instanceof ForeignAnswerError) throw error
    throw new ForeignAnswerError('expected a list of objects, got another object', { cause: error })
  }
}
