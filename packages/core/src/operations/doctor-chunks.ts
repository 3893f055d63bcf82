import { TableBuilder } from '../chunk/build-table.ts'
import { ChunkedLayer } from '../store/chunked-layer.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import { type ChunkFormat, chunkMark, GO_CHUNKS, OWN_CHUNKS } from '../gc/chunk-format.ts'
import { Digester } from '../oci/digest.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readRecipe } from '../store/read-recipe.ts'
import { type BlobFault, Contents } from './blob-uses.ts'
import { findTableFault } from './doctor-tables.ts'

const READS_AT_ONCE = 20
/** Layers of which every chunk is read; each reads several at once. */
const DEEP_READS_AT_ONCE = 2

export interface CheckChunksOptions extends CallOptions {
  /** Read every chunk, not only its size. */
  readonly deep?: boolean | undefined
}

/**
 * Checks layers that are stored in chunks, of either format: a layer of which a chunk is missing is missing.
 * One whose chunks are right, and whose stored stream is not the blob, is noted in
 * `contents.recoded`: sizes tell most of them, and a deep check all. A table that is damaged,
 * and with a deep check one that is not what the layer holds, is noted in `contents.tableFaults`.
 */
export async function checkChunks(
  backend: StorageBackend,
  layers: readonly number[],
  contents: Contents,
  { deep = false, signal: outer }: CheckChunksOptions,
): Promise<void> {
  if (layers.length === 0) return
  const stored = new Contents()
  for (const format of [OWN_CHUNKS, GO_CHUNKS]) {
    await noteChunks(backend, format, stored, { signal: outer })
  }
  await forEachConcurrent(
    layers,
    deep ? DEEP_READS_AT_ONCE : READS_AT_ONCE,
    async (layer, signal) => {
      const digest = contents.table.digest(layer)
      const tableBytes = contents.tables.get(layer)
      const builder = deep && tableBytes !== undefined ? new TableBuilder() : undefined
      const verdict = await judge(backend, digest, stored, { deep, signal, builder })
      if (verdict === 'recoded') contents.recoded.add(layer)
      else if (verdict) contents.problems.set(layer, verdict)
      if (tableBytes === undefined || contents.problems.has(layer)) return
      const fault = await findTableFault(backend, digest, { bytes: tableBytes, builder, signal })
      if (fault !== undefined) contents.tableFaults.set(layer, fault)
    },
    outer,
  )
}

async function noteChunks(
  backend: StorageBackend,
  { chunksPrefix, toChunk }: ChunkFormat,
  stored: Contents,
  options: CallOptions,
): Promise<void> {
  for await (const info of backend.list(chunksPrefix, options)) {
    const chunk = toChunk(info)
    // The chunks of recipes have no other algorithm.
    if (chunk?.mark.length !== 64) continue
    stored.setSize(stored.table.add(`sha256:${chunk.mark}`), info.size)
  }
}

async function judge(
  backend: StorageBackend,
  digest: string,
  stored: Contents,
  {
    deep,
    signal,
    builder,
  }: CheckChunksOptions & {
    /** Gets the content, where all of it is read. */
    readonly builder: TableBuilder | undefined
  },
): Promise<BlobFault | 'recoded' | undefined> {
  const recipe = await orImageFault(() => readRecipe(backend, digest, { signal }))
  if (!recipe) return 'missing'
  if (isS3loError(recipe)) return faultOf(recipe)
  const sizes = recipe.chunks.map((chunk) => {
    const mark = chunkMark({ raw: chunk.digest, frame: chunk.frame })
    const found = stored.table.find(`sha256:${mark}`)
    return found === undefined ? undefined : stored.size(found)
  })
  if (sizes.includes(undefined)) return 'missing'
  // A frame of another length is what another encoder made, or damage: its content tells.
  const suspects = recipe.chunks.filter(
    ({ frameSize }, i) => frameSize !== undefined && frameSize !== sizes[i],
  )
  const chunks = deep ? recipe.chunks : suspects
  const layer = new ChunkedLayer(backend, digest, { ...recipe, chunks })
  const content = await orImageFault(() => hash(layer.content({ signal }), builder))
  if (isS3loError(content)) return faultOf(content)
  if (deep && content !== recipe.content.digest) return 'damaged'
  if (suspects.length > 0) return 'recoded'
  return deep && (await hash(layer.frames({ signal }))) !== digest ? 'recoded' : undefined
}

async function hash(
  content: AsyncIterable<Uint8Array>,
  builder?: Pick<TableBuilder, 'push'>,
): Promise<string> {
  const digester = new Digester()
  for await (const bytes of content) {
    digester.update(bytes)
    await builder?.push(bytes)
  }
  return digester.digest()
}

function faultOf({ code }: S3loError): BlobFault {
  if (code === 'NOT_FOUND') return 'missing'
  return code === 'INTEGRITY' ? 'damaged' : 'unreadable'
}
