import type { TableBuilder } from '../chunk/build-table.ts'
import {
  digestOfTable,
  MAX_TABLE_BYTES,
  parseLayerTable,
  parseTableHead,
  type TableSubject,
} from '../chunk/layer-table.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { layerTableKey } from '../layout/chunk-keys.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readAll } from '../stream/read-all.ts'
import type { Contents } from './blob-uses.ts'
import type { FileIssue } from './doctor-files.ts'

/** As much of a table as its first line is within (bytes). */
const HEAD_BYTES = 1024

export interface FindTableFaultOptions extends CallOptions {
  /** The length of what is stored. */
  readonly bytes: number
  /** Has taken the content of the layer: the whole table is compared with it. */
  readonly builder?: TableBuilder | undefined
}

/** What is wrong with the table of a layer, in words: that it is none of the layer, or not what that holds. */
export async function findTableFault(
  backend: StorageBackend,
  digest: string,
  options: FindTableFaultOptions,
): Promise<string | undefined> {
  const fault = await orImageFault(() => compare(backend, digest, options))
  if (!isS3loError(fault)) return fault
  // Deleted since it was listed.
  return fault.code === 'NOT_FOUND' ? undefined : fault.message
}

/** The tables that are wrong, of the layers that are selected. */
export function tableIssues(contents: Contents, layers: readonly number[]): readonly FileIssue[] {
  return layers.flatMap((layer) => {
    const message = contents.tableFaults.get(layer)
    if (message === undefined) return []
    const key = layerTableKey(contents.table.digest(layer))
    const hint = `remove the object ${key}: the layer is read without it, and s3lo cat --index makes it again`
    return [{ key, message, hint }]
  })
}

async function compare(
  backend: StorageBackend,
  digest: string,
  { bytes, builder, signal }: FindTableFaultOptions,
): Promise<string | undefined> {
  const key = layerTableKey(digest)
  if (bytes === 0) return `${key} is empty`
  if (!builder) {
    const range = { start: 0, end: Math.min(bytes, HEAD_BYTES) }
    const { body } = await backend.get(key, { range, signal })
    await parseTableHead(await readAll(body, HEAD_BYTES, key), digest)
    return undefined
  }
  const { body } = await backend.get(key, { signal })
  const found = await parseLayerTable(await readAll(body, MAX_TABLE_BYTES, key), digest)
  const subject: TableSubject = { layer: found.layer, content: found.content }
  const stated = digestOfTable(found)
  const right = await builder.finish(subject)
  if (right && digestOfTable(await parseLayerTable(right, digest)) === stated) return undefined
  return `${key} is not what the layer holds`
}
