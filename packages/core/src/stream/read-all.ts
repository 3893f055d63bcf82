import type { Readable } from 'node:stream'
import { S3loError } from '../errors.ts'

/** Reads a stream whole, for documents. Throws `INTEGRITY` and destroys it past `limit` bytes. */
export async function readAll(content: Readable, limit: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let received = 0
  try {
    for await (const chunk of content as AsyncIterable<Uint8Array>) {
      received += chunk.byteLength
      if (received > limit)
        throw new S3loError('INTEGRITY', `${what} is larger than ${limit} bytes`)
      chunks.push(chunk)
    }
  } finally {
    content.destroy()
  }
  const [only] = chunks
  return only && chunks.length === 1 ? only : Buffer.concat(chunks, received)
}
