import type { TableBuilder } from '../chunk/build-table.ts'
import type { Piece, RawChunk } from '../chunk/cut-chunks.ts'
import type { TableSubject } from '../chunk/layer-table.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { Protection } from '../gc/protection.ts'
import { layerTableKey } from '../layout/chunk-keys.ts'
import { digestOf } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'

/** The pieces with their digests, each of which the builder takes before it is passed on. */
export async function* withTable(
  pieces: AsyncIterable<Piece>,
  table: TableBuilder,
): AsyncGenerator<RawChunk, void> {
  for await (const piece of pieces) {
    await table.push(piece.bytes)
    yield { ...piece, digest: table.digest() ?? digestOf(piece.bytes) }
  }
}

/**
 * Writes the table of a layer, if it has one, under a pin of the layer's name: after the chunks and
 * before the recipe. It does not count for the publication, because a layer can be read without.
 */
export async function writeLayerTable(
  { backend, protection }: { readonly backend: StorageBackend; readonly protection: Protection },
  table: TableBuilder,
  subject: TableSubject,
  { signal }: CallOptions = {},
): Promise<void> {
  const { digest } = subject.layer
  const content = await table.finish(subject)
  if (!content) return
  await protection.settle(digest, { signal })
  await putLayerTable(backend, digest, content, { signal })
}

/** Stores a table. Without a pin: a collector deletes that of a layer which nothing needs. */
export async function putLayerTable(
  backend: StorageBackend,
  layer: string,
  content: Uint8Array,
  options: CallOptions,
): Promise<void> {
  const facts = { size: content.byteLength, mediaType: MEDIA_TYPE.octetStream }
  await backend.put(layerTableKey(layer), content, { ...options, ...facts })
}
