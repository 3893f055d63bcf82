import { formatChunkRecipe } from '../../src/chunk/chunk-recipe.ts'
import { encodeFrame, type StoredChunk } from '../../src/chunk/frame.ts'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { chunkFrameKey, chunkRecipeKey, layerTableKey } from '../../src/layout/chunk-keys.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { type ManifestDocument, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { layered } from './world.ts'

/** A layer in chunks of format 2, and where its objects are. */
export interface ChunkedLayerFixture {
  readonly digest: string
  readonly size: number
  readonly chunks: readonly StoredChunk[]
  readonly recipe: Uint8Array
  readonly keys: {
    readonly chunks: readonly string[]
    readonly table: string
    readonly recipe: string
  }
}

/** How a chunk is encoded; the default is the program's own. */
export type Encode = (raw: Uint8Array) => Promise<Uint8Array>

/** Makes a layer whose chunks are these texts, and stores its chunks, its table and its recipe. */
export async function putChunkedLayer(
  backend: StorageBackend,
  texts: readonly string[],
  encode: Encode = encodeFrame,
): Promise<ChunkedLayerFixture> {
  const raws = texts.map((text) => Buffer.from(text))
  const frames = await Promise.all(raws.map(encode))
  const chunks = raws.map((raw, i) => {
    const frame = frames[i]!
    return {
      raw: digestOf(raw),
      size: raw.length,
      frame: digestOf(frame),
      frameSize: frame.length,
    }
  })
  const [blob, content] = [Buffer.concat(frames), Buffer.concat(raws)]
  const layer = { digest: digestOf(blob), size: blob.length }
  const recipe = formatChunkRecipe({
    layer,
    content: { digest: digestOf(content), size: content.length },
    chunks,
  })
  const keys = {
    chunks: chunks.map(chunkFrameKey),
    table: layerTableKey(layer.digest),
    recipe: chunkRecipeKey(layer.digest),
  }
  for (const [i, key] of keys.chunks.entries()) await backend.put(key, frames[i]!)
  await backend.put(keys.table, Buffer.from('table'))
  await backend.put(keys.recipe, recipe)
  return { ...layer, chunks, recipe, keys }
}

/** Stores an image of such layers without a pin, and tags it `latest` where it has a name. */
export async function plantChunked(
  backend: StorageBackend,
  layers: readonly ChunkedLayerFixture[],
  name?: string,
): Promise<ManifestDocument> {
  const root = await chunkedManifest(backend, layers)
  if (name !== undefined) await backend.put(manifestKey({ name, tag: 'latest' }), root.content)
  return root
}

async function chunkedManifest(
  backend: StorageBackend,
  layers: readonly ChunkedLayerFixture[],
): Promise<ManifestDocument> {
  const { root, content } = layered('config only')
  const { config } = JSON.parse(Buffer.from(root.content).toString()) as {
    config: { digest: string }
  }
  await backend.put(blobKey(config.digest), content.get(config.digest)!)
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config,
    layers: layers.map(({ digest, size }) => ({
      mediaType: MEDIA_TYPE.ociLayerZstd,
      digest,
      size,
    })),
  }
  return toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)
}
