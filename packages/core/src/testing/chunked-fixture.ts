import { constants, zstdCompressSync } from 'node:zlib'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { blobKey, chunkKey, manifestKey, recipeKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { type ManifestDocument, toDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { imageFixture } from './fixtures.ts'

export interface ChunkedFixtureOptions {
  readonly layers: readonly Uint8Array[]
  /** The length of each chunk but the last of a layer (bytes). */
  readonly chunkSize: number
  /** Encodes a chunk; default zstd of level 3 with a checksum, as the Go program's encoder. */
  readonly encode?: (raw: Uint8Array) => Uint8Array
  /** A recipe of an early version of the Go program, which has no sizes of frames. */
  readonly early?: boolean
}

/**
 * Stores an image as the Go program does (chunk format 1): it never writes a chunk that is there,
 * and makes the layer's digest of what it has encoded itself. Returns the root.
 */
export async function putChunkedImage(
  backend: StorageBackend,
  reference: Reference,
  { layers, chunkSize, encode = encodeFrame, early = false }: ChunkedFixtureOptions,
): Promise<ManifestDocument> {
  const { root, content } = imageFixture({ layers })
  const manifest = JSON.parse(Buffer.from(root.content).toString()) as {
    config: Descriptor
    layers: Descriptor[]
  }
  const { config } = manifest
  await backend.put(blobKey(config.digest), Buffer.from(content.get(config.digest) ?? ''))
  manifest.layers = []
  for (const layer of layers) {
    const frames: Uint8Array[] = []
    const chunks: object[] = []
    for (let at = 0; at < layer.length; at += chunkSize) {
      const raw = layer.subarray(at, at + chunkSize)
      const frame = encode(raw)
      const key = chunkKey(digestOf(raw))
      if (!(await backend.head(key))) await backend.put(key, frame)
      frames.push(frame)
      chunks.push({
        digest: hexOf(digestOf(raw)),
        size: raw.length,
        ...(early ? {} : { compressedSize: frame.length }),
      })
    }
    const stream = Buffer.concat(frames)
    const digest = digestOf(stream)
    const recipe = {
      layer: hexOf(digestOf(layer)),
      size: layer.length,
      ...(early ? {} : { compressedDigest: hexOf(digest), compressedSize: stream.length }),
      chunks,
    }
    await backend.put(recipeKey(digest), Buffer.from(JSON.stringify(recipe)))
    manifest.layers.push({ mediaType: MEDIA_TYPE.ociLayerZstd, digest, size: stream.length })
  }
  const document = toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)
  await backend.put(manifestKey(reference), document.content)
  return document
}

function encodeFrame(raw: Uint8Array): Uint8Array {
  return zstdCompressSync(raw, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}
