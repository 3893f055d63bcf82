import { constants, open } from 'node:fs'
import { type FileHandle, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { type ImageSource, isStandardInput, S3loError, type StreamingSource } from '@s3lo/core'
import { openFile, toFileError } from '../file-error.ts'
import { archiveCompression, SNIFF_SIZE } from '../image/compression.ts'
import { TarIndex } from '../tar/tar-index.ts'
import { ArchiveStreamSource, type ArchiveTransport } from './archive-stream-source.ts'

const READ_SIZE = 64 * 1024

/**
 * Opens an archive for random access, or, where it is compressed as a whole, a pipe, or the
 * standard input (`-`), to be read once. Throws `NOT_FOUND`, `INTEGRITY` for what is no tar,
 * `UNSUPPORTED` for a compression that is not read, and `INVALID_REFERENCE` for what is neither a
 * file nor a pipe.
 */
export async function openArchive(
  transport: ArchiveTransport,
  path: string,
  toSource: (archive: TarIndex) => ImageSource,
  signal: AbortSignal | undefined,
): Promise<ImageSource | StreamingSource> {
  const name = `${transport} ${path}`
  const streaming = (source: () => Promise<Readable>): StreamingSource =>
    new ArchiveStreamSource(transport, path, source)
  if (isStandardInput(path)) return streaming(() => standardInput(name))
  if (await isPipe(path, name)) return streaming(() => openPipe(path, name))
  const handle = await openFile(path, name)
  try {
    if ((await compressionOf(handle, name)) === undefined) {
      return toSource(await TarIndex.read(handle, name, { signal }))
    }
  } catch (error) {
    await handle.close()
    throw toFileError(error, name)
  }
  await handle.close()
  return streaming(async () =>
    (await openFile(path, name)).createReadStream({ highWaterMark: READ_SIZE }),
  )
}

async function compressionOf(handle: FileHandle, name: string): Promise<string | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(SNIFF_SIZE), 0, SNIFF_SIZE, 0)
  return archiveCompression(buffer.subarray(0, bytesRead), name)
}

async function standardInput(name: string): Promise<Readable> {
  if (!process.stdin.isTTY) return process.stdin
  throw new S3loError('USAGE', `${name} is a terminal`, {
    hint: 'pipe an archive in, for example docker save IMAGE | s3lo push …',
  })
}

/** A pipe must not be read to find out: what is read from it is gone. */
async function isPipe(path: string, name: string): Promise<boolean> {
  const stats = await stat(path).catch((error: unknown) => {
    throw toFileError(error, name)
  })
  if (stats.isFile() || stats.isFIFO()) return stats.isFIFO()
  if (stats.isDirectory()) {
    throw new S3loError('INVALID_REFERENCE', `${name} is a directory`, {
      hint: `a layout in a directory is oci:${path}`,
    })
  }
  throw new S3loError('INVALID_REFERENCE', `${name} is neither a file nor a pipe`)
}

/** A socket waits for the pipe's writer without keeping a thread, so that it can be interrupted. */
async function openPipe(path: string, name: string): Promise<Readable> {
  try {
    // A number, which the socket owns and closes: a handle would close it a second time.
    const fd = await promisify(open)(path, constants.O_RDONLY | constants.O_NONBLOCK)
    return new Socket({ fd, readable: true, writable: false })
  } catch (error) {
    throw toFileError(error, name)
  }
}
