import type { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { isS3loError, S3loError } from '@s3lo/core'
import { systemCode } from '../file-error.ts'
import { pipelined } from './pipelined.ts'

/** What comes out of compressed content. Throws `INTEGRITY` where it is damaged or cut short. */
export async function* decompress(
  content: Readable,
  form: 'gzip' | 'zstd',
  name: string,
): AsyncGenerator<Buffer> {
  const decompressor = form === 'gzip' ? createGunzip() : createZstdDecompress()
  try {
    yield* pipelined(content, decompressor) as AsyncIterable<Buffer>
  } catch (error) {
    const code = systemCode(error) ?? ''
    if (isS3loError(error) || !/^(?:Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code)) throw error
    throw new S3loError('INTEGRITY', `${name} cannot be decompressed`, { cause: error })
  }
}
