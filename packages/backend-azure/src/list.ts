import type { BlobItem, BlobPrefix, ContainerClient } from '@azure/storage-blob'
import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { type CallSettings, followPages, type Requests } from '@s3lo/core/transfer'
import { isWhole, toObjectInfo } from './object-info.ts'

/** The most that the service gives. */
const PAGE_SIZE = 5000

/** What is listed. */
export interface ListSettings extends CallSettings {
  readonly prefix: string
  readonly startAfter?: string | undefined
}

/** The blobs below a prefix, in key order. */
export async function* listBlobs(
  requests: Requests,
  client: ContainerClient,
  { prefix, startAfter, ...settings }: ListSettings,
): AsyncGenerator<ObjectInfo, void> {
  const blobs = followPages<BlobItem>(settings, (token) =>
    requests.send(settings, async ({ signal: abortSignal }) => {
      const options = { prefix, abortSignal, includeCopy: true }
      const { value } = await client.listBlobsFlat(options).byPage(pageSettings(token)).next()
      return { next: value?.continuationToken, items: value?.segment.blobItems ?? [] }
    }),
  )
  for await (const { name, properties } of inKeyOrder(blobs, (item) => item.name)) {
    settings.signal?.throwIfAborted()
    assertBelow(prefix, name)
    if (startAfter !== undefined && byUtf8(name, startAfter) <= 0) continue
    if (isWhole(properties)) yield toObjectInfo(name, properties)
  }
}

/** The folders just below a prefix, in key order. */
export async function* listFolders(
  requests: Requests,
  client: ContainerClient,
  { prefix, ...settings }: ListSettings,
): AsyncGenerator<string, void> {
  const folders = followPages<BlobPrefix>(settings, (token) =>
    requests.send(settings, async ({ signal: abortSignal }) => {
      const options = { prefix, abortSignal }
      const pages = client.listBlobsByHierarchy('/', options).byPage(pageSettings(token))
      const { value } = await pages.next()
      const { blobPrefixes: items = [], blobItems = [] } = value?.segment ?? {}
      return { next: value?.continuationToken, items, hasOthers: blobItems.length > 0 }
    }),
  )
  let last: string | undefined
  for await (const { name } of inKeyOrder(folders, (folder) => folder.name)) {
    settings.signal?.throwIfAborted()
    assertBelow(prefix, name)
    // A folder at the end of one page may be at the start of the next one too.
    if (name !== last) yield name
    last = name
  }
}

/**
 * Brings names from the service's order, by UTF-16 units, into key order, by UTF-8 bytes. The two
 * differ only between characters above U+FFFF and those from U+E000 on; a name with one of the
 * former waits until no name of the latter kind can come before it.
 */
async function* inKeyOrder<T>(
  items: AsyncIterable<T>,
  nameOf: (item: T) => string,
): AsyncGenerator<T, void> {
  let waiting: T[] = []
  let stem: string | undefined
  let last = ''
  for await (const item of items) {
    const name = nameOf(item)
    if (name < last) throw outOfOrder(name, last)
    last = name
    if (stem !== undefined && !name.startsWith(stem)) {
      yield* sorted(waiting, nameOf)
      waiting = []
      stem = undefined
    }
    stem ??= stemOf(name)
    if (stem === undefined) yield item
    else waiting.push(item)
  }
  yield* sorted(waiting, nameOf)
}

/** An account with a hierarchical namespace lists folder by folder; a merge would lose names. */
function outOfOrder(name: string, last: string): S3loError {
  return new S3loError('UNSUPPORTED', `the service lists ${name} after ${last}`, {
    hint: 'use a storage account without a hierarchical namespace',
  })
}

/** A service that ignores the prefix would have a neighbour's blobs taken for these. */
function assertBelow(prefix: string, name: string): void {
  if (name.startsWith(prefix)) return
  throw new S3loError('UNSUPPORTED', `the service lists ${name}, which is not below ${prefix}`, {
    hint: 'check the endpoint',
  })
}

function pageSettings(token: string | undefined): {
  readonly maxPageSize: number
  readonly continuationToken?: string
} {
  return { maxPageSize: PAGE_SIZE, ...(token !== undefined && { continuationToken: token }) }
}

/** What stands before the first character above U+FFFF. */
function stemOf(name: string): string | undefined {
  const place = name.search(/[\u{10000}-\u{10ffff}]/u)
  return place === -1 ? undefined : name.slice(0, place)
}

function sorted<T>(items: readonly T[], nameOf: (item: T) => string): readonly T[] {
  return items.toSorted((a, b) => byUtf8(nameOf(a), nameOf(b)))
}

function byUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
