import { Readable } from 'node:stream'
import {
  type Descriptor,
  digestOf,
  type ManifestDocument,
  MEDIA_TYPE,
  toDocument,
} from '@s3lo/core'

/** A blob and what names it. */
export interface Blob {
  readonly descriptor: Descriptor
  readonly content: Uint8Array
}

export function blobOf(
  content: Uint8Array | string,
  mediaType: string = MEDIA_TYPE.ociLayerGzip,
  algorithm: 'sha256' | 'sha512' = 'sha256',
): Blob {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  const digest = digestOf(bytes, algorithm)
  return { descriptor: { mediaType, digest, size: bytes.byteLength }, content: bytes }
}

/** Bytes that differ from one another. */
export function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i += 1) bytes[i] = (i * 31 + (i >> 8)) & 0xff
  return bytes
}

/** A document of the given members. */
export function documentOf(
  members: object,
  mediaType: string = MEDIA_TYPE.ociManifest,
): ManifestDocument {
  const document = { schemaVersion: 2, mediaType, ...members }
  return toDocument(Buffer.from(JSON.stringify(document)), mediaType)
}

export const CONFIG = blobOf('{"architecture":"amd64","os":"linux"}', MEDIA_TYPE.ociConfig)
export const LAYER = blobOf('a layer')
export const IMAGE = documentOf({ config: CONFIG.descriptor, layers: [LAYER.descriptor] })

/** A manifest that refers to `subject`. */
export function referrerOf(subject: Descriptor, type: string): ManifestDocument {
  const { mediaType, digest, size } = subject
  return documentOf({
    artifactType: type,
    config: blobOf('{}', MEDIA_TYPE.ociEmpty).descriptor,
    layers: [],
    subject: { mediaType, digest, size },
    annotations: { note: type },
  })
}

/** Gives the content, anew each time. */
export function opener(content: Uint8Array): () => Promise<Readable> {
  return () => Promise.resolve(Readable.from([content], { objectMode: false }))
}

export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

export async function listOf<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
