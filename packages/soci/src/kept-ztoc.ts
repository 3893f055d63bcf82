import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createZstdCompress, zstdCompress, zstdDecompress } from 'node:zlib'
import { type Descriptor } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { decodeZtoc } from './ztoc/flatbuffer.ts'
import { type OpenZtoc, openZtoc } from './ztoc/read.ts'

/** A zTOC larger than this is not read (bytes). */
export const MAX_ZTOC_BYTES = 512 * 1024 * 1024

/** The form in which a zTOC is kept beside its layer: compressed, as most of it is tar content. */
export async function packZtoc(content: Uint8Array): Promise<Uint8Array> {
  return promisify(zstdCompress)(content)
}

/** The same of a zTOC that is read, of which only the packed bytes are held. Throws what reading throws. */
export async function packZtocStream(content: Readable): Promise<Uint8Array> {
  const packed: Uint8Array[] = []
  await pipeline(content, createZstdCompress(), async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) packed.push(chunk)
  })
  return Buffer.concat(packed)
}

/** A zTOC as {@link packZtoc} made it, checked against the layer. Throws `INTEGRITY`. */
export async function unpackZtoc(packed: Uint8Array, layer: Descriptor): Promise<OpenZtoc> {
  const unpacked = await promisify(zstdDecompress)(packed, {
    maxOutputLength: MAX_ZTOC_BYTES,
  }).catch((cause: unknown) => {
    throw new S3loError('INTEGRITY', `the index of layer ${layer.digest} is damaged`, { cause })
  })
  return openLayerZtoc(unpacked, layer)
}

/** Opens the zTOC of a layer. Throws `INTEGRITY` when it is of another one. */
export function openLayerZtoc(content: Uint8Array, { digest, size }: Descriptor): OpenZtoc {
  const ztoc = decodeZtoc(content)
  if (ztoc.compressedSize === size) return openZtoc(ztoc)
  throw new S3loError('INTEGRITY', `the index of layer ${digest} is of another layer`)
}
