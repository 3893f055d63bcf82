import { IncomingMessage } from 'node:http'
import { Readable, Transform } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { answerOf } from '../gc/participant.ts'
import {
  isUploadId,
  MAX_UPLOAD_OFFSET,
  offsetKey,
  offsetsPrefix,
  parseUploadKey,
  pieceKey,
} from '../layout/upload-keys.ts'
import { type DigestAlgorithm, Digester, isDigest } from '../oci/digest.ts'
import { asObject, asSize, asString, optional, parseJson } from '../oci/json.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { recyclable } from '../stream/recycle.ts'
import { pipeThrough } from '../stream/verify-digest.ts'
import { listKeys } from './list-keys.ts'
import { readObject } from './read-object.ts'
import { tooLarge } from './upload-contract.ts'

/** The most pieces that one upload is sent in. */
const MAX_PIECES = 10_000

const MAX_DOCUMENT_BYTES = 4096
const READS_AT_ONCE = 16

/** Some bytes of an upload, and where they are: what the object of their offset says. */
export interface Piece {
  /** Where it begins (bytes). */
  readonly offset: number
  /** How many come before it. */
  readonly index: number
  /** The id in its key. */
  readonly id: string
  /** Bytes, never 0. */
  readonly size: number
  readonly etag: string
  /** Of these bytes alone, by each algorithm that they were hashed with. */
  readonly digests: readonly string[]
  /** The digest that the upload was to be finished with, where this piece came with that request. */
  readonly finishes?: string | undefined
}

/** Where the next piece of an upload begins. */
export interface UploadEnd {
  readonly offset: number
  /** Pieces so far. */
  readonly count: number
  readonly last: Piece | undefined
}

export const EMPTY_UPLOAD: UploadEnd = { offset: 0, count: 0, last: undefined }

/** The present end of an upload. One listing, and one read where there is a piece after `known`. */
export async function readEnd(
  backend: StorageBackend,
  id: string,
  known: UploadEnd,
  options: CallOptions,
): Promise<UploadEnd> {
  const startAfter = known.last && offsetKey(id, known.last.offset)
  let last: number | undefined
  for await (const key of listKeys(backend, offsetsPrefix(id), { ...options, startAfter })) {
    const parsed = parseUploadKey(key)
    if (parsed?.kind === 'offset') last = parsed.offset
  }
  if (last === undefined) return known
  const piece = await readPiece(backend, id, last, options)
  // Removed since it was listed: the upload was ended.
  return piece ? endOf(piece) : EMPTY_UPLOAD
}

function endOf(piece: Piece): UploadEnd {
  return { offset: piece.offset + piece.size, count: piece.index + 1, last: piece }
}

/** Every piece of an upload, in order. Throws `INTEGRITY` where one is missing between others. */
export async function readPieces(
  backend: StorageBackend,
  id: string,
  { count, last }: UploadEnd,
  { signal }: CallOptions,
): Promise<readonly Piece[]> {
  if (count === 1 && last?.offset === 0) return [last]
  const offsets: number[] = []
  for await (const key of listKeys(backend, offsetsPrefix(id), { signal })) {
    const parsed = parseUploadKey(key)
    if (parsed?.kind === 'offset') offsets.push(parsed.offset)
    if (offsets.length > MAX_PIECES) throw tooMany()
  }
  const pieces: Piece[] = []
  await forEachConcurrent(
    offsets.entries(),
    READS_AT_ONCE,
    async ([index, offset], inner) => {
      const piece = await readPiece(backend, id, offset, { signal: inner })
      if (piece) pieces[index] = piece
    },
    signal,
  )
  let end = 0
  for (const index of offsets.keys()) {
    const piece = pieces[index]
    if (!piece) throw new S3loError('NOT_FOUND', 'the upload was ended meanwhile')
    if (piece.offset !== end) throw torn(offsetKey(id, piece.offset))
    end += piece.size
  }
  return pieces
}

/** The bytes of pieces, one after the other. Destroying it lets go of what is open. */
export function openPieces(
  backend: StorageBackend,
  id: string,
  pieces: readonly Piece[],
  options: CallOptions,
): Readable {
  return Readable.from(
    (async function* () {
      for (const piece of pieces) {
        const { body } = await backend.get(pieceKey(id, piece.id), options)
        try {
          yield* body as AsyncIterable<Uint8Array>
        } finally {
          body.destroy()
        }
      }
    })(),
    { objectMode: false },
  )
}

