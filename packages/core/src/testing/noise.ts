import { createCipheriv, createHash } from 'node:crypto'

/** Bytes that do not compress, the same for one name. */
export function noise(name: string, length: number): Buffer {
  const key = createHash('sha256').update(name).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}
