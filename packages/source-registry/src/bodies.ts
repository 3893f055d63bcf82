import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { readAll } from '@s3lo/core'
import type { Attempt } from '@s3lo/core/transfer'
import type { HttpResponse } from './http.ts'
import { contradiction, MAX_ERROR_BYTES } from './registry-error.ts'

/** Bytes of a body between two signs of progress. */
const SLICE = 64 * 1024
/** Milliseconds for the body of an error: its status says the most. */
const ERROR_BODY_MS = 10_000

/** What a request sends. */
export interface Outgoing {
  readonly body?: Uint8Array | undefined
  readonly stream?: { readonly content: Readable; readonly size: number } | undefined
}

/** A body as far as errors are read; read to its end, its connection can be used again. */
export async function readShort(response: HttpResponse, what: string): Promise<Uint8Array> {
  const { body } = response
  const timer = setTimeout(() => body.destroy(), ERROR_BODY_MS)
  try {
    return await decoded(
      response,
      await readAll(body, MAX_ERROR_BYTES, what),
      MAX_ERROR_BYTES,
      what,
    )
  } catch {
    return new Uint8Array() // The status says enough; a body that cannot be read changes nothing.
  } finally {
    clearTimeout(timer)
  }
}

/** A whole document of at most `limit` bytes; bytes that come too slowly are no progress. */
export async function readDocument(
  response: HttpResponse,
  limit: number,
  what: string,
  { received }: Attempt,
): Promise<Uint8Array> {
  const { body } = response
  body.on('data', (chunk: Uint8Array) => received(chunk.byteLength))
  return decoded(response, await readAll(body, limit, what), limit, what)
}

type Decoder = (content: Uint8Array, options: { maxOutputLength: number }) => Promise<Uint8Array>

/** Loaded with its first use: few answers are compressed. */
function decoderOf(encoding: string): Decoder | undefined {
  const { brotliDecompress, gunzip, inflate } = process.getBuiltinModule('node:zlib')
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return promisify(gunzip)
    case 'deflate':
      return promisify(inflate)
    case 'br':
      return promisify(brotliDecompress)
    default:
      return undefined
  }
}

/** A body without the compression that a proxy or a store of documents has put around it, unasked. */
async function decoded(
  { headers }: HttpResponse,
  content: Uint8Array,
  limit: number,
  what: string,
): Promise<Uint8Array> {
  const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? ''
  // The answer to a HEAD names the encoding of what it does not have.
  const decode = encoding === '' || content.byteLength === 0 ? undefined : decoderOf(encoding)
  if (!decode) return content
  try {
    return await decode(content, { maxOutputLength: limit })
  } catch {
    throw contradiction(what, `expected at most ${limit} bytes as ${encoding}, got something else`)
  }
}

/** What is sent, in slices that put a stall off as they leave; `onSent` runs after the last one. */
export function outgoingBody(
  { body, stream }: Outgoing,
  progress: () => void,
  onSent: () => void,
): Uint8Array | Readable | undefined {
  const send = (chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Readable =>
    Readable.from(reported(chunks, progress, onSent), { objectMode: false })
  if (stream) return send(stream.content as AsyncIterable<Uint8Array>)
  return body === undefined || body.byteLength <= SLICE ? body : send([body])
}

async function* reported(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  progress: () => void,
  onSent: () => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (const slice of slices(chunk)) {
      progress()
      yield slice
    }
  }
  onSent()
}

function* slices(body: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < body.byteLength; start += SLICE) {
    yield body.subarray(start, start + SLICE)
  }
}
