import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { PutOptions, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { blobKey } from '../layout/keys.ts'
import { assertRepository } from '../layout/repository-keys.ts'
import {
  isUploadId,
  MAX_UPLOAD_OFFSET,
  parseUploadKey,
  sessionKey,
  uploadPrefix,
} from '../layout/upload-keys.ts'
import { parseDigest } from '../oci/digest.ts'
import { provenGuarantees } from './guarantees.ts'
import { Links } from './links.ts'
import { listKeys } from './list-keys.ts'
import { readObject } from './read-object.ts'
import { handleErrors, UploadAssembler } from './upload-blob.ts'
import type {
  AppendResult,
  BeginUploadOptions,
  FinishResult,
  FinishUploadOptions,
  UploadBodyOptions,
  UploadName,
  Uploads,
  UploadsOptions,
  UploadStatus,
} from './upload-contract.ts'
import { EMPTY_UPLOAD, type Piece, readEnd, type UploadEnd, writePiece } from './upload-pieces.ts'
import { encodeSession, readSession, type Session, unknownUpload } from './upload-session.ts'
import { RecentMap } from './recent-map.ts'

/** Uploads into a store. */
export function openUploads(backend: StorageBackend, options: UploadsOptions = {}): Uploads {
  return new StoreUploads(backend, options)
}

/** What is kept of an upload that this process has seen: a hint that saves listing it from its start. */
const MAX_REMEMBERED = 10_000
const KEYS_PER_REQUEST = 1000

interface OpenUpload {
  readonly session: Session
  readonly end: UploadEnd
}

class StoreUploads implements Uploads {
  readonly #backend: StorageBackend
  readonly #maxBytes: number
  readonly #links: Links
  readonly #assembler: UploadAssembler
  readonly #ends = new RecentMap<string, UploadEnd>(MAX_REMEMBERED)
  /** Named in sessions of a store without create-only writes, which only this object can continue. */
  readonly #holder = newId()
  /** Places that are being taken, there. */
  readonly #claims = new Set<string>()

  constructor(
    backend: StorageBackend,
    { maxBytes = MAX_UPLOAD_OFFSET, ...options }: UploadsOptions,
  ) {
    this.#backend = backend
    this.#maxBytes = Math.min(maxBytes, MAX_UPLOAD_OFFSET)
    this.#links = new Links(backend, options)
    this.#assembler = new UploadAssembler(backend, this.#links, this.#maxBytes)
  }

  async begin(
    repository: string,
    { algorithm, signal }: BeginUploadOptions = {},
  ): Promise<UploadStatus> {
    assertRepository(repository)
    const id = newId()
    const { createOnly } = await provenGuarantees(this.#backend, { signal })
    const content = encodeSession({
      repository,
      algorithms: algorithm === 'sha512' ? ['sha256', 'sha512'] : ['sha256'],
      holder: createOnly ? undefined : this.#holder,
    })
    await this.#backend.put(sessionKey(id), content, {
      signal,
      size: content.byteLength,
      mediaType: 'application/json',
    })
    return { repository, id, offset: 0 }
  }

  async append(
    upload: UploadName,
    offset: number | undefined,
    body: Readable,
    { size, signal }: UploadBodyOptions = {},
  ): Promise<AppendResult> {
    handleErrors(body)
    const found = await this.#find(upload, { signal })
    if (!found) throw unknownUpload(upload)
    const { session, end } = found
    if (offset !== undefined && offset !== end.offset) return outOfOrder(end)
    const added = await this.#append(upload.id, session, end, body, { size, signal })
    if (!added) return outOfOrder(await this.#end(upload.id, { signal }))
    return { kind: 'appended', offset: added.offset }
  }

  async status(
    upload: UploadName,
    { signal }: CallOptions = {},
  ): Promise<UploadStatus | undefined> {
    const found = await this.#find(upload, { signal })
    const { repository, id } = upload
    return found && { repository, id, offset: found.end.offset }
  }

  async finish(
    upload: UploadName,
    digest: string,
    { body, offset, size, signal }: FinishUploadOptions = {},
  ): Promise<FinishResult> {
    parseDigest(digest)
    if (body) handleErrors(body)
    const found = await this.#find(upload, { signal })
    if (!found) return this.#finished(upload, digest, { signal })
    const { session, end } = found
    if (offset !== undefined && offset !== end.offset) return outOfOrder(end)
    if (end.count === 0) {
      const { repository, id } = upload
      const store = (): Promise<void> =>
        this.putBlob(repository, digest, body ?? Readable.from([]), { size, signal })
      return this.#store(upload, digest, store, { signal }, [sessionKey(id)])
    }
    // A body without an offset comes again where the store failed after it had been taken.
    const isRepeated = offset === undefined && end.last?.finishes === digest
    const whole =
      body && !isRepeated
        ? await this.#append(upload.id, session, end, body, { size, finishes: digest, signal })
        : end
    if (!whole) return outOfOrder(await this.#end(upload.id, { signal }))
    const store = (): Promise<void> => this.#assembler.assemble(upload, digest, whole, { signal })
    return this.#store(upload, digest, store, { signal })
  }

  async cancel(upload: UploadName, { signal }: CallOptions = {}): Promise<boolean> {
    if (!(await this.#find(upload, { signal }))) return false
    await this.#remove(upload.id)
    return true
  }

  async putBlob(
    repository: string,
    digest: string,
    body: Readable,
    { size, signal }: UploadBodyOptions = {},
  ): Promise<void> {
    await this.#assembler.putBlob(repository, digest, body, { size, signal })
  }

  /** Stores the blob and ends the session, also where its bytes are wrong. */
  async #store(
    upload: UploadName,
    digest: string,
    store: () => Promise<void>,
    { signal }: CallOptions,
    known?: readonly string[],
  ): Promise<FinishResult> {
    try {
      await store()
    } catch (error) {
      const isWrong = isS3loError(error, 'INTEGRITY') && error.contentFault
      if (!isWrong && !isS3loError(error, 'NOT_FOUND')) throw error
      // Where another request has ended the session meanwhile, pieces were missing.
      const isOver = !(await readSession(this.#backend, upload, { signal }))
      if (isOver) return this.#finished(upload, digest, { signal })
      // A finish that was interrupted may have moved the piece to the blob's key.
      const finished = isWrong ? undefined : await this.#finished(upload, digest, { signal })
      await this.#tidy(upload.id, known)
      if (finished) return finished
      throw error
    }
    await this.#tidy(upload.id, known)
    return { kind: 'stored' }
  }

  /** What finishing gives where the session is over: the same again, if it was this digest. */
  async #finished(
    upload: UploadName,
    digest: string,
    { signal }: CallOptions,
  ): Promise<FinishResult> {
    const { repository } = upload
    if (!(await this.#links.has(repository, digest, { signal }))) throw unknownUpload(upload)
    // The link's author may be waiting for a collector yet, and the blob be another's, about to go.
    await this.#links.renew(repository, digest, { signal })
    if (!(await this.#backend.head(blobKey(digest), { signal }))) throw unknownUpload(upload)
    return { kind: 'stored' }
  }

  async #append(
    id: string,
    { algorithms }: Session,
    end: UploadEnd,
    body: Readable,
    { size, finishes, signal }: UploadBodyOptions & Pick<Piece, 'finishes'>,
  ): Promise<UploadEnd | undefined> {
    const claim = (key: string, content: Uint8Array): Promise<boolean> =>
      this.#claim(key, content, { signal })
    const maxBytes = this.#maxBytes
    const options = { algorithms, size, maxBytes, claim, finishes, signal }
    const added = await writePiece(this.#backend, id, end, body, options)
    if (added) this.#remember(id, added)
    return added
  }

  /** Creates the object of an offset; false where another piece has the place. */
  async #claim(key: string, content: Uint8Array, { signal }: CallOptions): Promise<boolean> {
    const write = { signal, size: content.byteLength, mediaType: 'application/json' }
    const { createOnly } = await provenGuarantees(this.#backend, { signal })
    if (!createOnly) return this.#claimHere(key, content, write)
    try {
      await this.#backend.put(key, content, { ...write, condition: { kind: 'absent' } })
      return true
    } catch (error) {
      if (!isS3loError(error, 'CONFLICT')) throw error
      // Of a write whose answer was lost: the name of a piece is never used again.
      const present = await readObject(this.#backend, key, content.byteLength * 2, { signal })
      return present !== undefined && Buffer.compare(present, content) === 0
    }
  }

  async #claimHere(key: string, content: Uint8Array, write: PutOptions): Promise<boolean> {
    if (this.#claims.has(key)) return false
    this.#claims.add(key)
    try {
      if (await this.#backend.head(key, write)) return false
      await this.#backend.put(key, content, write)
      return true
    } finally {
      this.#claims.delete(key)
    }
  }

  async #end(id: string, { signal }: CallOptions): Promise<UploadEnd> {
    const end = await readEnd(this.#backend, id, this.#ends.get(id) ?? EMPTY_UPLOAD, { signal })
    this.#remember(id, end)
    return end
  }

  #remember(id: string, end: UploadEnd): void {
    if (end.count > 0) this.#ends.set(id, end)
    else this.#ends.delete(id)
  }

  /**
   * `undefined` for a session that is not there, or of another repository. Of an upload that ends its
   * session goes first: while it is there, the end that was read before is the true one.
   */
  async #find(upload: UploadName, options: CallOptions): Promise<OpenUpload | undefined> {
    if (!isUploadId(upload.id)) return undefined
    const end = await this.#end(upload.id, options)
    const session = await readSession(this.#backend, upload, options)
    if (!session) return undefined
    const { holder = this.#holder } = session
    if (holder === this.#holder) return { session, end }
    throw new S3loError('UNSUPPORTED', `upload ${upload.id} is held by another process`, {
      hint: 'the store has no create-only writes, so one process takes all pieces of an upload',
    })
  }

  /** As {@link StoreUploads.#remove}; what it cannot remove now, housekeeping does. */
  async #tidy(id: string, known?: readonly string[]): Promise<void> {
    try {
      await (known ? this.#backend.delete(known) : this.#remove(id))
    } catch {
      // The blob is there, or the error that led here is the one to throw.
    }
  }

  /** Not bound to a signal: half of a session is of no use. */
  async #remove(id: string): Promise<void> {
    this.#ends.delete(id)
    const [failure] = await this.#backend.delete([sessionKey(id)])
    if (failure) throw failure.error
    let keys: string[] = []
    for await (const key of listKeys(this.#backend, uploadPrefix(id))) {
      if (parseUploadKey(key)) keys.push(key)
      if (keys.length < KEYS_PER_REQUEST) continue
      await this.#backend.delete(keys)
      keys = []
    }
    if (keys.length > 0) await this.#backend.delete(keys)
  }
}

function outOfOrder({ offset }: UploadEnd): {
  readonly kind: 'out-of-order'
  readonly offset: number
} {
  return { kind: 'out-of-order', offset }
}

function newId(): string {
  return process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
}
