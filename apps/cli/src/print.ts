import type { Writable } from 'node:stream'
import { S3loError } from '@s3lo/core/plugin'

/**
 * Writes to a stream and waits until it is taken. A reader that has left (`| head`) is no failure
 * and gives false. Throws `IO` for anything else, such as a full disk.
 */
export async function print(stream: Writable, text: string | Buffer): Promise<boolean> {
  if (text.length === 0) return true
  try {
    await write(stream, text)
    return true
  } catch (error) {
    if (isReaderGone(error)) return false
    throw new S3loError(
      'IO',
      `cannot write the output: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}

function write(stream: Writable, text: string | Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('error', reject)
    stream.write(text, (error) => {
      if (error) return reject(error)
      stream.off('error', reject)
      resolve()
    })
  })
}

/** True where the reader of a pipe of ours has left, also as the cause of an error. */
export function isReaderGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? error.code : undefined
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED' || isReaderGone(error.cause)
}
