import { constants, zstdCompressSync } from 'node:zlib'
import { TableBuilder } from '../chunk/build-table.ts'
import { formatChunkRecipe } from '../chunk/chunk-recipe.ts'
import type { StoredChunk } from '../chunk/frame.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { chunkFrameKey, chunkRecipeKey, layerTableKey } from '../layout/chunk-keys.ts'
import { blobKey, chunkKey, manifestKey, recipeKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { type ManifestDocument, toDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { decodeText } from '../tar/byte-text.ts'
import { TarToc } from '../tar/tar-toc.ts'
import { imageFixture } from './fixtures.ts'

export interface ChunkedFixtureOptions {
  readonly layers: readonly Uint8Array[]
  /** The length of each chunk but the last of a layer (bytes). */
  readonly chunkSize: number
  /** Of the chunks. Default 1, that of the Go program. */
  readonly format?: 1 | 2
  /** Encodes a chunk; default zstd of level 3 with a checksum, as the Go program's encoder. */
  readonly encode?: (raw: Uint8Array) => Uint8Array
  /** A recipe of an early version of the Go program, which has no sizes of frames. */
  readonly early?: boolean
}

/** A chunk and its frame, as they were made here. */
interface MadeChunk extends StoredChunk {
  readonly bytes: Uint8Array
}

/**
 * Stores an image with every layer in chunks, and returns the root. In format 1 as the Go program
 * does: it never writes a chunk that is there, and makes the layer's digest of what it has encoded
 * itself. In format 2 as a push of s3lo does, but for where the layers are cut: with its table of contents.
 */
export async function putChunkedImage(
  backend: StorageBackend,
  reference: Reference,
  options: ChunkedFixtureOptions,
): Promise<ManifestDocument> {
  const { layers, chunkSize, format = 1, encode = encodeFrame, early = false } = options
  const { root, content } = imageFixture({ layers })
  const manifest = JSON.parse(Buffer.from(root.content).toString()) as {
    config: Descriptor
    layers: Descriptor[]
  }
  const { config } = manifest
  await backend.put(blobKey(config.digest), Buffer.from(content.get(config.digest) ?? ''))
  manifest.layers = []
  for (const layer of layers) {
    const chunks = makeChunks(layer, chunkSize, encode)
    const stream = Buffer.concat(chunks.map(({ bytes }) => bytes))
    const blob = { digest: digestOf(stream), size: stream.length }
    if (format === 2) await putLayer(backend, layer, chunks, blob)
    else await putGoLayer(backend, layer, chunks, early ? { digest: blob.digest } : blob)
    manifest.layers.push({ mediaType: MEDIA_TYPE.ociLayerZstd, ...blob })
  }
  const document = toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)
  await backend.put(manifestKey(reference), document.content)
  return document
}

function makeChunks(
  layer: Uint8Array,
  chunkSize: number,
  encode: (raw: Uint8Array) => Uint8Array,
): readonly MadeChunk[] {
  const chunks: MadeChunk[] = []
  for (let at = 0; at < layer.length; at += chunkSize) {
    const raw = layer.subarray(at, at + chunkSize)
    const bytes = encode(raw)
    const frame = { frame: digestOf(bytes), frameSize: bytes.length }
    chunks.push({ raw: digestOf(raw), size: raw.length, ...frame, bytes })
  }
  return chunks
}

async function putLayer(
  backend: StorageBackend,
  content: Uint8Array,
  chunks: readonly MadeChunk[],
  layer: { readonly digest: string; readonly size: number },
): Promise<void> {
  for (const chunk of chunks) await backend.put(chunkFrameKey(chunk), chunk.bytes)
  const recipe = { layer, content: { digest: digestOf(content), size: content.length }, chunks }
  const builder = new TableBuilder()
  await builder.push(content)
  const table = await builder.finish(recipe)
  if (table) await backend.put(layerTableKey(layer.digest), table)
  await backend.put(chunkRecipeKey(layer.digest), formatChunkRecipe(recipe))
}

/** Chunks, the list of files, the recipe. Without a size: a recipe of an early version. */
async function putGoLayer(
  backend: StorageBackend,
  content: Uint8Array,
  chunks: readonly MadeChunk[],
  { digest, size }: { readonly digest: string; readonly size?: number },
): Promise<void> {
  for (const { raw, bytes } of chunks) {
    const key = chunkKey(raw)
    if (!(await backend.head(key))) await backend.put(key, bytes)
  }
  const layer = hexOf(digestOf(content))
  const files = filesOf(content)
  if (files.length > 0) {
    const index = zstdCompressSync(JSON.stringify({ layer, files }))
    await backend.put(recipeKey(digest).replace('recipes/', 'indexes/'), index)
  }
  const isEarly = size === undefined
  const recipe = {
    layer,
    size: content.length,
    ...(isEarly ? {} : { compressedDigest: hexOf(digest), compressedSize: size }),
    chunks: chunks.map((chunk) => ({
      digest: hexOf(chunk.raw),
      size: chunk.size,
      ...(isEarly ? {} : { compressedSize: chunk.frameSize }),
    })),
  }
  await backend.put(recipeKey(digest), Buffer.from(JSON.stringify(recipe)))
}

/** What the Go program's index of a layer lists: none where the layer is no tar. */
function filesOf(content: Uint8Array): readonly object[] {
  const toc = new TarToc({ tolerant: true })
  try {
    toc.push(content)
    toc.finish()
  } catch {
    return []
  }
  return toc.entries.flatMap(({ name, type, offset, size, linkname }): readonly object[] => {
    const path = decodeText(name)
    if (type === 'reg') return [{ path, offset, ...(size > 0 && { size }) }]
    return linkname === '' ? [] : [{ path, link: decodeText(linkname) }]
  })
}

function encodeFrame(raw: Uint8Array): Uint8Array {
  return zstdCompressSync(raw, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}
