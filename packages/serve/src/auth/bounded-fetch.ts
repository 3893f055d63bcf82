import { S3loError } from '@s3lo/core'
import { isLoopbackName } from '../request/loopback.ts'

/** The largest document of an issuer that is read (bytes). */
const MAX_BYTES = 512 * 1024

/** Until the whole answer is there (milliseconds). */
const TIMEOUT = 5_000

export type Fetch = typeof globalThis.fetch

/**
 * Reads a document of JSON from an address that the configuration names: over TLS or from this
 * machine, without redirects, in bounded time and memory. Throws `UNAVAILABLE`.
 */
export async function fetchDocument(address: string, fetch: Fetch): Promise<unknown> {
  const failed = (problem: string, cause?: unknown): S3loError =>
    new S3loError('UNAVAILABLE', `${address}: ${problem}`, { cause })
  try {
    const response = await fetch(address, {
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT),
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw failed(`expected status 200, got ${response.status}`)
    }
    return JSON.parse(await readText(response))
  } catch (error) {
    throw error instanceof S3loError ? error : failed('no document could be read', error)
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.byteLength
    if (size > MAX_BYTES) throw new S3loError('UNAVAILABLE', `more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** True for an address whose answers cannot be forged on their way: TLS, or this machine itself. */
export function isTrustworthyAddress(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { protocol, hostname, username, password } = new URL(address)
  if (username !== '' || password !== '') return false
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname))
}
