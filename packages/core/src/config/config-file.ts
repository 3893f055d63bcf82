import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import { type BucketConfig, MAX_BUCKET_CONFIG_BYTES, parseBucketConfig } from './bucket-config.ts'

/**
 * Reads rules from a file of this machine, in the format of `s3lo.yaml`. Throws `NOT_FOUND`,
 * `INTEGRITY` naming the line and the key that is wrong, `IO` for what cannot be read.
 */
export async function loadConfigFile(path: string, options?: CallOptions): Promise<BucketConfig> {
  return parseBucketConfig(await readLocalFile(path, MAX_BUCKET_CONFIG_BYTES, options), path)
}

/** A small file's bytes. Throws `NOT_FOUND`, `IO`, and `INTEGRITY` past `limit` bytes. */
export async function readLocalFile(
  path: string,
  limit: number,
  { signal }: CallOptions = {},
): Promise<Uint8Array> {
  signal?.throwIfAborted()
  const { open } = await import('node:fs/promises')
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  try {
    // One byte more than allowed tells a file that is too long, even one that has no length.
    const buffer = Buffer.alloc(limit + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      signal?.throwIfAborted()
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      read = bytesRead
    }
    if (length > limit) throw new S3loError('INTEGRITY', `${path} is larger than ${limit} bytes`)
    return Uint8Array.from(buffer.subarray(0, length))
  } catch (error) {
    if (error instanceof S3loError || signal?.aborted === true) throw error
    throw unreadable(path, error)
  } finally {
    await file.close()
  }
}

function unreadable(path: string, cause: unknown): S3loError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT') return new S3loError('NOT_FOUND', `file ${path} does not exist`, { cause })
  const reason = typeof code === 'string' ? code : String(cause)
  return new S3loError('IO', `file ${path} cannot be read: ${reason}`, { cause })
}
