import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { type ImageSource, S3loError, type StreamingSource } from '@s3lo/core'
import { toFileError } from '../file-error.ts'
import { SNIFF_SIZE, sniffForm } from '../image/compression.ts'
import { TarIndex } from '../tar/tar-index.ts'
import { ArchiveStreamSource, type ArchiveTransport } from './archive-stream-source.ts'

const READ_SIZE = 64 * 1024

/**
 * Opens an archive for random access, or, where it is compressed as a whole, a pipe, or `-` for
 * the standard input, to be read once. Throws `NOT_FOUND`, and `INTEGRITY` for what is no tar.
 */
export async function openArchive(
  transport: ArchiveTransport,
  path: string,
  toSource: (archive: TarIndex) => ImageSource,
  signal: AbortSignal | undefined,
): Promise<ImageSource | StreamingSource> {
  if (path === '-')
    return new ArchiveStreamSource(transport, path, () => Promise.resolve(process.stdin))
  const name = `${transport} ${path}`
  if (await isSeekableTar(path, name)) return toSource(await TarIndex.open(path, name, { signal }))
  return new ArchiveStreamSource(transport, path, () =>
    Promise.resolve(createReadStream(path, { highWaterMark: READ_SIZE })),
  )
}

function isDirectory(name: string, path: string): S3loError {
  return new S3loError('INVALID_REFERENCE', `${name} is a directory`, {
    hint: `a layout in a directory is oci:${path}`,
  })
}

/** A pipe must not be opened to find out: what is read from it is gone. */
async function isSeekableTar(path: string, name: string): Promise<boolean> {
  try {
    const stats = await stat(path)
    if (stats.isDirectory()) throw isDirectory(name, path)
    if (!stats.isFile()) return false
    const handle = await open(path)
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(SNIFF_SIZE), 0, SNIFF_SIZE, 0)
      const form = sniffForm(buffer.subarray(0, bytesRead))
      return form !== 'gzip' && form !== 'zstd'
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw toFileError(error, name)
  }
}
