import { type Readable, Transform } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { continuesCover } from '../gc/steps.ts'
import { blobKey } from '../layout/keys.ts'
import { pieceKey } from '../layout/upload-keys.ts'
import { parseDigest } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { pipeThrough, verified } from '../stream/verify-digest.ts'
import type { Links } from './links.ts'
import { tooLarge, type UploadBodyOptions, type UploadName } from './upload-contract.ts'
import { openPieces, type Piece, readPieces, type UploadEnd } from './upload-pieces.ts'

/** Makes what was sent a blob of a repository: under a link, and never before its digest is known. */
export class UploadAssembler {
  readonly #backend: StorageBackend
  readonly #links: Links
  readonly #maxBytes: number

  constructor(backend: StorageBackend, links: Links, maxBytes: number) {
    this.#backend = backend
    this.#links = links
    this.#maxBytes = maxBytes
  }

  /** Of a body, which is left as it is while a collector may delete the blob. Throws `INTEGRITY` for other bytes. */
  async putBlob(
    repository: string,
    digest: string,
    body: Readable,
    { size, signal }: UploadBodyOptions,
  ): Promise<void> {
    handleErrors(body)
    if (size !== undefined && size > this.#maxBytes) throw tooLarge(this.#maxBytes)
    const held = await this.#links.hold(repository, digest, { signal })
    const bounded = size === undefined ? atMost(body, this.#maxBytes) : body
    await this.#put(digest, verified(bounded, { digest, size }), { size, signal })
    await this.#prove(repository, digest, held, { signal })
  }

  /**
   * Of pieces: the one whose digest is known becomes the blob inside the store, others pass the verifier.
   * Throws `INTEGRITY` for bytes of another digest, which are looked at twice: what the store has may have
   * been damaged on its way, and the upload ends with the error.
   */
  async assemble(
    upload: UploadName,
    digest: string,
    end: UploadEnd,
    options: CallOptions,
  ): Promise<void> {
    try {
      await this.#assemble(upload, digest, end, options)
    } catch (error) {
      if (!isS3loError(error, 'INTEGRITY')) throw error
      await this.#assemble(upload, digest, end, options)
    }
  }

  async #assemble(
    { repository, id }: UploadName,
    digest: string,
    end: UploadEnd,
    { signal }: CallOptions,
  ): Promise<void> {
    const pieces = await readPieces(this.#backend, id, end, { signal })
    const [only] = pieces
    const isProven = pieces.length === 1 && only !== undefined && isSame(only, digest)
    const held = await this.#links.hold(repository, digest, { isProven, signal })
    const placed = isProven ? await this.#place(id, only, digest, { signal }) : undefined
    const info = placed ?? (await this.#join(id, digest, pieces, { signal }))
    const isHeld = isProven && continuesCover({ expires: held }, info.lastModified.getTime())
    if (!isHeld) await this.#prove(repository, digest, held, { signal })
  }

  async #join(
    id: string,
    digest: string,
    pieces: readonly Piece[],
    { signal }: CallOptions,
  ): Promise<ObjectInfo> {
    const size = pieces.reduce((bytes, piece) => bytes + piece.size, 0)
    const content = openPieces(this.#backend, id, pieces, { signal })
    return this.#put(digest, verified(content, { digest, size }), { size, signal })
  }

  /** A blob that was written after its link had ended may be gone again. Throws `UNAVAILABLE` then. */
  async #prove(
    repository: string,
    digest: string,
    held: number,
    options: CallOptions,
  ): Promise<void> {
    if (await this.#links.prove(repository, digest, held, options)) return
    if (await this.#backend.head(blobKey(digest), options)) return
    throw new S3loError('UNAVAILABLE', `${digest} was collected before its upload had ended`, {
      hint: 'send it again',
    })
  }

  /** `undefined` where the store cannot move or copy the piece as it was when it was hashed. */
  async #place(
    id: string,
    { id: piece, size, etag }: Piece,
    digest: string,
    { signal }: CallOptions,
  ): Promise<ObjectInfo | undefined> {
    const [from, to] = [pieceKey(id, piece), blobKey(digest)]
    const options = { signal, sourceEtag: etag }
    try {
      const placed: ObjectInfo | undefined =
        (await this.#backend.move?.(from, to, options)) ??
        (await this.#backend.copyFrom?.(this.#backend, from, to, options))
      return placed?.size === size ? placed : undefined
    } catch (error) {
      if (isS3loError(error, 'CONFLICT')) return undefined
      throw error
    }
  }

  async #put(
    digest: string,
    content: Readable,
    { size, signal }: UploadBodyOptions,
  ): Promise<ObjectInfo> {
    return this.#backend.put(blobKey(digest), content, {
      signal,
      size,
      digest,
      mediaType: MEDIA_TYPE.octetStream,
      storageClass: 'tiered',
    })
  }
}

/** True when the bytes of a piece have the digest, false where that is not known. Throws `INTEGRITY`. */
function isSame({ digests }: Piece, digest: string): boolean {
  const { algorithm } = parseDigest(digest)
  const known = digests.find((each) => each.startsWith(`${algorithm}:`))
  if (known === undefined || known === digest) return known !== undefined
  throw new S3loError('INTEGRITY', `expected ${digest}, got ${known}`)
}

/** A body of unknown length, which fails once it is longer than a blob may be. */
function atMost(body: Readable, maxBytes: number): Readable {
  let bytes = 0
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.byteLength
      done(bytes > maxBytes ? tooLarge(maxBytes) : null, chunk)
    },
  })
  return pipeThrough(body, bounded)
}

/** A body may fail before it is read; its reader gets the error then. */
export function handleErrors(body: Readable): void {
  body.on('error', () => {})
}
