import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  isS3loError,
  type ErrorCode,
  type GetOptions,
  type ObjectInfo,
  type StorageBackend,
} from '@s3lo/core'

export const MEBIBYTE = 1024 * 1024

/** Names that a URL, a shell or a query string would spoil. */
export const SPECIAL_KEYS: readonly string[] = [
  'a b/c d',
  'plus+sign',
  'per%cent',
  'encoded%2Fslash',
  'encoded%20space',
  'amp&ersand=equals?question#hash',
  "quote'and(parens)!~*",
  'colon:and@at,comma;semicolon$dollar',
  'ünï/cödé/日本語/😀',
]

/** Bytes without a pattern, so that a shifted, repeated or missing block is noticed. */
export function bytesOf(size: number, seed = 1): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(size))
}

/** A stream of `content` in pieces of changing length. */
export function streamOf(content: Uint8Array, largest = 100_000): Readable {
  function* pieces(): Generator<Buffer, void> {
    let length = 1
    for (let start = 0; start < content.byteLength; start += length) {
      length = Math.min((length * 7) % 100_003, largest)
      yield Buffer.from(content.subarray(start, start + length))
    }
  }
  return Readable.from(pieces(), { objectMode: false })
}

/** A stream that gives `content` and then never ends. */
export function endlessStream(content: Uint8Array = bytesOf(1000)): Readable {
  let given = false
  return new Readable({
    read(): void {
      if (given) return
      given = true
      this.push(content)
    },
  })
}

/** A stream that gives `content` and then fails with `error`. */
export function failingStream(content: Uint8Array, error: Error): Readable {
  async function* pieces(): AsyncGenerator<Buffer, void> {
    yield Buffer.from(content)
    await Promise.reject(error)
  }
  return Readable.from(pieces(), { objectMode: false })
}

export async function readBody(body: Readable): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function readObject(
  backend: StorageBackend,
  key: string,
  options?: GetOptions,
): Promise<Buffer> {
  return readBody((await backend.get(key, options)).body)
}

export async function assertContent(
  backend: StorageBackend,
  key: string,
  expected: Uint8Array,
): Promise<void> {
  const actual = await readObject(backend, key)
  assert.equal(actual.byteLength, expected.byteLength, `${key} has another length`)
  assert.ok(actual.equals(expected), `${key} has other bytes`)
}

/**
 * The same object by key, size and etag. Dates may differ by rounding (a store answers some
 * requests in whole seconds), and some answers have no storage class.
 */
export function assertSameFacts(
  actual: ObjectInfo | undefined,
  expected: ObjectInfo | undefined,
): void {
  assert.ok(actual !== undefined && expected !== undefined, 'there are no facts')
  const { key, size, etag } = expected
  assert.deepEqual({ key: actual.key, size: actual.size, etag: actual.etag }, { key, size, etag })
  const apart = Math.abs(actual.lastModified.getTime() - expected.lastModified.getTime())
  assert.ok(apart < 2000, `the dates are ${apart} ms apart`)
}

export async function assertMissing(backend: StorageBackend, key: string): Promise<void> {
  assert.equal(await backend.head(key), undefined, `${key} must not exist`)
  assert.deepEqual(await keysOf(backend, key), [], `${key} must not be listed`)
}

export async function assertRejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error = await rejection(promise)
  assert.ok(isS3loError(error), `expected ${code}, got ${String(error)}`)
  assert.equal(error.code, code, error.message)
}

/** The error that `promise` rejects with; fails when it does not, or not within a second. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, 1000, 'late')
  })
  try {
    const outcome = await Promise.race([promise.then(() => 'resolved' as const), late])
    assert.equal(outcome, 'rejected', 'the call must reject within a second')
  } catch (error) {
    if (!(error instanceof assert.AssertionError)) return error
    throw error
  } finally {
    clearTimeout(timer)
  }
  return undefined
}

export async function infosOf(
  backend: StorageBackend,
  prefix: string,
  startAfter?: string,
): Promise<ObjectInfo[]> {
  const infos: ObjectInfo[] = []
  for await (const info of backend.list(prefix, { startAfter })) infos.push(info)
  return infos
}

export async function keysOf(
  backend: StorageBackend,
  prefix: string,
  startAfter?: string,
): Promise<string[]> {
  return (await infosOf(backend, prefix, startAfter)).map(({ key }) => key)
}

export async function prefixesOf(backend: StorageBackend, prefix: string): Promise<string[]> {
  const prefixes: string[] = []
  for await (const found of backend.listPrefixes(prefix)) prefixes.push(found)
  return prefixes
}

/** Puts an object of a few bytes at every key, a bounded number at once. */
export async function putAll(backend: StorageBackend, keys: readonly string[]): Promise<void> {
  const waiting = keys.values()
  const work = async (): Promise<void> => {
    for (const key of waiting) await backend.put(key, Buffer.from(key))
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

/** More keys than one page of any store holds. */
export function manyKeys(folder: string): string[] {
  return Array.from({ length: 1100 }, (_, index) => `${folder}${String(index).padStart(4, '0')}`)
}
