import { ChunkedLayer } from '../store/chunked-layer.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import { Digester } from '../oci/digest.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readGoRecipe } from '../store/read-recipe.ts'
import { type BlobFault, Contents } from './blob-uses.ts'
import { listStored } from './stored-content.ts'

const READS_AT_ONCE = 20
/** Layers of which every chunk is read; each reads several at once. */
const DEEP_READS_AT_ONCE = 2

export interface CheckChunksOptions extends CallOptions {
  /** Read every chunk, not only its size. */
  readonly deep?: boolean | undefined
}

/**
 * Checks layers that the Go program stored in chunks: a layer of which a chunk is missing is missing.
 * One whose chunks are right, and whose stored stream is not the blob, is noted in
 * `contents.recoded`: sizes tell most of them, and a deep check all.
 */
export async function checkChunks(
  backend: StorageBackend,
  layers: readonly number[],
  contents: Contents,
  { deep = false, signal: outer }: CheckChunksOptions,
): Promise<void> {
  if (layers.length === 0) return
  const stored = new Contents()
  for await (const { digest, info } of listStored(backend, 'chunks', { signal: outer })) {
    stored.setSize(stored.table.add(digest), info.size)
  }
  await forEachConcurrent(
    layers,
    deep ? DEEP_READS_AT_ONCE : READS_AT_ONCE,
    async (layer, signal) => {
      const verdict = await judge(backend, contents.table.digest(layer), stored, { deep, signal })
      if (verdict === 'recoded') contents.recoded.add(layer)
      else if (verdict) contents.problems.set(layer, verdict)
    },
    outer,
  )
}

async function judge(
  backend: StorageBackend,
  digest: string,
  stored: Contents,
  { deep, signal }: CheckChunksOptions,
): Promise<BlobFault | 'recoded' | undefined> {
  const recipe = await orImageFault(() => readGoRecipe(backend, digest, { signal }))
  if (!recipe) return 'missing'
  if (isS3loError(recipe)) return faultOf(recipe)
  const sizes = recipe.chunks.map((chunk) => {
    const found = stored.table.find(chunk.digest)
    return found === undefined ? undefined : stored.size(found)
  })
  if (sizes.includes(undefined)) return 'missing'
  // A frame of another length is what another encoder made, or damage: its content tells.
  const suspects = recipe.chunks.filter(
    ({ frameSize }, i) => frameSize !== undefined && frameSize !== sizes[i],
  )
  const chunks = deep ? recipe.chunks : suspects
  const layer = new ChunkedLayer(backend, digest, { ...recipe, chunks })
  const content = await orImageFault(() => hash(layer.content({ signal })))
  if (isS3loError(content)) return faultOf(content)
  if (deep && content !== recipe.content.digest) return 'damaged'
  if (suspects.length > 0) return 'recoded'
  return deep && (await hash(layer.frames({ signal }))) !== digest ? 'recoded' : undefined
}

async function hash(content: AsyncIterable<Uint8Array>): Promise<string> {
  const digester = new Digester()
  for await (const bytes of content) digester.update(bytes)
  return digester.digest()
}

function faultOf({ code }: S3loError): BlobFault {
  if (code === 'NOT_FOUND') return 'missing'
  return code === 'INTEGRITY' ? 'damaged' : 'unreadable'
}
