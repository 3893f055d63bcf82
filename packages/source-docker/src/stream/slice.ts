import { Readable } from 'node:stream'
import type { ByteRange } from '@s3lo/core'

/** A stretch of bytes at hand, as a stream. */
export function slice(content: Uint8Array, range?: ByteRange): Readable {
  return Readable.from([content.subarray(range?.start ?? 0, range?.end)], { objectMode: false })
}
