import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createZstdCompress, zstdCompress, zstdDecompress } from 'node:zlib'
import { type Descriptor, digestOf } from '@s3lo/core'
import { asObject, asString, parseJson, S3loError } from '@s3lo/core/plugin'
import { decodeZtoc } from './ztoc/flatbuffer.ts'
import { type OpenZtoc, openZtoc } from './ztoc/read.ts'

/** A zTOC larger than this is not read (bytes). */
export const MAX_ZTOC_BYTES = 512 * 1024 * 1024

/** What is unpacked at once (bytes): pieces of the default of 16 KiB cost more than the unpacking. */
const UNPACK_BYTES = 2 * 1024 * 1024

/** The first of the frames that every reader of zstd skips (RFC 8878, section 3.1.2). */
const LABEL_MAGIC = 0x184d2a50
const LABEL_START = 8
const MAX_LABEL_BYTES = 4096

/** What a kept zTOC says of itself: of which layer it is, and its own digest. */
export interface KeptLabel {
  readonly layer: string
  readonly ztoc: string
}

/**
 * The form in which a zTOC is kept beside its layer: a label in a frame that zstd skips, then the
 * zTOC in zstd, as most of it is tar content.
 */
export async function packZtoc(content: Uint8Array, layer: string): Promise<Uint8Array> {
  const label = packLabel({ layer, ztoc: digestOf(content) })
  return Buffer.concat([label, await promisify(zstdCompress)(content)])
}

/** As {@link packZtoc} for a zTOC that is read: only the packed bytes are held. Throws what reading throws. */
export async function packZtocStream(
  content: Readable,
  { layer, ztoc }: KeptLabel,
): Promise<Uint8Array> {
  const packed: Uint8Array[] = [packLabel({ layer, ztoc })]
  await pipeline(content, createZstdCompress(), async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) packed.push(chunk)
  })
  return Buffer.concat(packed)
}

/** A zTOC that was kept. */
export interface KeptZtoc {
  readonly opened: OpenZtoc
  /** Of the zTOC itself: its content was checked against it. */
  readonly digest: string
}

/** Opens a zTOC as {@link packZtoc} made it. Throws as {@link unpackKept}. */
export async function openKept(packed: Uint8Array, layer: Descriptor): Promise<KeptZtoc> {
  const { label, content } = await unpackKept(packed, layer.digest)
  return { opened: openLayerZtoc(content, layer), digest: label.ztoc }
}

/** The zTOC itself. Throws `INTEGRITY` where it is not whole, or is labelled as another layer's. */
export async function unpackKept(
  packed: Uint8Array,
  layer: string,
): Promise<{ readonly label: KeptLabel; readonly content: Uint8Array }> {
  const { label, rest } = splitLabel(packed, layer)
  if (label.layer !== layer) throw otherLayer(layer)
  const content = await promisify(zstdDecompress)(rest, {
    chunkSize: UNPACK_BYTES,
    maxOutputLength: MAX_ZTOC_BYTES,
  }).catch((cause: unknown) => {
    throw damaged(layer, cause)
  })
  if (digestOf(content) !== label.ztoc) throw damaged(layer)
  return { label, content }
}

/**
 * Opens the zTOC of a layer. Throws `INTEGRITY` when it is of another one. Details of its entries are
 * read when they are asked for, and may throw then.
 */
export function openLayerZtoc(content: Uint8Array, layer: Descriptor): OpenZtoc {
  const ztoc = decodeZtoc(content, { lazily: true })
  if (ztoc.compressedSize === layer.size) return openZtoc(ztoc)
  throw otherLayer(layer.digest)
}

function packLabel(label: KeptLabel): Uint8Array {
  const text = Buffer.from(JSON.stringify(label))
  const head = Buffer.alloc(LABEL_START)
  head.writeUInt32LE(LABEL_MAGIC, 0)
  head.writeUInt32LE(text.length, 4)
  return Buffer.concat([head, text])
}

function splitLabel(
  packed: Uint8Array,
  layer: string,
): { readonly label: KeptLabel; readonly rest: Uint8Array } {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  const length = bytes.length < LABEL_START ? 0 : bytes.readUInt32LE(4)
  const end = LABEL_START + length
  const isLabelled = length > 0 && length <= MAX_LABEL_BYTES && end <= bytes.length
  if (!isLabelled || bytes.readUInt32LE(0) !== LABEL_MAGIC) throw damaged(layer)
  return { label: parseLabel(bytes.subarray(LABEL_START, end), layer), rest: bytes.subarray(end) }
}

function parseLabel(text: Uint8Array, layer: string): KeptLabel {
  const path = `the label of the index of layer ${layer}`
  const label = asObject(parseJson(text, path), path)
  return {
    layer: asString(label['layer'], `${path}.layer`),
    ztoc: asString(label['ztoc'], `${path}.ztoc`),
  }
}

function damaged(layer: string, cause?: unknown): S3loError {
  const message = `the index that is kept beside layer ${layer} is damaged`
  return new S3loError('INTEGRITY', message, { cause })
}

function otherLayer(layer: string): S3loError {
  return new S3loError('INTEGRITY', `the index of layer ${layer} is another layer's`)
}
