import { pipeline, Readable } from 'node:stream'
import { type Descriptor, verifyDigest } from '@s3lo/core'
import { type ByteRange, type FetchOptions, isS3loError, S3loError } from '@s3lo/core/plugin'
import { ResumableBody, toThrown } from '@s3lo/core/transfer'
import { parseContentLength, parseContentRange } from './content-range.ts'
import type { HttpResponse } from './http.ts'
import { contradiction } from './registry-error.ts'
import type { RepositoryApi } from './repository-api.ts'

/** A stretch of a blob, `end` exclusive. */
type Stretch = Required<Pick<ByteRange, 'start'>> & { readonly end: number }

/**
 * A blob, or a range of it. A connection that breaks is replaced by one that continues at the same
 * byte; the whole is verified while it passes. Throws `NOT_FOUND`, and `UNSUPPORTED` for a layer
 * that registries do not distribute.
 */
export async function openBlob(
  api: RepositoryApi,
  descriptor: Descriptor,
  { range, signal }: FetchOptions = {},
): Promise<Readable> {
  const { size } = descriptor
  const start = Math.min(range?.start ?? 0, size)
  const end = Math.max(start, Math.min(range?.end ?? size, size))
  if (range && start === end) return Readable.from([], { objectMode: false })
  const stretch = { start, end }
  const first = await openStretch(api, descriptor, stretch, signal).catch((error: unknown) => {
    throw explained(toThrown(error), descriptor)
  })
  const body = new ResumableBody(first, {
    ...stretch,
    what: api.nameOf(descriptor),
    requests: api.client.requests,
    signal,
    openRest: (from, rest) => openStretch(api, descriptor, { start: from, end }, rest),
  })
  if (range) return body
  // The verifier carries the outcome of both to its reader.
  return pipeline(body, verifyDigest(descriptor), () => {})
}

async function openStretch(
  api: RepositoryApi,
  descriptor: Descriptor,
  { start, end }: Stretch,
  signal: AbortSignal | undefined,
): Promise<Readable> {
  const isPart = start > 0 || end < descriptor.size
  const response = await api.client.open({
    method: 'GET',
    to: api.pathOf(descriptor),
    what: api.nameOf(descriptor),
    scopes: api.scopes('pull'),
    expect: isPart ? [200, 206] : [200],
    headers: {
      // Content that is compressed on the way would have another digest.
      'accept-encoding': 'identity',
      ...(isPart ? { range: `bytes=${start}-${end - 1}` } : {}),
    },
    signal,
  })
  try {
    return bodyOf(response, descriptor, { start, end }, api.nameOf(descriptor))
  } catch (error) {
    response.body.destroy()
    throw error
  }
}

/** The stretch of an answer that holds it, or holds the whole blob. */
function bodyOf(
  { status, headers, body }: HttpResponse,
  { size }: Descriptor,
  { start, end }: Stretch,
  what: string,
): Readable {
  if (status === 206) {
    const given = parseContentRange(headers.get('content-range'))
    if (given?.start === start && given.end <= end && (given.total ?? size) === size) return body
    throw contradiction(what, 'the registry gives another range than was asked for')
  }
  const length = parseContentLength(headers.get('content-length')) ?? size
  if (length !== size) {
    throw contradiction(what, `the registry gives ${length} bytes instead of ${size}`)
  }
  if (start === 0 && end === size) return body
  // A registry without ranges gives everything; what was not asked for is passed over.
  return Readable.from(slice(body, start, end), { objectMode: false })
}

async function* slice(content: Readable, start: number, end: number): AsyncGenerator<Uint8Array> {
  let position = 0
  for await (const chunk of content as AsyncIterable<Uint8Array>) {
    const from = Math.max(0, start - position)
    const to = Math.min(chunk.byteLength, end - position)
    if (from < to) yield chunk.subarray(from, to)
    position += chunk.byteLength
    if (position >= end) return
  }
}

const NOT_DISTRIBUTED = /\.foreign\.|\.nondistributable\./

function explained(error: unknown, { mediaType, digest }: Descriptor): unknown {
  if (!isS3loError(error, 'NOT_FOUND') || !NOT_DISTRIBUTED.test(mediaType)) return error
  return new S3loError(
    'UNSUPPORTED',
    `layer ${digest} is not in the registry: its licence lets only its maker distribute it`,
    { hint: 'use a platform of the image without such layers', cause: error },
  )
}