/** What a piece is written with. */
export interface WritePieceOptions extends CallOptions {
  readonly algorithms: readonly DigestAlgorithm[]
  /** Bytes, when known. */
  readonly size: number | undefined
  /** Bytes of the whole upload. */
  readonly maxBytes: number
  /** Makes the object of the piece's offset; false where there is one already. */
  readonly claim: (key: string, content: Uint8Array) => Promise<boolean>
  /** See `Piece.finishes`. */
  readonly finishes?: string | undefined
}

/**
 * Writes bytes and then their place at the end of an upload, so that bytes that break off are never
 * a part of it. `undefined` where another piece took the place; an end that has not moved, for no bytes.
 */
export async function writePiece(
  backend: StorageBackend,
  id: string,
  end: UploadEnd,
  body: Readable,
  { algorithms, size, maxBytes, claim, finishes, signal }: WritePieceOptions,
): Promise<UploadEnd | undefined> {
  if (end.count >= MAX_PIECES) throw tooMany()
  const left = maxBytes - end.offset
  if (size !== undefined && size > left) throw tooLarge(maxBytes)
  const pieceId = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
  const key = pieceKey(id, pieceId)
  const hashed = hashing(body, algorithms, (bytes) => (bytes > left ? tooLarge(maxBytes) : null))
  const { size: written, etag } = await backend.put(key, hashed.stream, {
    signal,
    size,
    mediaType: MEDIA_TYPE.octetStream,
    storageClass: 'tiered',
  })
  if (written === 0) {
    await backend.delete([key])
    return end
  }
  const { offset, count: index } = end
  const digests = hashed.digests()
  const piece = { offset, index, id: pieceId, size: written, etag, digests, finishes }
  let isClaimed = false
  try {
    isClaimed = await claim(offsetKey(id, offset), encodePiece(piece))
  } catch (error) {
    // Its place may have been taken all the same: then the piece has to stay.
    if (answerOf(error) === 'refused') await backend.delete([key])
    throw error
  }
  if (isClaimed) return endOf(piece)
  await backend.delete([key])
  return undefined
}

/** The piece that begins at an offset; `undefined` when there is none. Throws `INTEGRITY`. */
async function readPiece(
  backend: StorageBackend,
  id: string,
  offset: number,
  options: CallOptions,
): Promise<Piece | undefined> {
  const key = offsetKey(id, offset)
  const content = await readObject(backend, key, MAX_DOCUMENT_BYTES, options)
  return content && parsePiece(content, key, offset)
}

function encodePiece({ id, index, size, etag, digests, finishes }: Piece): Uint8Array {
  const document = { v: 1, piece: id, index, size, etag, digests, finishes }
  return new TextEncoder().encode(JSON.stringify(document))
}

function parsePiece(content: Uint8Array, key: string, offset: number): Piece {
  const document = asObject(parseJson(content, key), key)
  const id = asString(document['piece'], `${key}.piece`)
  const index = asSize(document['index'], `${key}.index`)
  const size = asSize(document['size'], `${key}.size`)
  const { digests } = document
  const isRight =
    document['v'] === 1 &&
    isUploadId(id) &&
    size > 0 &&
    offset + size <= MAX_UPLOAD_OFFSET &&
    Array.isArray(digests) &&
    digests.every((digest) => typeof digest === 'string' && isDigest(digest))
  if (!isRight) throw torn(key)
  const etag = asString(document['etag'], `${key}.etag`)
  const finishes = optional(document, 'finishes', key, asString)
  return { offset, index, id, size, etag, digests, finishes }
}

/** Content, hashed while it passes. `refuse` gives the error for so many bytes, or `null`. */
function hashing(
  body: Readable,
  algorithms: readonly DigestAlgorithm[],
  refuse: (bytes: number) => Error | null,
): { readonly stream: Readable; readonly digests: () => readonly string[] } {
  const digesters = algorithms.map((algorithm) => new Digester(algorithm))
  const isParsed = body instanceof IncomingMessage
  let bytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.byteLength
      for (const digester of digesters) digester.update(chunk)
      done(refuse(bytes), isParsed ? recyclable(chunk) : chunk)
    },
  })
  return {
    stream: pipeThrough(body, stream),
    digests: () => digesters.map((digester) => digester.digest()),
  }
}

function torn(key: string): S3loError {
  return new S3loError('INTEGRITY', `${key} is not the place of a piece of an upload`, {
    hint: 'start the upload again',
  })
}

function tooMany(): S3loError {
  return new S3loError('UNSUPPORTED', `an upload is sent in ${MAX_PIECES} pieces at most`, {
    hint: 'send larger pieces',
  })
}
