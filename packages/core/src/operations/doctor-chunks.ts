import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { recipeKey } from '../layout/keys.ts'
import { asArray, asObject, asSize, asString, optional, parseJson } from '../oci/json.ts'
import { isDigest } from '../oci/digest.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readObject } from '../store/read-object.ts'
import { type BlobFault, Contents } from './blob-uses.ts'
import { listStored } from './stored-content.ts'

/** A recipe of more than this is not read (bytes): it would be of a layer of 400 GiB. */
const MAX_RECIPE_BYTES = 16 * 1024 * 1024
const READS_AT_ONCE = 20

/** A piece of a layer. */
interface Chunk {
  readonly digest: string
  /** Bytes of its object; recipes of early versions do not tell. */
  readonly size: number | undefined
}

/**
 * Looks whether the chunks of layers that the Go program stored in pieces are there: a layer of
 * which one is missing is missing.
 */
export async function checkChunks(
  backend: StorageBackend,
  layers: readonly number[],
  contents: Contents,
  { signal: outer }: CallOptions,
): Promise<void> {
  if (layers.length === 0) return
  const stored = new Contents()
  for await (const { digest, info } of listStored(backend, 'chunks', { signal: outer })) {
    stored.setSize(stored.table.add(digest), info.size)
  }
  await forEachConcurrent(
    layers,
    READS_AT_ONCE,
    async (layer, signal) => {
      const fault = await faultOf(backend, contents.table.digest(layer), stored, { signal })
      if (fault) contents.problems.set(layer, fault)
    },
    outer,
  )
}

async function faultOf(
  backend: StorageBackend,
  digest: string,
  stored: Contents,
  options: CallOptions,
): Promise<BlobFault | undefined> {
  const key = recipeKey(digest)
  const content = await orImageFault(() => readObject(backend, key, MAX_RECIPE_BYTES, options))
  if (content === undefined) return 'missing'
  if (isS3loError(content)) return content.code === 'INTEGRITY' ? 'damaged' : 'unreadable'
  const chunks = await orImageFault(() => Promise.resolve(parseRecipe(content, key)))
  if (isS3loError(chunks)) return 'damaged'
  const faults = chunks.map(({ digest: name, size }) => {
    const found = stored.table.find(name)
    const actual = found === undefined ? undefined : stored.size(found)
    if (actual === undefined) return 'missing'
    return size === undefined || size === actual ? undefined : 'damaged'
  })
  return faults.includes('missing') ? 'missing' : faults.find((fault) => fault !== undefined)
}

function parseRecipe(content: Uint8Array, key: string): readonly Chunk[] {
  const recipe = asObject(parseJson(content, key), key)
  return asArray(recipe['chunks'], `${key}.chunks`).map((value, i) => {
    const path = `${key}.chunks[${i}]`
    const chunk = asObject(value, path)
    const digest = `sha256:${asString(chunk['digest'], `${path}.digest`)}`
    if (!isDigest(digest)) throw new S3loError('INTEGRITY', `${path}.digest is not a digest`)
    return { digest, size: optional(chunk, 'compressedSize', path, asSize) }
  })
}
