import type { Readable } from 'node:stream'
import { S3loError } from '../errors.ts'
import { HeldContent } from './held-content.ts'

/** Reads a stream whole, for documents. Throws `INTEGRITY` and destroys it past `limit` bytes. */
export async function readAll(content: Readable, limit: number, what: string): Promise<Uint8Array> {
  const held = content instanceof HeldContent ? content.whole() : undefined
  if (held) {
    assertWithin(held.byteLength, limit, what)
    return held
  }
  const chunks: Uint8Array[] = []
  let received = 0
  try {
    for await (const chunk of content as AsyncIterable<Uint8Array>) {
      received += chunk.byteLength
      assertWithin(received, limit, what)
      chunks.push(chunk)
    }
  } finally {
    content.destroy()
  }
  const [only] = chunks
  return only && chunks.length === 1 ? only : Buffer.concat(chunks, received)
}

function assertWithin(bytes: number, limit: number, what: string): void {
  if (bytes > limit) throw new S3loError('INTEGRITY', `${what} is larger than ${limit} bytes`)
}
