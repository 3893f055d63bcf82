import type { Readable } from 'node:stream'
import { type CallOptions, S3loError } from '@s3lo/core'
import { abortable } from '../stream/abortable.ts'
import { endOfArchive, formatFileHeader, padding } from './header.ts'

/** A regular file to be written. Its content is opened when its turn comes. */
export interface TarFile {
  readonly name: string
  /** Bytes; content of another length is an `INTEGRITY` error. */
  readonly size: number
  open(): Promise<Readable | Uint8Array>
}

/** A file whose content is at hand. */
export function inMemory(name: string, content: Uint8Array): TarFile {
  return { name, size: content.byteLength, open: () => Promise.resolve(content) }
}

/** The bytes of a tar archive with these files: equal files give equal bytes. */
export async function* writeTar(
  files: Iterable<TarFile> | AsyncIterable<TarFile>,
  { signal }: CallOptions = {},
): AsyncGenerator<Uint8Array> {
  for await (const file of files) {
    yield formatFileHeader(file.name, file.size)
    yield* exactly(file, signal)
    yield padding(file.size)
  }
  yield endOfArchive()
}

async function* exactly(
  file: TarFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const { name, size } = file
  const content = await file.open()
  let written = 0
  for await (const chunk of content instanceof Uint8Array
    ? [content]
    : readBytes(abortable(content, signal))) {
    written += chunk.byteLength
    if (written > size) break
    yield chunk
  }
  if (written === size) return
  throw new S3loError('INTEGRITY', `${name} has not the ${size} bytes that were announced`)
}

function readBytes(content: Readable): AsyncIterable<Uint8Array> {
  return content as AsyncIterable<Uint8Array>
}
