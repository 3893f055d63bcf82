import { type LayerTable, MAX_TABLE_BYTES, parseLayerTable } from '../chunk/layer-table.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { layerTableKey } from '../layout/chunk-keys.ts'
import { readObject } from './read-object.ts'

/** The table of a layer that is stored, and how long that is (bytes). */
export interface StoredTable {
  readonly table: LayerTable
  readonly bytes: number
}

/** The table of the layer with that digest. Throws as `parseLayerTable` does. */
export async function readLayerTable(
  backend: StorageBackend,
  digest: string,
  options?: CallOptions,
): Promise<StoredTable | undefined> {
  const stored = await readObject(backend, layerTableKey(digest), MAX_TABLE_BYTES, options)
  if (!stored) return undefined
  return { table: await parseLayerTable(stored, digest), bytes: stored.byteLength }
}
